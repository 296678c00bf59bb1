//! `berth leader`: who leads among the config-services, and letting another one lead.

use super::{Common, because::Because};
use crate::{
    exit::Failure,
    output::{self, Format},
};
use shared::wire::admin::{LeaderStatus, StepDown, SteppedDown};

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth leader show\n  berth leader step-down --reason 'its machine is restarted'")]
pub(crate) enum Verb {
    /// Say who leads
    Show(Show),
    /// Let another config-service lead
    StepDown(Down),
}

/// Flags of `berth leader show`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth leader show")]
pub(crate) struct Show {
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Flags of `berth leader step-down`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth leader step-down --reason 'its machine is restarted'\nAnother one takes over within a second; when there is none, the same one leads again after the time of a term."
)]
pub(crate) struct Down {
    /// Why.
    #[command(flatten)]
    because: Because,
    /// What all verbs have.
    #[command(flatten)]
    common: Common,
}

/// Asks and prints.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show(args) => show(&args).await,
        Verb::StepDown(args) => step_down(&args).await,
    }
}

const HEAD: [&str; 5] = ["LEADER", "TERM", "REVISION", "SAYS", "ROLE"];

fn cells(status: &LeaderStatus) -> Vec<String> {
    let leader = status.leader.clone().unwrap_or_else(|| "nobody".to_owned());
    let (term, revision) = (status.term.to_string(), status.revision.to_string());
    vec![leader, term, revision, status.answered_by.clone(), status.role.clone()]
}

async fn show(args: &Show) -> Result<(), Failure> {
    let status: LeaderStatus = args.common.api()?.get("/v1/leader").await?;
    output::rows(args.common.output, &status, std::slice::from_ref(&status), &HEAD, cells)
}

async fn step_down(args: &Down) -> Result<(), Failure> {
    let path = args.because.path("/v1/leader/step-down");
    let body = StepDown { reason: args.because.reason.clone() };
    let done: SteppedDown = args.common.api()?.post(&path, &body).await?;
    match args.common.output {
        Format::Json | Format::Jsonl => output::print(&output::json(&done)),
        Format::Name => output::print(&format!("{}\n", output::plain(&done.leader))),
        Format::Table => {
            let what = if done.dry_run { "would end its term" } else { "ended its term" };
            output::print(&format!("{} {what} {}\n", output::plain(&done.leader), done.term))
        }
    }
}
