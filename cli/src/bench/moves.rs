//! `berth bench move`: how long a target of a given size accepts no event while it moves. A cluster of its own, one target
//! for each size, moved to and fro between its pods one move at a time. The pauses are those that the pods measured.

use super::{
    cluster::Cluster,
    load::{self, Load, Size},
    report::{Form, Machine, Span},
};
use crate::{
    exit::Failure,
    output::{self, Table},
    send::Moment,
};
use serde::Serialize;
use serde_json::json;
use shared::http::Client;
use shared::settings::Secret;
use shared::wire::handoff::{Move, MoveState};
use std::{fmt::Write as _, time::Duration};
use tokio::time::{Instant, sleep};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How often it is looked whether a move is over.
const LOOK: Duration = Duration::from_millis(10);
/// How long a move may take.
const MOVE: Duration = Duration::from_secs(120);

/// Flags of `berth bench move`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  cargo run --release -- bench move\n  berth bench move --bytes 1000000 --times 200 -o json"
)]
pub(crate) struct Args {
    /// How many bytes the targets have, one target for each number
    #[arg(long, default_value = "10000,1000000,50000000", value_delimiter = ',', value_name = "BYTES")]
    bytes: Vec<u64>,
    /// How often each is moved
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,
    /// How many gateways
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=100))]
    pods: u16,
    /// How long the cluster may take to its first answer
    #[arg(long, default_value = "60s", value_parser = shared::settings::duration, value_name = "TIME")]
    start_timeout: Duration,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    build: &'static str,
    machine: Machine,
    pods: u16,
    sizes: Vec<Moved>,
}

/// The moves of one target.
#[derive(Debug, Serialize)]
struct Moved {
    /// Bytes that travelled in its last move.
    bytes: u64,
    rows: u64,
    moves: u32,
    /// Moves that were aborted, and tried again.
    aborted: u32,
    pause_p50_ms: f64,
    pause_p99_ms: f64,
    pause_max_ms: f64,
    moves_per_second: f64,
}

/// Measures and prints the report.
///
/// # Errors
/// When the cluster does not come up, or a move does not come to its end.
pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build: its numbers say nothing about a release; use cargo run --release -- bench move"
        );
    }
    let began = Instant::now();
    let mut cluster = Cluster::start(args.pods)?;
    let found = cluster.found(args.start_timeout).await?;
    let http = Client::new(&found.http_url, None, ANSWER)?;
    let token = Secret::new(found.secrets.admin_token.clone());
    let admin = Client::new(&found.config_url, Some(token), ANSWER)?;
    let targets = u32::try_from(args.bytes.len()).map_err(Failure::error)?;
    let size = Size { targets: targets.max(1), events: 0, concurrency: 4 };
    let load = Load::new(&found.secrets, &Moment::now(None, None)?, size)?;
    load::first_answer(&http, &load, began + args.start_timeout).await?;
    let mut sizes = Vec::new();
    for (n, bytes) in (0..).zip(&args.bytes) {
        eprintln!("a target of {bytes} bytes is made and moved {} times", args.times);
        load.fill(&http, n, *bytes).await?;
        sizes.push(measure(&admin, &load.target(n), args.times).await?);
    }
    cluster.stop().await?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        machine: Machine::this(),
        pods: args.pods,
        sizes,
    };
    output::print(&report.show(args.output))
}

/// Moves a target so many times, one after the other.
async fn measure(admin: &Client, target: &str, times: u32) -> Result<Moved, Failure> {
    let (began, mut pauses, mut aborted) = (Instant::now(), Vec::new(), 0);
    let (mut rows, mut bytes) = (0, 0);
    while pauses.len() < times as usize {
        let of = once(admin, target).await?;
        match of.pause_ms.filter(|_| of.state == MoveState::Cleaned) {
            Some(ms) => pauses.push(Duration::from_millis(ms)),
            None => aborted += 1,
        }
        if aborted > times {
            return Err(Failure::error(format!("moves are aborted: {}", of.detail.unwrap_or_default())));
        }
        (rows, bytes) = (of.rows, of.bytes);
    }
    let all = began.elapsed().as_secs_f64();
    pauses.sort_unstable();
    let ms = |part| Span::percentile(&pauses, part).as_secs_f64() * 1_000.0;
    Ok(Moved {
        bytes,
        rows,
        moves: times,
        aborted,
        pause_p50_ms: ms(0.5),
        pause_p99_ms: ms(0.99),
        pause_max_ms: ms(1.0),
        moves_per_second: f64::from(times) / all,
    })
}

/// Moves a target once and waits for the end.
async fn once(admin: &Client, target: &str) -> Result<Move, Failure> {
    let (path, deadline) = (format!("/v1/targets/{target}/move"), Instant::now() + MOVE);
    let begun: Move = loop {
        match admin.post(&path, &json!({"reason": "berth bench move"})).await {
            Ok(begun) => break begun,
            // The other pod may not be there yet.
            Err(why) if why.problem().is_none_or(|problem| problem.status != 409) || Instant::now() > deadline => {
                return Err(why.into());
            }
            Err(_) => sleep(LOOK).await,
        }
    };
    let path = format!("/v1/moves/{}", begun.id);
    loop {
        let of: Move = admin.get(&path).await?;
        if of.state.is_over() {
            return Ok(of);
        }
        if Instant::now() > deadline {
            let state = of.state.as_str();
            return Err(Failure::error(format!("move {} is {state} after {MOVE:?}", of.id)));
        }
        sleep(LOOK).await;
    }
}

impl Report {
    fn show(&self, form: Form) -> String {
        match form {
            Form::Json => output::json(self),
            Form::Table => self.table(),
        }
    }

    fn table(&self) -> String {
        let Self { version, build, machine, pods, .. } = self;
        let mut text = format!(
            "berth {version}, {build}, {pods} pods on {}, {} cores, {}\n\n",
            machine.processor, machine.cores, machine.kernel
        );
        let mut sizes =
            Table::new(&["bytes", "rows", "moves", "aborted", "pause p50", "pause p99", "pause max", "moves/s"]);
        for Moved { bytes, rows, moves, aborted, pause_p50_ms, pause_p99_ms, pause_max_ms, moves_per_second } in
            &self.sizes
        {
            sizes.row([
                bytes.to_string(),
                rows.to_string(),
                moves.to_string(),
                aborted.to_string(),
                format!("{pause_p50_ms:.0} ms"),
                format!("{pause_p99_ms:.0} ms"),
                format!("{pause_max_ms:.0} ms"),
                format!("{moves_per_second:.1}"),
            ]);
        }
        let _ = write!(text, "{}", sizes.render());
        text
    }
}
