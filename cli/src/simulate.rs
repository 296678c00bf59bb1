//! `berth simulate`: a day of a made-up fleet in seconds, with the real planner and its limits: what moves, how much of that had
//! to, how even pods stay, and for how long targets pause. Nothing outside is touched. The same seed gives the same output.

mod day;
mod fleet;

use crate::{exit::Failure, output};
use day::Day;
use std::time::Duration;

/// Flags of `berth simulate`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    before_help = "Examples:\n  berth simulate\n  berth simulate --pods 20 --targets 50000 --crashes 3 --rolling 12h --seed 7"
)]
pub(crate) struct Args {
    /// Pods at the start
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=3_000))]
    pods: u32,
    /// Pods that are added when a third of the time is over
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    more: u32,
    /// Targets; their weights follow Zipf's law
    #[arg(long, default_value_t = 5_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    targets: u32,
    /// How long, in the fleet's own time
    #[arg(long, default_value = "24h", value_parser = shared::settings::duration, value_name = "TIME")]
    time: Duration,
    /// How often the planner is asked
    #[arg(long, default_value = "60s", value_parser = shared::settings::duration, value_name = "TIME")]
    interval: Duration,
    /// How many pods crash, and come back after ten minutes
    #[arg(long, default_value_t = 2, value_name = "N")]
    crashes: u32,
    /// When all pods are replaced one by one, each drained before: not at all when it is 0
    #[arg(long, default_value = "16h", value_parser = shared::settings::duration, value_name = "TIME")]
    rolling: Duration,
    /// Where all numbers come from
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// Simulates and prints what came of it.
///
/// # Errors
/// When it cannot be printed.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    output::print(&Day::new(args).live())
}

#[cfg(test)]
mod tests;
