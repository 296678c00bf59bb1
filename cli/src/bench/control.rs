//! `berth bench control`: what a large table of targets costs config-service. It starts one on a database of the caller's, gives
//! very many targets a home, has a plan made while it asks on, kills it and starts it again. Gateways there are none: their
//! registrations and heartbeats are sent from here.

mod fleet;
mod service;

use crate::{
    exit::Failure,
    output::{self, Table},
};
use fleet::Fleet;
use serde::Serialize;
use service::Service;
use shared::{
    http::Client,
    wire::control::{Place, PlaceTarget, Placed},
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(120);
/// The pause between two questions to the leader while it plans.
const BETWEEN: Duration = Duration::from_millis(5);
/// For how long it is asked before it plans.
const IDLE: Duration = Duration::from_secs(3);

/// Flags of `berth bench control`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  cargo run --release -- bench control\n  berth bench control --store postgres://berth@localhost/bench --json control.json"
)]
pub(crate) struct Args {
    /// Where config-service keeps it all: an empty database of yours, `postgres://…` or `sqlite:PATH`; a file that goes away with
    /// the measurement when it is not set
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How many targets
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    targets: u32,
    /// On how many pods
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1_000))]
    pods: u16,
    /// How many first contacts are in one request, as a busy http-service gathers them
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    batch: u32,
    /// How many requests are on their way at once
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    targets: u32,
    pods: u16,
    store: &'static str,
    build: &'static str,
    /// First contacts answered per second, each committed.
    first_contacts_per_second: f64,
    /// Processor time that config-service took for each, in microseconds; the database's and the sender's are not in it.
    cpu_us_per_first_contact: f64,
    /// Memory of config-service, all its pages, in bytes: before the first target, with all of them, and the most it ever had
    /// by then.
    rss_empty: u64,
    rss_full: u64,
    rss_peak: u64,
    /// The longest wait of a question to the leader: while nothing happens, and while a plan is made.
    wait_idle_ms: f64,
    wait_planning_ms: f64,
    plan_seconds: f64,
    rss_peak_after_plan: u64,
    /// From the start of the next process until it is ready.
    restart_seconds: f64,
    rss_restarted: u64,
    rss_restarted_peak: u64,
}

/// Measures and prints the report.
///
/// # Errors
/// When config-service does not come up, or refuses what is asked.
pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build: its numbers say nothing about a release; use cargo run --release -- bench control"
        );
    }
    let mut service = Service::start(args.store.as_deref())?;
    service.ready().await?;
    let fleet = Fleet::join(service.client(ANSWER)?, args.pods).await?;
    let rss_empty = service.memory()?.now;
    let cpu_before = service.cpu()?;
    eprintln!("{} targets get a home on {} pods", args.targets, args.pods);
    let seconds = fleet.beating(filled(&service.client(ANSWER)?, &args)).await?;
    let (full, cpu) = (service.memory()?, service.cpu()?.saturating_sub(cpu_before));
    let probe = service.client(ANSWER)?;
    let idle = async {
        sleep(IDLE).await;
        Ok(())
    };
    let ((), wait_idle) = fleet.beating(longest_wait(&probe, idle)).await?;
    eprintln!("a plan is made");
    let plan = async {
        let began = Instant::now();
        service.plan().await?;
        Ok(began.elapsed())
    };
    let (planned, wait_planning) = fleet.beating(longest_wait(&probe, plan)).await?;
    let after_plan = service.memory()?;
    eprintln!("config-service is killed and started again");
    service.kill()?;
    let began = Instant::now();
    service.start_again()?;
    service.ready().await?;
    let restart = began.elapsed();
    let restarted = service.memory()?;
    let report = Report {
        targets: args.targets,
        pods: args.pods,
        store: if service.is_postgres() { "postgres" } else { "sqlite" },
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        first_contacts_per_second: f64::from(args.targets) / seconds.as_secs_f64(),
        cpu_us_per_first_contact: cpu.as_secs_f64() * 1e6 / f64::from(args.targets),
        rss_empty,
        rss_full: full.now,
        rss_peak: full.peak,
        wait_idle_ms: millis(wait_idle),
        wait_planning_ms: millis(wait_planning),
        plan_seconds: planned.as_secs_f64(),
        rss_peak_after_plan: after_plan.peak,
        restart_seconds: restart.as_secs_f64(),
        rss_restarted: restarted.now,
        rss_restarted_peak: restarted.peak,
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::error)?;
        std::fs::write(path, text + "\n").map_err(|why| Failure::error(format!("{}: {why}", path.display())))?;
    }
    output::print(&table(&report))
}

/// Gives every target a home; returns how long that took.
async fn filled(client: &Client, args: &Args) -> Result<Duration, Failure> {
    let (next, began) = (AtomicU32::new(0), Instant::now());
    let worker = async || -> Result<(), Failure> {
        loop {
            let from = next.fetch_add(args.batch, Ordering::Relaxed);
            if from >= args.targets {
                return Ok(());
            }
            let range = from..args.targets.min(from.saturating_add(args.batch));
            let count = range.len();
            let placed: Placed = client
                .post("/v1/targets/place", &Place { targets: range.map(target).collect() })
                .await
                .map_err(Failure::error)?;
            if placed.assignments.len() != count {
                let why = placed.refused.first().map_or_else(String::new, |refused| refused.detail.clone());
                return Err(Failure::error(format!("{} targets were refused: {why}", placed.refused.len())));
            }
        }
    };
    futures_util::future::try_join_all((0..args.concurrency).map(|_| worker())).await?;
    Ok(began.elapsed())
}

/// The `n`th target: guilds, chats, and now and then a channel that goes where its guild is. Their numbers are spread as those of
/// platforms are.
fn target(n: u32) -> PlaceTarget {
    let spread = |n: u32| 81_384_788_765_712_384 + u64::from(n.wrapping_mul(2_654_435_761)) * 211_106_232;
    let (name, parent) = match n % 10 {
        0..7 => (format!("discord:guild:{}", spread(n)), None),
        7 => (format!("discord:channel:{}", spread(n)), Some(format!("discord:guild:{}", spread(n - 1)))),
        _ => (format!("telegram:channel:-100{}", spread(n) % 10_000_000_000), None),
    };
    let parse = |name: String| name.parse().expect("a target's name");
    PlaceTarget { target: parse(name), parent: parent.map(parse), beside: None }
}

/// Asks the leader something small again and again until `what` is done; returns that and the longest wait for an answer.
async fn longest_wait<T>(
    client: &Client,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Duration), Failure> {
    let done = AtomicBool::new(false);
    let probe = async {
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let _: serde_json::Value = client.get("/v1/rebalance").await.map_err(Failure::error)?;
            longest = longest.max(began.elapsed());
            sleep(BETWEEN).await;
        }
        Ok::<_, Failure>(longest)
    };
    let what = async {
        let made = what.await;
        done.store(true, Ordering::Relaxed);
        made
    };
    tokio::try_join!(what, probe)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn table(report: &Report) -> String {
    let mut table = Table::new(&["what", "measured"]);
    let mb = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let rows = [
        ("build, store", format!("{}, {}", report.build, report.store)),
        ("targets, pods", format!("{}, {}", report.targets, report.pods)),
        ("first contacts", format!("{:.0} a second", report.first_contacts_per_second)),
        ("processor time of each", format!("{:.1} µs", report.cpu_us_per_first_contact)),
        ("memory before", mb(report.rss_empty)),
        ("memory with all targets", mb(report.rss_full)),
        ("most of it until then", mb(report.rss_peak)),
        ("longest wait for an answer, idle", format!("{:.1} ms", report.wait_idle_ms)),
        ("longest wait while a plan is made", format!("{:.1} ms", report.wait_planning_ms)),
        ("the plan", format!("{:.2} s", report.plan_seconds)),
        ("most memory with that", mb(report.rss_peak_after_plan)),
        ("ready after a restart", format!("{:.2} s", report.restart_seconds)),
        ("memory after the restart", mb(report.rss_restarted)),
        ("most of it on the way there", mb(report.rss_restarted_peak)),
    ];
    for (what, measured) in rows {
        table.row([what.to_owned(), measured]);
    }
    table.render()
}
