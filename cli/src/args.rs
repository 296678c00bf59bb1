//! The command line: what there is and how it is said. Knows nothing of how it is done.

use crate::{admin, bench, completion, context, handler, send, simulate, up};
use clap::{Parser, Subcommand, builder::FalseyValueParser};

/// One home for every guild and channel of a chat bot.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    before_help = "A whole cluster on this machine:\n  berth up\nand in another terminal:\n  berth send discord --guild 123 --command stats\n  berth target where discord:guild:123",
    after_help = "Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 forbidden, 6 unreachable,\n7 refused by a safety rule, 8 partial failure, 9 still running.\nEvery flag has an environment name; `berth COMMAND --help` shows it.",
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Stop when standard input ends: the supervisor that holds its other end is gone
    #[arg(long, global = true, hide = true, env = "BERTH_EXIT_WITH_PARENT", value_parser = FalseyValueParser::new())]
    pub(crate) exit_with_parent: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster on this machine: config-service, gateways, http-service
    Up(Box<up::Args>),
    /// Play a platform: sign an event and send it
    Send(send::Args),
    /// Try a bot's handler without a cluster
    #[command(subcommand)]
    Handler(handler::Verb),
    /// Measure what Berth costs on this machine
    #[command(subcommand)]
    Bench(bench::Verb),
    /// Live through a day of a made-up fleet: what the planner moves, and how much of it had to
    Simulate(simulate::Args),
    /// Say how the cluster is
    Status(admin::status::Args),
    /// Look at targets: where they are and what they hold
    #[command(subcommand)]
    Target(Box<admin::target::Verb>),
    /// Look at events; decide about those that are dead
    #[command(subcommand)]
    Event(Box<admin::event::Verb>),
    /// List what operators did, and why: the audit
    Events(Box<admin::events::Args>),
    /// Look at pods: whether they are ready and what they carry
    #[command(subcommand)]
    Pod(admin::pod::Verb),
    /// Look at moves of targets between pods; call one off
    #[command(subcommand)]
    Move(Box<admin::moves::Verb>),
    /// Plan what moves, look at it, then have it done
    #[command(subcommand)]
    Plan(Box<admin::plan::Verb>),
    /// Look at what moves by itself for an even share; pause that
    #[command(subcommand)]
    Rebalance(Box<admin::rebalance::Verb>),
    /// Try a new version on a part of the targets; promote it, or have them go back
    #[command(subcommand)]
    Canary(Box<admin::canary::Verb>),
    /// Look at the pods' replicas; have them tried
    #[command(subcommand)]
    Replication(Box<admin::replication::Verb>),
    /// Say which config-service leads; let another one lead
    #[command(subcommand)]
    Leader(admin::leader::Verb),
    /// Say how many pods there are and should be, and have more or fewer
    #[command(subcommand)]
    Scale(admin::scale::Verb),
    /// Say how often the bot may still identify on Discord
    #[command(subcommand)]
    Discord(admin::discord::Verb),
    /// Begin anew with a database that was restored
    #[command(subcommand)]
    Generation(admin::generation::Verb),
    /// Say who else may ask the admin API, and for what
    #[command(subcommand)]
    Token(admin::token::Verb),
    /// Name clusters and choose the one that is asked
    #[command(subcommand)]
    Context(context::Verb),
    /// Say which cluster and which token the verbs use, and why
    Config(admin::place::Args),
    /// Print what a shell needs to complete command lines
    Completion(completion::Args),
    /// Print docs/configuration.md
    #[command(hide = true)]
    ConfigurationReference,
    /// Run the control plane
    ConfigService(Box<config_service::Options>),
    /// Run a gateway pod, with the handler that --handler names or the moderation bot
    Gateway(Box<gateway::Options>),
    /// Run the HTTP tier that takes the platforms' webhooks
    HttpService(Box<http_service::Options>),
}

#[cfg(test)]
mod tests {
    use clap::Command;

    #[test]
    fn the_command_line_is_consistent() {
        crate::roles::command().debug_assert();
    }

    #[test]
    fn every_command_is_described() {
        fn walk(command: &Command) {
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
                walk(sub);
            }
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} of {} has no help", arg.get_id(), command.get_name());
            }
        }
        walk(&crate::roles::command());
    }
}
