//! The three roles as processes of their own: logs, runtime, signals around what the service crates run, and
//! `berth ROLE config`, which prints the values a role would run with.

use crate::{
    args::Cli,
    exit::{Code, Failure},
    output::{self, Table},
};
use clap::{ArgMatches, CommandFactory, parser::ValueSource};
use gateway::boot::{MustPrepare, Task, asked, with_tasks};
use shared::{
    settings::with_aliases,
    shutdown::{Shutdown, on_signals},
    telemetry::{LogArgs, init_logs},
};
use std::time::Duration;

/// How long a role may take to stop when nobody is there to kill it; longer than a supervisor's grace.
const ORPHAN_GRACE: Duration = Duration::from_secs(20);

/// The roles.
const ROLES: [&str; 3] = ["config-service", GATEWAY, "http-service"];

/// The role that has something to do before it.
const GATEWAY: &str = "gateway";

/// What prints a role's settings.
const CONFIG: &str = "config";

/// Returns the command line, in which the roles' flags take the names that other deployments set, and each role has
/// `config`, which needs none of what the role needs to run.
pub(crate) fn command() -> clap::Command {
    let about = "Print the effective values and where each comes from, secrets masked";
    ROLES.into_iter().fold(Cli::command(), |cli, role| {
        let config = clap::Command::new(CONFIG).about(about);
        cli.mut_subcommand(role, |role| {
            let role = with_aliases(role).subcommand(config).subcommand_negates_reqs(true);
            if role.get_name() == GATEWAY { with_tasks(role) } else { role }
        })
    })
}

/// Returns what is to be done before a gateway, when that is asked for, and whether it ends with its supervisor.
///
/// # Errors
/// When its flags are not right.
pub(crate) fn asked_for_task(matches: &ArgMatches) -> Result<Option<(Task, bool)>, clap::Error> {
    let Some(gateway) = matches.subcommand_matches(GATEWAY) else { return Ok(None) };
    let with_parent = matches.get_flag("exit_with_parent");
    Ok(asked(gateway)?.map(|task| (task, with_parent)))
}

/// Does what comes before a gateway, on this very thread: Litestream is to end with the thread that has started this process.
pub(crate) fn before_gateway(task: Task, with_parent: bool) -> Result<(), Failure> {
    init_logs(task.log()).map_err(Failure::error)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::error)?;
    runtime.block_on(task.run(with_parent)).map_err(|why| Failure::error(format!("{why:#}")))
}

/// Returns the role whose settings are to be printed and what is known of them; `None` when something else is asked.
pub(crate) fn asked_for_config(matches: &ArgMatches) -> Option<(&str, &ArgMatches)> {
    matches.subcommand().filter(|(name, values)| ROLES.contains(name) && values.subcommand_name() == Some(CONFIG))
}

/// Runs config-service.
pub(crate) fn config_service(options: config_service::Options, with_parent: bool) -> Result<(), Failure> {
    let log = options.log.clone();
    run(&log, with_parent, |shutdown| config_service::run(options, shutdown))
}

/// Runs a gateway pod with the moderation bot.
pub(crate) fn gateway(options: gateway::Options, with_parent: bool) -> Result<(), Failure> {
    let log = options.log.clone();
    run(&log, with_parent, |shutdown| gateway::serve(options, moderation_bot::ModerationBot, shutdown))
}

/// Runs http-service.
pub(crate) fn http_service(options: http_service::Options, with_parent: bool) -> Result<(), Failure> {
    let log = options.log.clone();
    run(&log, with_parent, |shutdown| http_service::run(options, shutdown))
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
            done = role(shutdown.clone()) => done.map_err(|why| {
                let again = why.downcast_ref::<MustPrepare>().is_some();
                Failure::new(if again { Code::Again } else { Code::Error }, format!("{why:#}"))
            }),
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

/// Prints the values that a role would run with.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print_config(role: &str, values: &ArgMatches) -> Result<(), Failure> {
    let mut cli = command();
    cli.build();
    let Some(command) = cli.find_subcommand(role) else { return Ok(()) };
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

    fn printed(line: &[&str]) -> String {
        let mut cli = command();
        cli.build();
        let matches = cli.clone().try_get_matches_from([&["berth"], line].concat()).expect("valid");
        let (role, values) = asked_for_config(&matches).expect("asked for");
        config_table(cli.find_subcommand(role).expect("known"), values).render()
    }

    fn row(text: &str, flag: &str) -> Vec<String> {
        let row = text.lines().find(|row| row.starts_with(&format!("{flag} "))).expect("listed");
        row.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_effective_values_show_no_secret() {
        let text = printed(&["http-service", "--github-secret", "hunter2", "--max-body", "5", "config"]);
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(row(&text, "--github-secret")[2..], ["***", "flag"]);
        assert_eq!(row(&text, "--max-body"), ["--max-body", "BERTH_MAX_BODY", "5", "flag"]);
        assert_eq!(row(&text, "--listen")[2..], ["0.0.0.0:3000", "default"]);
    }

    #[test]
    fn what_a_role_would_run_with_is_printed_also_where_something_is_missing() {
        for role in ROLES {
            assert!(printed(&[role, "config"]).lines().count() > 5, "{role}");
        }
        assert_eq!(row(&printed(&["gateway", "config"]), "--pod")[2..], ["-", "unset"]);
        assert_eq!(row(&printed(&["gateway", "--pod", "gateway-3", "config"]), "--pod")[2..], ["gateway-3", "flag"]);
        let missing = command().try_get_matches_from(["berth", "gateway"]).expect_err("it runs nothing without");
        assert_eq!(missing.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }
}
