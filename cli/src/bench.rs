//! `berth bench`: what Berth costs on this machine. It measures and reports; it judges nothing, and no test depends on
//! its numbers.

mod cluster;
mod load;
mod processes;
mod report;
mod smoke;

use crate::exit::Failure;

/// What can be measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// A whole cluster of its own: time to the first answer, memory, events per second, CPU per event
    Smoke(smoke::Args),
}

/// Measures.
///
/// # Errors
/// When the cluster does not come up, or an event is not answered.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Smoke(args) => smoke::run(args).await,
    }
}
