//! A bot's whole `main`: flags, logs, signals, runtime. Decides nothing else.

use crate::boot::{Task, asked, exit_code, with_tasks};
use crate::{Bot, Options, serve};
use clap::{CommandFactory, FromArgMatches, Parser};
use shared::{settings::with_aliases, shutdown::on_signals, telemetry::init_logs};
use std::process::ExitCode;

/// Most worker threads: the writer has its own, and a pod shares its machine.
const MOST_WORKERS: usize = 4;

/// A bot on Berth: one pod that owns guilds and channels and runs this program's handler for their events
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    options: Options,
    /// Stop when standard input ends: a supervisor holds the other end.
    #[arg(long, global = true, env = "BERTH_EXIT_WITH_PARENT", hide = true)]
    exit_with_parent: bool,
}

/// Runs a bot as a gateway pod, with the flags of `berth gateway`, until a signal: the whole `main` of a bot. A
/// [`crate::Handler`] is one as it is; a [`crate::AsyncHandler`] is given as [`Bot::asynchronous`].
///
/// ```no_run
/// # use gateway::{Handler, HandlerError, Reply, Target, handlers::Event};
/// struct Hello;
///
/// impl Handler for Hello {
///     fn handle(&self, _event: &Event, _target: &mut Target<'_>) -> Result<Reply, HandlerError> {
///         Ok(Reply::text("hello"))
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     gateway::run(Hello)
/// }
/// ```
pub fn run(bot: impl Into<Bot>) -> ExitCode {
    let matches = with_tasks(with_aliases(Command::command())).try_get_matches();
    let asked = matches.and_then(|matches| {
        let with_parent = matches.get_flag("exit_with_parent");
        Ok(match asked(&matches)? {
            Some(task) => (Ok(task), with_parent),
            None => (Err(Command::from_arg_matches(&matches)?), with_parent),
        })
    });
    let done = match asked {
        Ok((Ok(task), with_parent)) => prepare(task, with_parent),
        Ok((Err(command), _)) => start(command, bot.into()),
        Err(why) => {
            let _ = why.print();
            return ExitCode::from(u8::try_from(why.exit_code()).unwrap_or(2));
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::from(exit_code(&why))
        }
    }
}

/// Does what comes before a gateway, on this very thread: Litestream is to end with the thread that has started this process.
fn prepare(task: Task, with_parent: bool) -> anyhow::Result<()> {
    init_logs(task.log()).map_err(anyhow::Error::msg)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task.run(with_parent))
}

fn start(command: Command, bot: Bot) -> anyhow::Result<()> {
    init_logs(&command.options.log).map_err(anyhow::Error::msg)?;
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let shutdown = on_signals(command.exit_with_parent)?;
        serve(command.options, bot, shutdown).await
    })
}
