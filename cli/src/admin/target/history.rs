//! `berth target history`: who owned a target, from when to when, and why.

use super::{Common, pages};
use crate::{
    exit::Failure,
    output::{self, Format, ago},
};
use serde_json::json;
use shared::{
    TargetId,
    wire::admin::{History as Page, Ownership},
};
use std::time::Duration;

/// Flags of `berth target history`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth target history discord:guild:123")]
pub(crate) struct History {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// Only who owned it then: a time like 2026-05-03T14:00:00Z, or how long ago, like 90m
    #[arg(long, value_name = "TIME", value_parser = at)]
    at: Option<At>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// A time in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In milliseconds since the Unix epoch.
    Ms(u64),
    /// So long ago.
    Ago(Duration),
}

fn at(text: &str) -> Result<At, String> {
    if let Ok(ago) = shared::settings::duration(text) {
        return Ok(At::Ago(ago));
    }
    let time = humantime::parse_rfc3339_weak(text);
    let time =
        time.map_err(|_| "a time is written like 2026-05-03T14:00:00Z, or like 90m for so long ago".to_owned())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(At::Ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

const HEAD: [&str; 9] = ["POD", "FROM", "EPOCH", "REVISION", "REASON", "ACTOR", "PAUSE", "AGE", "LASTED"];

/// Does it.
pub(super) async fn run(args: History) -> Result<(), Failure> {
    let (api, target) = (args.common.api()?, &args.target);
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let at_ms = args.at.map(|at| match at {
        At::Ms(ms) => ms,
        At::Ago(ago) => super::now_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
    });
    let asked = at_ms.map_or_else(String::new, |ms| format!("at_ms={ms}"));
    let path = format!("/v1/targets/{target}/history?{asked}");
    let found = pages(&api, &path, most, |page: Page| (page.ownerships, page.next)).await?;
    let (now, document) = (super::now_ms(), json!({ "target": target, "ownerships": found.rows }));
    output::rows(args.common.output, &document, &found.rows, &HEAD, |owned| cells(owned, now))?;
    if found.more && args.common.output == Format::Table {
        eprintln!("there are more; raise --limit");
    }
    Ok(())
}

fn cells(owned: &Ownership, now: u64) -> Vec<String> {
    vec![
        owned.pod.to_string(),
        owned.from.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        owned.epoch.to_string(),
        owned.revision.to_string(),
        owned.plan.map_or_else(|| owned.reason.clone(), |id| format!("{}, plan {id}", owned.reason)),
        owned.actor.clone().unwrap_or_else(|| "-".to_owned()),
        owned.pause_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
        ago(now.saturating_sub(owned.since_ms)),
        owned.until_ms.map_or_else(|| "still".to_owned(), |until| ago(until.saturating_sub(owned.since_ms))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_so_long_ago() {
        assert_eq!(at("90m"), Ok(At::Ago(Duration::from_secs(5_400))));
        assert_eq!(at("1970-01-02T00:00:00Z"), Ok(At::Ms(86_400_000)));
        assert!(at("yesterday").is_err_and(|why| why.contains("90m")));
    }
}
