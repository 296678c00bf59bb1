//! `berth bench smoke`: the order of a measurement. Start, wait for the first answer, read the memory at rest, bring every
//! target into being, apply the load between two readings of the processors' time, read the memory again, stop.

use super::{
    cluster::Cluster,
    load::{self, Load, Size},
    processes::{self, Process, Usage},
    report::{Form, Machine, Report, Role, Span},
};
use crate::{exit::Failure, output, send::Moment};
use shared::http::Client;
use std::time::Duration;
use tokio::time::Instant;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Flags of `berth bench smoke`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  cargo run --release -- bench smoke\n  berth bench smoke --events 50000 -o json")]
pub(crate) struct Args {
    /// How many gateways
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pods: u16,
    /// How many targets the events are for
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    targets: u32,
    /// How many events are measured
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    events: u32,
    /// How many are on their way at once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    concurrency: u16,
    /// How long the cluster may take to its first answer
    #[arg(long, default_value = "60s", value_parser = shared::settings::duration, value_name = "TIME")]
    start_timeout: Duration,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
}

/// Measures and prints the report.
///
/// # Errors
/// When the cluster does not come up, or an event of the load is not answered with a 2xx.
pub(super) async fn run(args: Args) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build: its numbers say nothing about a release; use cargo run --release -- bench smoke"
        );
    }
    let size = Size { targets: args.targets, events: args.events, concurrency: args.concurrency.into() };
    let began = Instant::now();
    let mut cluster = Cluster::start(args.pods)?;
    let found = cluster.found(args.start_timeout).await?;
    let http = Client::new(&found.http_url, None, ANSWER)?;
    let load = Load::new(&found.secrets, &Moment::now(None, None)?, size)?;
    load::first_answer(&http, &load, began + args.start_timeout).await?;
    let start = began.elapsed();
    eprintln!("first answer after {:.2} s; {} events are made and signed", start.as_secs_f64(), args.events);
    let processes = processes::children(cluster.id())?;
    let rest = usages(&processes)?;
    let load = load.signed()?;
    load.meet(&http).await?;
    let (before, own_before) = (usages(&processes)?, processes::own()?);
    let timing = load.run(&http).await?;
    let (after, own_after) = (usages(&processes)?, processes::own()?);
    cluster.stop().await?;
    let micros = |later: &Usage, earlier: &Usage| later.cpu.saturating_sub(earlier.cpu).as_secs_f64() * 1e6;
    let per_event = |micros: f64| micros / f64::from(args.events);
    let roles = Role::group(processes.iter().enumerate().map(|(i, process)| {
        let cpu = per_event(micros(&after[i], &before[i]));
        Role {
            role: process.role.clone(),
            processes: 1,
            rest: rest[i].memory,
            loaded: after[i].memory,
            cpu_us_per_event: cpu,
        }
    }));
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        machine: Machine::this(),
        pods: args.pods,
        targets: args.targets,
        events: args.events,
        concurrency: args.concurrency,
        first_answer_seconds: start.as_secs_f64(),
        load: Span::of(&timing, args.events),
        sender_cpu_us_per_event: per_event(micros(&own_after, &own_before)),
        roles,
    };
    output::print(&report.show(args.output))
}

fn usages(processes: &[Process]) -> Result<Vec<Usage>, Failure> {
    processes.iter().map(|process| processes::usage(process.id)).collect()
}
