//! The `berth` command: the roles, a whole cluster on one machine (`up`), a player of platforms (`send`), and the
//! operator's verbs. It starts services and asks them; it decides nothing that a service decides.

mod admin;
mod args;
mod bench;
mod completion;
mod context;
mod exit;
mod handler;
mod home;
#[cfg(test)]
mod manual;
mod output;
mod reference;
mod roles;
mod secrets;
pub mod send;
mod simulate;
mod up;

use args::{Cli, Command};
use clap::FromArgMatches;
use exit::Failure;
use std::process::ExitCode;

/// Runs the command that the process was started with and returns its exit code (OPERATORS.md, CLI).
pub fn main() -> ExitCode {
    let matches = roles::command().get_matches();
    let name = matches.subcommand_name().unwrap_or_default();
    let done = match (roles::asked_for_config(&matches), roles::asked_for_task(&matches)) {
        (Some((role, values)), _) => roles::print_config(role, values),
        (None, Ok(Some((task, with_parent)))) => roles::before_gateway(task, with_parent),
        (None, Ok(None)) => match Cli::from_arg_matches(&matches) {
            Ok(cli) => dispatch(cli),
            Err(why) => why.exit(),
        },
        (None, Err(why)) => why.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("berth {name}: {failure}");
            failure.code.into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let with_parent = cli.exit_with_parent;
    match cli.command {
        Command::ConfigService(options) => roles::config_service(*options, with_parent),
        Command::Gateway(options) => roles::gateway(*options, with_parent),
        Command::HttpService(options) => roles::http_service(*options, with_parent),
        Command::Up(args) => up::main(*args, with_parent),
        Command::Send(args) => client_runtime()?.block_on(send::run(args)),
        Command::Handler(verb) => client_runtime()?.block_on(handler::run(verb)),
        Command::Bench(verb) => client_runtime()?.block_on(bench::run(verb)),
        Command::Simulate(args) => simulate::run(&args),
        Command::Status(args) => client_runtime()?.block_on(admin::status::run(args)),
        Command::Target(verb) => client_runtime()?.block_on(admin::target::run(*verb)),
        Command::Event(verb) => client_runtime()?.block_on(admin::event::run(*verb)),
        Command::Events(args) => client_runtime()?.block_on(admin::events::run(*args)),
        Command::Replication(verb) => client_runtime()?.block_on(admin::replication::run(*verb)),
        Command::Pod(verb) => client_runtime()?.block_on(admin::pod::run(verb)),
        Command::Scale(verb) => client_runtime()?.block_on(admin::scale::run(verb)),
        Command::Move(verb) => client_runtime()?.block_on(admin::moves::run(*verb)),
        Command::Plan(verb) => client_runtime()?.block_on(admin::plan::run(*verb)),
        Command::Canary(verb) => client_runtime()?.block_on(admin::canary::run(*verb)),
        Command::Rebalance(verb) => client_runtime()?.block_on(admin::rebalance::run(*verb)),
        Command::Leader(verb) => client_runtime()?.block_on(admin::leader::run(verb)),
        Command::Discord(verb) => client_runtime()?.block_on(admin::discord::run(verb)),
        Command::Generation(verb) => client_runtime()?.block_on(admin::generation::run(verb)),
        Command::Token(verb) => client_runtime()?.block_on(admin::token::run(verb)),
        Command::Context(verb) => context::run(verb),
        Command::Config(args) => admin::place::show(&args),
        Command::ConfigurationReference => output::print(&reference::page()),
        Command::Completion(args) => completion::run(&args),
    }
}

/// A runtime for commands that make a few calls and end.
fn client_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::error(format!("cannot start: {why}")))
}
