//! `berth handler test URL`: plays Berth against anybody's handler and prints what is wrong with it. Decides what is
//! played and how the command ends; what a pod does with real events is the gateway's.

mod cases;
mod judge;
mod local;
mod player;
mod report;
mod request;
mod shape;
mod suite;
mod world;

use crate::{
    exit::{Code, Failure},
    output::Format,
};
use player::Player;
use report::Report;
use shared::{
    Clock,
    clock::BootClock,
    settings::{Secret, value_or_file},
    shutdown::Shutdown,
};
use std::{path::PathBuf, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// What to do with handlers.
#[derive(Debug, clap::Subcommand)]
#[command(before_help = "Example:\n  berth handler test http://127.0.0.1:8080")]
pub(crate) enum Verb {
    /// Play Berth against a handler and say what is wrong with it
    Test(Args),
}

/// Flags of `berth handler test`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth handler test http://127.0.0.1:8080\nExits with 0 when Berth takes every answer, 1 when it does not, 6 when nothing listens there.",
    after_help = "The events are made up, their effects are not: what the handler does outside its answers, it does. Give it a test handler."
)]
pub(crate) struct Args {
    /// The handler, as --handler of a gateway names it
    #[arg(value_name = "URL")]
    url: String,
    /// The token that the handler wants to see
    #[arg(long, env = "BERTH_HANDLER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File with the token
    #[arg(long, env = "BERTH_HANDLER_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// How long an answer may take; at most 2 s where a platform waits 3 s
    #[arg(long, default_value = "10s", value_parser = shared::settings::duration, value_name = "TIME")]
    timeout: Duration,
    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

/// Does what the verb says.
pub(crate) async fn run(verb: Verb) -> Result<(), Failure> {
    let Verb::Test(args) = verb;
    let token = value_or_file("BERTH_HANDLER_TOKEN", args.token.as_deref(), args.token_file.as_deref());
    let token = token.map_err(|why| Failure::new(Code::Usage, why))?.map(Secret::new);
    let player = Player::new(&args.url, token, args.timeout + Duration::from_secs(1))?;
    listens(player.url(), args.timeout).await?;
    let (world, stop) = (local::Shared::default(), Shutdown::new());
    let local = local::start(world.clone(), stop.clone()).await.map_err(Failure::error)?;
    let (handler, checks) = suite::checks(&player, &world, &local, BootClock.wall_ms(), args.timeout).await;
    stop.cancel();
    Report::new(player.url(), handler, checks).print(args.output)
}

/// Says so at once when nobody listens there.
async fn listens(url: &str, limit: Duration) -> Result<(), Failure> {
    let uri: http::Uri = url.parse().map_err(|_| Failure::new(Code::Usage, format!("{url} is no URL")))?;
    let (host, port) = (uri.host().unwrap_or_default().trim_matches(['[', ']']), uri.port_u16().unwrap_or(80));
    let why = match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(why)) => why.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(Failure::new(Code::Unreachable, format!("nothing listens at {url}: {why}; start the handler first")))
}
