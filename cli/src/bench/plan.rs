//! `berth bench plan`: how long the planner takes, how much its plans move over the least that any plan could, and how even
//! pods are afterwards; beside it what a hash ring and rendezvous hashing would move. Made of numbers from a seed: no cluster
//! is needed.

mod fleet;
mod hashing;

use crate::{
    exit::Failure,
    output::{self, Table},
};
use config_service::planner::{Phase, Pin, Policy, Snapshot, plan};
use fleet::{Fleet, pod};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};
use tokio::time::Instant;

/// Flags of `berth bench plan`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:\n  cargo run --release -- bench plan\n  berth bench plan --json plans.json")]
pub(crate) struct Args {
    /// Targets of each scenario but the largest
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    targets: u32,
    /// Targets of the largest scenario
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    most: u32,
    /// Where the fleets' numbers come from
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    scenarios: Vec<Scenario>,
}

/// What one plan came to.
#[derive(Debug, Serialize)]
struct Scenario {
    name: String,
    targets: usize,
    pods: usize,
    seconds: f64,
    moved_over_bound: f64,
    max_over_mean: f64,
}

/// Measures and prints the report.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "this is a debug build: its times say nothing about a release; use cargo run --release -- bench plan"
        );
    }
    let report = measure(args);
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::error)?;
        std::fs::write(path, text + "\n").map_err(|why| Failure::error(format!("{}: {why}", path.display())))?;
    }
    output::print(&table(&report))
}

fn measure(args: &Args) -> Report {
    let mut scenarios = Vec::new();
    let fleet = Fleet::drawn(args.targets as usize, 10, args.seed);
    for (name, snapshot) in happenings(&fleet) {
        scenarios.push(measured(name, &snapshot));
    }
    let large = Fleet::drawn(args.most as usize, 100, args.seed);
    let name = if args.most == 1_000_000 { "1M×100".to_owned() } else { format!("{}×100", args.most) };
    let mut crashed = large.snapshot(100);
    scenarios.push(measured(name.clone(), &crashed));
    crashed.pod_mut(0).phase = Phase::Dead;
    scenarios.push(measured(format!("{name} crash"), &crashed));
    scenarios.push(measured(format!("{name} to 110"), &large.snapshot(110)));
    for (name, was, is) in [("scale-out", 10, 12), ("scale-in", 10, 8)] {
        for (rule, place) in hashing::RULES {
            let found = hashing::compare(&fleet, was, is, place);
            scenarios.push(Scenario { name: format!("{name}, {rule}"), ..found });
        }
    }
    Report { scenarios }
}

/// What can happen to a fleet of ten pods.
fn happenings(fleet: &Fleet) -> Vec<(String, Snapshot)> {
    let mut all = vec![("scale-out".to_owned(), fleet.snapshot(12))];
    let mut change = |name: &str, change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = fleet.snapshot(10);
        change(&mut snapshot);
        all.push((name.to_owned(), snapshot));
    };
    change("scale-in", &|now| {
        for at in [8, 9].map(|n| now.pod(&pod(n))).into_iter().flatten() {
            now.pod_mut(at).in_range = false;
        }
    });
    change("crash", &|now| now.pod_mut(3).phase = Phase::Dead);
    // Every seventh target weighs on the first pod besides what it has.
    change("skew", &|now| {
        for at in (0..now.targets().len()).step_by(7) {
            now.give(at, 0, &Policy { cooldown_ms: 0, ..Policy::default() }, 0);
            // It was always there: nothing cools down.
            now.rules_mut(at).moved = None;
        }
    });
    change("pin", &|now| {
        for at in (0..now.targets().len()).step_by(997) {
            now.rules_mut(at).pin = Some(Pin { pod: pod(at % 10), until_ms: None });
        }
    });
    all
}

fn measured(name: String, snapshot: &Snapshot) -> Scenario {
    let began = Instant::now();
    let made = plan(snapshot, &Policy::default(), 0);
    let taken: Duration = began.elapsed();
    Scenario {
        name,
        targets: snapshot.targets().len(),
        pods: snapshot.pods().len(),
        seconds: taken.as_secs_f64(),
        moved_over_bound: made.cost.moved_over_bound(),
        max_over_mean: made.skew.after,
    }
}

fn table(report: &Report) -> String {
    let mut table = Table::new(&["scenario", "targets", "pods", "seconds", "moved / bound", "max / mean"]);
    for found in &report.scenarios {
        table.row([
            found.name.clone(),
            found.targets.to_string(),
            found.pods.to_string(),
            format!("{:.3}", found.seconds),
            format!("{:.3}", found.moved_over_bound),
            format!("{:.3}", found.max_over_mean),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests;
