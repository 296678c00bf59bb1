//! `berth canary`: a new version is tried on a part of the targets, beside the others; then it is promoted, or they go back.

use super::{
    Common,
    because::Because,
    plan::{Members, Waiting, at_once, show_head, wait_for},
};
use crate::{
    exit::Failure,
    output::{self, Format, ago},
};
use shared::wire::admin::{CanaryEnded, CanaryStatus, Reason, TrackStatus};

/// What to do with the canary.
#[derive(Debug, clap::Subcommand)]
#[command(
    before_help = "Example:\n  berth canary start --share 10% --reason 'version 2'\n  berth canary status\n  berth canary grow --share 30% --reason 'no errors in an hour'\n  berth canary promote --reason 'a good day'\nPods say that they are of the canary with BERTH_TRACK=canary. Without a canary they have no targets."
)]
pub(crate) enum Verb {
    /// Put a part of the targets on the pods of track canary
    Start(Start),
    /// Put more of them there: whoever is there stays
    Grow(Start),
    /// Have the pods of the canary count as all others
    Promote(End),
    /// Have its targets go back
    Abort(Abort),
    /// Say how both tracks do, side by side
    Status(Status),
}

/// Flags of `berth canary start` and `grow`.
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    /// Who belongs to it.
    #[command(flatten)]
    members: Members,
    /// Whether to wait.
    #[command(flatten)]
    waiting: Waiting,
    /// The rest.
    #[command(flatten)]
    end: End,
}

/// Flags of `berth canary abort`.
#[derive(Debug, clap::Args)]
pub(crate) struct Abort {
    /// Whether to wait.
    #[command(flatten)]
    waiting: Waiting,
    /// The rest.
    #[command(flatten)]
    end: End,
}

/// Flags of verbs that change something.
#[derive(Debug, clap::Args)]
pub(crate) struct End {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth canary status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Start(args) | Verb::Grow(args) => {
            let Start { members, waiting, end: End { because, common } } = args;
            at_once(&common, because, &waiting, |reason| members.make(reason)).await
        }
        Verb::Promote(end) => promote(end).await,
        Verb::Abort(args) => abort(args).await,
        Verb::Status(Status { common }) => {
            let status: CanaryStatus = common.api()?.get("/v1/canary").await?;
            match common.output {
                Format::Table => output::print(&sheet(&status)),
                format => output::rows(format, &status, &status.tracks, &HEAD, cells),
            }
        }
    }
}

async fn promote(end: End) -> Result<(), Failure> {
    let End { because, common } = end;
    let done: CanaryEnded = ended(&common, &because, "promote").await?;
    let would = if done.dry_run { " (nothing was changed)" } else { "" };
    match common.output {
        Format::Table => output::print(&format!("the pods of the canary count as all others from now on{would}\n")),
        format => output::rows(format, &done, std::slice::from_ref(&done), &["STATE"], state),
    }
}

async fn abort(args: Abort) -> Result<(), Failure> {
    let Abort { waiting, end: End { because, common } } = args;
    let done: CanaryEnded = ended(&common, &because, "abort").await?;
    match &done.plan {
        Some(head) if !done.dry_run => wait_for(&common, head, &waiting).await,
        Some(head) => show_head(common.output, head),
        None => output::rows(common.output, &done, std::slice::from_ref(&done), &["STATE"], state),
    }
}

fn state(ended: &CanaryEnded) -> Vec<String> {
    vec![ended.state.as_str().to_owned()]
}

async fn ended(common: &Common, because: &Because, verb: &str) -> Result<CanaryEnded, Failure> {
    // What is carried out for it is called off first, and ends.
    let api = common.api()?.patient(std::time::Duration::from_secs(60));
    api.post(&because.path(&format!("/v1/canary/{verb}")), &Reason { reason: because.reason.clone() }).await
}

const HEAD: [&str; 8] = ["TRACK", "PODS", "TARGETS", "EVENTS", "ERRORS", "P50", "P99", "VERSIONS"];

fn cells(track: &TrackStatus) -> Vec<String> {
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("≤ {ms} ms"));
    let rate = track.error_rate.map_or_else(String::new, |rate| format!(" ({:.2} %)", rate * 100.0));
    vec![
        track.track.to_string(),
        track.pods.len().to_string(),
        track.targets.to_string(),
        track.events.to_string(),
        format!("{}{rate}", track.errors),
        ms(track.p50_ms),
        ms(track.p99_ms),
        track.versions.join(" "),
    ]
}

fn sheet(status: &CanaryStatus) -> String {
    let mut table = output::Table::new(&["canary", status.state.as_str()]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("share", format!("{} % of the targets, and {} named ones", status.share * 100.0, status.named));
    if let Some(plan) = status.plan {
        fact("plan", plan.to_string());
    }
    if let (Some(actor), Some(reason)) = (&status.actor, &status.reason) {
        fact("reason", format!("{}, by {}", output::plain(reason), output::plain(actor)));
    }
    fact("counted", format!("the last {} at most", ago(status.window_ms)));
    for warning in &status.warnings {
        fact("warning", output::plain(warning));
    }
    let mut tracks = output::Table::new(&HEAD);
    status.tracks.iter().for_each(|track| tracks.row(cells(track)));
    format!("{}\n{}", table.render(), tracks.render())
}
