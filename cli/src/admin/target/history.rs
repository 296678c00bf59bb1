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

/// Flags of `berth target history`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth target history discord:guild:123")]
pub(crate) struct History {
    /// The target, `platform:kind:id`
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

const HEAD: [&str; 7] = ["POD", "FROM", "EPOCH", "REVISION", "REASON", "AGE", "LASTED"];

/// Does it.
pub(super) async fn run(args: History) -> Result<(), Failure> {
    let (api, target) = (args.common.api()?, &args.target);
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let path = format!("/v1/targets/{target}/history?");
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
        owned.reason.clone(),
        ago(now.saturating_sub(owned.since_ms)),
        owned.until_ms.map_or_else(|| "still".to_owned(), |until| ago(until.saturating_sub(owned.since_ms))),
    ]
}
