//! Values of a JSON document that know where they stand, so that what is wrong can be named: `outbox[2].url`.

use serde_json::{Map, Value};
use std::fmt;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct Malformed {
    place: String,
    what: String,
}

impl Malformed {
    /// Says what is wrong at a place.
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct At<'a> {
    value: &'a Value,
    place: String,
}

impl<'a> At<'a> {
    /// Makes the root of a document called `name`.
    pub(super) fn root(name: &str, value: &'a Value) -> Self {
        Self { value, place: name.to_owned() }
    }

    /// Returns the value.
    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    /// Says what is wrong here.
    pub(super) fn wrong(&self, what: impl fmt::Display) -> Malformed {
        Malformed::new(self.place.clone(), what.to_string())
    }

    fn expected(&self, what: &str) -> Malformed {
        self.wrong(format_args!("expected {what}, found {}", word(self.value)))
    }

    /// Returns a member that is there and not null.
    pub(super) fn find(&self, name: &str) -> Result<Option<At<'a>>, Malformed> {
        let found = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(found.map(|value| At { value, place: format!("{}.{name}", self.place) }))
    }

    /// Returns a member that must be there.
    pub(super) fn member(&self, name: &str) -> Result<At<'a>, Malformed> {
        self.find(name)?.ok_or_else(|| self.wrong(format_args!("{name} is missing")))
    }

    /// Lets only these members through.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Malformed> {
        let unknown = self.object()?.keys().find(|key| !names.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(self.wrong(format_args!("unknown field {key:?}; known are {}", names.join(", ")))),
            None => Ok(()),
        }
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Malformed> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    /// Returns the members of an object in order.
    pub(super) fn members(&self) -> Result<impl Iterator<Item = (&'a str, At<'a>)>, Malformed> {
        let place = self.place.clone();
        let named = move |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), At { value, place: format!("{place}.{name}") })
        };
        Ok(self.object()?.iter().map(named))
    }

    /// Returns the items of a list.
    pub(super) fn items(&self) -> Result<impl Iterator<Item = At<'a>>, Malformed> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        let place = self.place.clone();
        Ok(list.iter().enumerate().map(move |(i, value)| At { value, place: format!("{place}[{i}]") }))
    }

    pub(super) fn text(&self) -> Result<&'a str, Malformed> {
        self.value.as_str().ok_or_else(|| self.expected("text"))
    }

    pub(super) fn flag(&self) -> Result<bool, Malformed> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// Returns a whole number that is not negative.
    pub(super) fn whole(&self) -> Result<u64, Malformed> {
        let whole = self.value.as_u64();
        // JavaScript's and Lua's numbers have no type: 5.0 is 5.
        let whole = whole.or_else(|| {
            let number = self.value.as_f64()?;
            (number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
        });
        whole.ok_or_else(|| self.expected("a whole number that is not negative"))
    }
}

/// Says what sort of value it is, and of numbers which.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
