//! The three roles as processes of their own: logs, runtime, signals around what the service crates run, and
//! `berth ROLE config`, which prints the values a role would run with.

use crate::{
    args::Cli,
    exit::Failure,
    output::{self, Table},
};
use clap::{ArgMatches, CommandFactory, parser::ValueSource};
use shared::{
    settings::with_aliases,
    shutdown::{Shutdown, on_signals},
    telemetry::{LogArgs, init_logs},
};
use std::time::Duration;

/// How long a role may take to stop when nobody is there to kill it; longer than a supervisor's grace.
const ORPHAN_GRACE: Duration = Duration::from_secs(20);

/// A role's flags, and what to do with them.
#[derive(Debug, clap::Args)]
pub(crate) struct Role<O: clap::Args> {
    /// The service's own flags.
    #[command(flatten)]
    options: O,
    /// Runs the role when it is left out.
    #[command(subcommand)]
    action: Option<Action>,
}

/// What else can be done with a role's flags.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub(crate) enum Action {
    /// Print the effective values and where each comes from, secrets masked
    Config,
}

/// Returns the command line, in which the roles' flags take the names that other deployments set.
pub(crate) fn command() -> clap::Command {
    let roles = ["config-service", "gateway", "http-service"];
    roles.into_iter().fold(Cli::command(), |cli, role| cli.mut_subcommand(role, with_aliases))
}

/// Runs config-service.
pub(crate) fn config_service(
    role: Role<config_service::Options>,
    matches: &ArgMatches,
    with_parent: bool,
) -> Result<(), Failure> {
    let log = role.options.log.clone();
    match role.action {
        Some(Action::Config) => print_config(matches),
        None => run(&log, with_parent, |shutdown| config_service::run(role.options, shutdown)),
    }
}

/// Runs a gateway pod with the moderation bot.
pub(crate) fn gateway(role: Role<gateway::Options>, matches: &ArgMatches, with_parent: bool) -> Result<(), Failure> {
    let log = role.options.log.clone();
    match role.action {
        Some(Action::Config) => print_config(matches),
        None => {
            run(&log, with_parent, |shutdown| gateway::serve(role.options, moderation_bot::ModerationBot, shutdown))
        }
    }
}

/// Runs http-service.
pub(crate) fn http_service(
    role: Role<http_service::Options>,
    matches: &ArgMatches,
    with_parent: bool,
) -> Result<(), Failure> {
    let log = role.options.log.clone();
    match role.action {
        Some(Action::Config) => print_config(matches),
        None => run(&log, with_parent, |shutdown| http_service::run(role.options, shutdown)),
    }
}

fn run<F>(log: &LogArgs, with_parent: bool, role: impl FnOnce(Shutdown) -> F) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<()>>,
{
    init_logs(log).map_err(Failure::error)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::error)?;
    let done = runtime.block_on(async {
        let shutdown = on_signals(with_parent).map_err(Failure::error)?;
        tokio::select! {
            done = role(shutdown.clone()) => done.map_err(|why| Failure::error(format!("{why:#}"))),
            () = overdue(shutdown), if with_parent => Err(Failure::error("did not stop in time after its supervisor")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// Ends some time after `shutdown`. A supervisor that is gone can no longer kill a child that hangs while it stops.
async fn overdue(shutdown: Shutdown) {
    shutdown.cancelled().await;
    tokio::time::sleep(ORPHAN_GRACE).await;
}

fn print_config(matches: &ArgMatches) -> Result<(), Failure> {
    let mut cli = command();
    cli.build();
    let Some((name, values)) = matches.subcommand() else { return Ok(()) };
    let Some(command) = cli.find_subcommand(name) else { return Ok(()) };
    output::print(&config_table(command, values).render())
}

/// Lists the flags of a role with their effective values. What hides its environment value in the help is a secret.
fn config_table(command: &clap::Command, values: &ArgMatches) -> Table {
    let mut table = Table::new(&["FLAG", "ENVIRONMENT", "VALUE", "FROM"]);
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let (Some(long), Some(env)) = (arg.get_long(), arg.get_env()) else { continue };
        let raw = values.try_get_raw(arg.get_id().as_str()).ok().flatten();
        let value: Vec<_> = raw.into_iter().flatten().map(|value| value.to_string_lossy()).collect();
        let (value, from) = match values.value_source(arg.get_id().as_str()) {
            _ if value.is_empty() => ("-".to_owned(), "unset"),
            Some(ValueSource::CommandLine) => (shown(arg, &value.join(",")), "flag"),
            Some(ValueSource::EnvVariable) => (shown(arg, &value.join(",")), "environment"),
            _ => (shown(arg, &value.join(",")), "default"),
        };
        table.row([format!("--{long}"), env.to_string_lossy().into_owned(), value, from.to_owned()]);
    }
    table
}

fn shown(arg: &clap::Arg, value: &str) -> String {
    if arg.is_hide_env_values_set() { "***".to_owned() } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_values_show_no_secret() {
        let mut cli = Cli::command();
        cli.build();
        let line = ["berth", "http-service", "--github-secret", "hunter2", "--max-body", "5", "config"];
        let matches = cli.clone().try_get_matches_from(line).expect("valid");
        let (name, values) = matches.subcommand().expect("a role");
        let text = config_table(cli.find_subcommand(name).expect("known"), values).render();
        assert!(!text.contains("hunter2"), "{text}");
        let row = |flag: &str| {
            let row = text.lines().find(|row| row.starts_with(&format!("{flag} "))).expect("listed");
            row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("--github-secret")[2..], ["***", "flag"]);
        assert_eq!(row("--max-body"), ["--max-body", "BERTH_MAX_BODY", "5", "flag"]);
        assert_eq!(row("--listen")[2..], ["0.0.0.0:3000", "default"]);
    }
}
