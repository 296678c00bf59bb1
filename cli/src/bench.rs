//! `berth bench`: what Berth costs on this machine. It measures and reports; it judges nothing, and no test depends on
//! its numbers.

mod cluster;
mod control;
mod load;
mod moves;
mod plan;
mod processes;
mod report;
mod smoke;

use crate::exit::Failure;

/// What can be measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// A whole cluster of its own: time to the first answer, memory, events per second, CPU per event
    Smoke(smoke::Args),
    /// How long a target accepts no event while it moves, by its size; in a cluster of its own
    Move(moves::Args),
    /// How long the planner takes and how much its plans move, against the least that any could, and beside hashing
    Plan(plan::Args),
    /// What a large table of targets costs config-service: memory, first contacts per second, restarts
    Control(control::Args),
}

/// Measures.
///
/// # Errors
/// When the cluster does not come up, an event is not answered, or a move does not end.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Smoke(args) => smoke::run(args).await,
        Verb::Move(args) => moves::run(args).await,
        Verb::Plan(args) => plan::run(&args),
        Verb::Control(args) => control::run(args).await,
    }
}
