//! Names that deployments written for the original proposal already set. A role's flag takes such a name when Berth's own is
//! not set, so that both are never read at once. Decides which names there are, not what the values mean.

use crate::PodId;
use clap::{Arg, Command};
use std::ffi::OsString;

/// Another name for a setting, and how its value is read when it means something else.
struct Alias {
    /// Berth's own name.
    own: &'static str,
    /// The other one.
    other: &'static str,
    /// Whether the value is a pod's ordinal.
    ordinal: bool,
}

const fn alias(own: &'static str, other: &'static str) -> Alias {
    Alias { own, other, ordinal: false }
}

/// All of them; of two for one setting the first that is set counts.
const ALIASES: [Alias; 9] = [
    alias("BERTH_CONFIG_STORE", "DATABASE_URL"),
    alias("BERTH_CONFIG_URL", "CONFIG_SERVICE_URL"),
    alias("BERTH_POD", "POD_NAME"),
    Alias { own: "BERTH_POD", other: "POD_ORDINAL", ordinal: true },
    alias("BERTH_REPLICA_ACCESS_KEY_ID", "LITESTREAM_ACCESS_KEY_ID"),
    alias("BERTH_REPLICA_SECRET_ACCESS_KEY", "LITESTREAM_SECRET_ACCESS_KEY"),
    alias("BERTH_REPLICA_BUCKET", "LITESTREAM_BUCKET"),
    alias("BERTH_REPLICA_ENDPOINT", "LITESTREAM_ENDPOINT"),
    alias("BERTH_REPLICA_REGION", "LITESTREAM_REGION"),
];

/// Lets a role's flags take the other names that are set in the environment.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "only whether a flag's name is set; clap reads and documents the value")]
pub fn with_aliases(command: Command) -> Command {
    take(command, |name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn take(command: Command, set: impl Fn(&str) -> Option<OsString>) -> Command {
    command.mut_args(|arg| {
        let own = arg.get_env().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut aliases = ALIASES.iter().filter(|alias| alias.own == own);
        match aliases.find(|alias| set(alias.other).is_some()) {
            Some(alias) if set(&own).is_none() => renamed(arg, alias),
            _ => arg,
        }
    })
}

fn renamed(arg: Arg, alias: &Alias) -> Arg {
    let arg = arg.env(alias.other);
    if alias.ordinal { arg.value_parser(pod) } else { arg }
}

/// Reads the name of a pod, or the ordinal a StatefulSet gave it.
fn pod(text: &str) -> Result<PodId, String> {
    let name = if text.bytes().all(|b| b.is_ascii_digit()) { format!("gateway-{text}") } else { text.to_owned() };
    name.parse().map_err(|why: crate::id::IdError| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &[&str]) -> Vec<String> {
        let arg = |id, env| Arg::new(id).long(id).env(env);
        let command = Command::new("role").args([
            arg("store", "BERTH_CONFIG_STORE"),
            arg("config-url", "BERTH_CONFIG_URL"),
            arg("pod", "BERTH_POD"),
            arg("zone", "BERTH_ZONE"),
        ]);
        let command = take(command, |name| set.contains(&name).then(OsString::new));
        let names = command.get_arguments().filter_map(|arg| arg.get_env());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_other_name_counts_where_berths_own_is_not_set() {
        assert_eq!(names(&[]), ["BERTH_CONFIG_STORE", "BERTH_CONFIG_URL", "BERTH_POD", "BERTH_ZONE"]);
        let both = ["DATABASE_URL", "POD_NAME", "POD_ORDINAL"];
        assert_eq!(names(&both), ["DATABASE_URL", "BERTH_CONFIG_URL", "POD_NAME", "BERTH_ZONE"]);
        let own = ["DATABASE_URL", "BERTH_CONFIG_STORE", "POD_ORDINAL"];
        assert_eq!(names(&own), ["BERTH_CONFIG_STORE", "BERTH_CONFIG_URL", "POD_ORDINAL", "BERTH_ZONE"]);
    }

    #[test]
    fn an_ordinal_is_a_pod_of_that_number() {
        assert_eq!(pod("3").expect("an ordinal").as_str(), "gateway-3");
        assert_eq!(pod("edge-3").expect("a name").as_str(), "edge-3");
        assert!(pod("Three").is_err());
    }
}
