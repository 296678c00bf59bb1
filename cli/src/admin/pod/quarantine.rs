//! `berth pod quarantine`: rows that a pod has put aside, since another pod was given their target. Says what the pod says; a
//! target that has several copies is asked about by number.

use super::super::{Common, now_ms, pages::pages, target::export::fetch};
use crate::{
    exit::{Code, Failure},
    output::{self, Format, ago},
};
use serde_json::json;
use shared::{
    PodId, TargetId,
    wire::quarantine::{Aside, AsideDropped, Asides, Progress},
};
use std::path::PathBuf;

/// What to do with rows that are aside.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth pod quarantine list gateway-1")]
pub(crate) enum Verb {
    /// List them, with what became of the end of their journal
    List(List),
    /// Write one of them to a file, as `berth target export` does
    Export(Export),
    /// Delete one of them, for good
    Drop(Drop),
}

/// Which rows.
#[derive(Debug, clap::Args)]
struct Which {
    /// The pod that holds them
    #[arg(value_name = "POD")]
    pod: PodId,
    /// Whose rows they are
    #[arg(value_name = "TARGET")]
    target: TargetId,
    /// The number in the list, where a target has several copies
    #[arg(long, value_name = "N")]
    copy: Option<u64>,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth pod quarantine list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The pod
    #[arg(value_name = "POD")]
    pod: PodId,
    /// Only this target's
    #[arg(value_name = "TARGET")]
    target: Option<TargetId>,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth pod quarantine export`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth pod quarantine export gateway-1 discord:guild:123 --file guild-123.jsonl",
    after_help = "The file holds what people wrote: messages, state, replies. Keep it as you keep those."
)]
pub(crate) struct Export {
    /// Where to write it; it is there only when it is whole. Standard output when this is left out
    #[arg(long = "file", value_name = "PATH")]
    into: Option<PathBuf>,
    /// Which.
    #[command(flatten)]
    which: Which,
}

/// Flags of `berth pod quarantine drop`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth pod quarantine drop gateway-1 discord:guild:123 --reason 'looked through'",
    after_help = "Refused while something that was acknowledged here may be nowhere else, or before --quarantine-retention of the pod is over."
)]
pub(crate) struct Drop {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Drop them all the same: says that nothing of them is needed
    #[arg(long)]
    i_know: bool,
    /// Which.
    #[command(flatten)]
    which: Which,
}

const HEAD: [&str; 8] = ["COPY", "TARGET", "EPOCH", "ROWS", "BYTES", "WHY", "AGE", "RECONCILED"];

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(args) => list(args).await,
        Verb::Export(Export { into, which }) => {
            let aside = find(&which).await?;
            let path = format!("/v1/pods/{}/quarantine/{}/export", which.pod, aside.copy);
            fetch(&which.common, &path, into, &which.target).await
        }
        Verb::Drop(args) => drop(args).await,
    }
}

async fn list(args: List) -> Result<(), Failure> {
    let all = all(&args.common, &args.pod, args.target.as_ref()).await?;
    let now = now_ms();
    output::rows(args.common.output, &all, &all, &HEAD, |aside| cells(aside, now))
}

async fn all(common: &Common, pod: &PodId, target: Option<&TargetId>) -> Result<Vec<Aside>, Failure> {
    let path = format!("/v1/pods/{pod}/quarantine?");
    let open = |page: Asides| (page.items, page.next);
    let mut rows = pages(&common.api()?, &path, usize::MAX, open).await.map_err(|why| super::unknown(why, pod))?.rows;
    rows.retain(|aside| target.is_none_or(|target| aside.target == *target));
    Ok(rows)
}

fn cells(aside: &Aside, now: u64) -> Vec<String> {
    let age = match aside.since_ms {
        0 => "-".to_owned(),
        since => ago(now.saturating_sub(since)),
    };
    let why = if aside.left_behind { format!("{}, begun anew", aside.why.as_str()) } else { aside.why.as_str().into() };
    vec![
        aside.copy.to_string(),
        aside.target.to_string(),
        aside.epoch.to_string(),
        aside.rows.to_string(),
        aside.bytes.to_string(),
        why,
        age,
        output::plain(&reconciled(aside)),
    ]
}

/// Says in a few words what became of the end of a copy's journal.
fn reconciled(aside: &Aside) -> String {
    let report = &aside.reconcile;
    if aside.dropping {
        return "is being dropped".to_owned();
    }
    let mut text = report.progress.as_str().to_owned();
    if matches!(report.progress, Progress::Sending | Progress::Done) {
        let owner = report.owner.as_ref().map_or_else(String::new, |owner| format!(" to {owner}"));
        text.push_str(&format!(": {} sent{owner}, {} known, {} applied", report.sent, report.known, report.applied));
    }
    for (why, count) in &report.skipped {
        // Serializes as a word.
        let word = serde_json::to_value(why).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        text.push_str(&format!(", {count} {word}"));
    }
    if let Some(detail) = &report.detail {
        text.push_str(&format!("; {detail}"));
    }
    text
}

async fn find(which: &Which) -> Result<Aside, Failure> {
    let Which { pod, target, copy, common } = which;
    let mut found = all(common, pod, Some(target)).await?;
    found.retain(|aside| copy.is_none_or(|copy| aside.copy == copy));
    if found.len() > 1 {
        let numbers: Vec<_> = found.iter().map(|aside| aside.copy.to_string()).collect();
        let text = format!("{pod} has several copies of {target}: {}; say which with --copy", numbers.join(", "));
        return Err(Failure::new(Code::Refused, text));
    }
    let none = || Failure::new(Code::NotFound, format!("{pod} has put no such rows of {target} aside"));
    found.pop().ok_or_else(none)
}

async fn drop(args: Drop) -> Result<(), Failure> {
    let Drop { reason, i_know, which } = args;
    let aside = find(&which).await?;
    let path = format!("/v1/pods/{}/quarantine/{}/drop", which.pod, aside.copy);
    let body = json!({ "reason": reason, "i_know": i_know });
    let dropped: AsideDropped = which.common.api()?.post(&path, &body).await?;
    match which.common.output {
        Format::Json => output::print(&output::json(&dropped)),
        Format::Jsonl => output::rows(Format::Jsonl, &(), &[dropped], &[], |_| Vec::new()),
        Format::Name => output::print(&format!("{}\n", dropped.copy)),
        Format::Table if dropped.done => {
            let rows: u64 = dropped.rows.values().sum();
            output::print(&format!("{rows} rows of {} are gone from {}\n", dropped.target, dropped.pod))
        }
        Format::Table => output::print(&format!(
            "the rows of {} are being deleted on {}; it goes on by itself\n",
            dropped.target, dropped.pod
        )),
    }
}
