//! `berth replication gc`: lineages whose time is over are removed, or with a dry run only named. Prints what the pods say; decides
//! nothing.

use super::super::Common;
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use serde_json::json;
use shared::{
    PodId,
    wire::lineages::{Fate, LineageFate, LineageList},
};
use std::time::Duration;

/// Flags of `berth replication gc`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth replication gc --dry-run",
    after_help = "The pods do the same once a day. Exits with an error when the lineages of some pods could not be judged."
)]
pub(crate) struct Gc {
    /// Only this pod's
    #[arg(value_name = "POD")]
    pod: Option<PodId>,
    /// Remove nothing, only say what becomes of each, and why
    #[arg(long)]
    dry_run: bool,
    /// Why, for the audit
    #[arg(long, default_value = "asked for by hand", value_name = "TEXT")]
    reason: String,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

const HEAD: [&str; 5] = ["LINEAGE", "FATE", "BYTES", "ENDED", "WHY"];
/// How long pods may list and remove.
const PATIENCE: Duration = Duration::from_secs(600);

/// Asks and prints.
pub(super) async fn run(args: Gc) -> Result<(), Failure> {
    let query = if args.dry_run { "?dry_run=true" } else { "" };
    let mut body = json!({ "reason": args.reason });
    if let Some(pod) = &args.pod {
        body["pod"] = json!(pod);
    }
    let api = args.common.api()?.patient(PATIENCE);
    let list: LineageList = api.post(&format!("/v1/replication/gc{query}"), &body).await?;
    output::rows(args.common.output, &list, &list.lineages, &HEAD, cells)?;
    if args.common.output == Format::Table {
        output::print(&sum(&list))?;
    }
    let unasked: Vec<_> = list.unasked.iter().map(|one| format!("{}: {}", one.pod, output::plain(&one.why))).collect();
    if unasked.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::Error, format!("not everything could be judged: {}", unasked.join("; "))))
}

fn cells(one: &LineageFate) -> Vec<String> {
    let ended = one.age_ms.map_or_else(|| "-".to_owned(), |age| format!("{} ago", ago(age)));
    vec![one.lineage.clone(), one.fate.as_str().to_owned(), one.bytes.to_string(), ended, output::plain(&one.why)]
}

fn sum(list: &LineageList) -> String {
    let of = |fate: Fate| list.lineages.iter().filter(move |one| one.fate == fate);
    let (fate, word) = if list.dry_run { (Fate::Goes, "would go") } else { (Fate::Gone, "are gone") };
    let bytes: u64 = of(fate).map(|one| one.bytes).sum();
    let kept = of(Fate::Keeps).count();
    format!("{} lineages with {bytes} bytes {word}, {kept} stay\n", of(fate).count())
}
