//! The two subcommands, as every program has them that runs a gateway: `berth gateway prepare`, `BOT prepare`. Decides what they
//! are called and what they print.

use super::{BootError, prepare::prepare, replicate::replicate};
use crate::Options;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use shared::{
    settings::with_aliases,
    shutdown::{Shutdown, on_signals},
    telemetry::LogArgs,
};
use std::io::Write;

const PREPARE: &str = "prepare";
const REPLICATE: &str = "replicate";

/// What is to be done instead of running a gateway.
#[derive(Debug)]
pub struct Task {
    options: Options,
    work: Work,
}

#[derive(Debug, Clone)]
enum Work {
    Prepare { reaped: bool },
    Replicate { exec: Option<String> },
}

#[derive(Debug, Args)]
struct PrepareArgs {
    #[command(flatten)]
    options: Options,
    /// Whoever starts this has seen the pod's last process end: config-service is told where that is in the way
    #[arg(long, hide = true)]
    reaped: bool,
}

#[derive(Debug, Args)]
struct ReplicateArgs {
    #[command(flatten)]
    options: Options,
    /// Have Litestream run this, a gateway, and end with it: on a stop the gateway ends first
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
}

/// Adds the subcommands to a program that takes a gateway's flags.
#[must_use]
pub fn with_tasks(command: Command) -> Command {
    let prepare = Command::new(PREPARE)
        .about("Make the data folder ready: continue its lineage or begin another, restoring where that is needed");
    let replicate =
        Command::new(REPLICATE).about("Become the Litestream that copies the database of a folder that is prepared");
    command
        .subcommand(with_aliases(PrepareArgs::augment_args(prepare)))
        .subcommand(with_aliases(ReplicateArgs::augment_args(replicate)))
        .subcommand_negates_reqs(true)
}

/// Returns the task that is asked for, if one is.
///
/// # Errors
/// When its flags are not right.
pub fn asked(matches: &ArgMatches) -> Result<Option<Task>, clap::Error> {
    Ok(match matches.subcommand() {
        Some((PREPARE, matches)) => {
            let PrepareArgs { options, reaped } = PrepareArgs::from_arg_matches(matches)?;
            Some(Task { options, work: Work::Prepare { reaped } })
        }
        Some((REPLICATE, matches)) => {
            let ReplicateArgs { options, exec } = ReplicateArgs::from_arg_matches(matches)?;
            Some(Task { options, work: Work::Replicate { exec } })
        }
        _ => None,
    })
}

/// Prepares the folder for the gateway that this very process becomes: where nobody runs `prepare` before a process that is
/// started again (docs/adr/0028). Returns false when it was told to stop meanwhile.
///
/// # Errors
/// What is in the way.
pub(crate) async fn prepare_first(options: &Options, stop: &Shutdown) -> Result<bool, BootError> {
    match prepare(options, false, stop).await {
        Ok(done) => tracing::info!(pod = %options.pod, "{done}"),
        Err(BootError::Stopped) => return Ok(false),
        Err(why) => return Err(why),
    }
    Ok(!stop.is_cancelled())
}

impl Task {
    /// Returns how it logs.
    pub fn log(&self) -> &LogArgs {
        &self.options.log
    }

    /// Does it. `prepare` prints one line that says what it has done; `replicate` returns only when it cannot become Litestream.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn run(self, with_parent: bool) -> anyhow::Result<()> {
        match self.work {
            Work::Prepare { reaped } => {
                let stop: Shutdown = on_signals(with_parent)?;
                let done = prepare(&self.options, reaped, &stop).await?;
                writeln!(std::io::stdout(), "{}: {done}", self.options.pod)?;
            }
            Work::Replicate { exec } => replicate(&self.options, exec.as_deref(), with_parent).await?,
        }
        Ok(())
    }
}
