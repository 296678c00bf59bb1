//! How names look in JSON Schema: each is a string of a form that a program can check. Knows the forms by heart; that they
//! are those which the parsers accept is a test.

use super::{Incarnation, PodId, TargetId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! named {
    ($name:ident, $pattern:literal, $example:literal, $text:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $text,
                    "examples": [$example],
                })
            }
        }
    };
}

named!(
    TargetId,
    "^(discord|telegram|slack|cytube|webhook|github):(guild|channel|user|shard|key):[A-Za-z0-9._~-]{1,128}$",
    "discord:guild:81384788765712384",
    "The unit of ownership, `platform:kind:id`."
);
named!(
    PodId,
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    "gateway-0",
    "The name of a gateway pod: a DNS label of at most 63 characters."
);
named!(
    Incarnation,
    "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
    "0190163d-8694-739b-aea5-966c26f8ad91",
    "One unbroken life of a pod's data folder: a UUID."
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Platform};

    #[test]
    fn the_form_of_a_target_names_every_platform_and_kind() {
        let schema = schemars::schema_for!(TargetId);
        let pattern = schema.get("pattern").and_then(|value| value.as_str()).expect("a pattern");
        let words = |all: Vec<&str>| format!("({})", all.join("|"));
        assert!(pattern.contains(&words(Platform::ALL.iter().map(|word| word.as_str()).collect())), "{pattern}");
        assert!(pattern.contains(&words(Kind::ALL.iter().map(|word| word.as_str()).collect())), "{pattern}");
    }
}
