//! The harness's command line: what can be asked of it. Knows nothing of how it is done.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Breaks a running cluster in every way it knows, and counts what was lost, done twice or owned by two.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    before_help = "  ./chaos --minutes 4\n  ./chaos --minutes 60 --json chaos.json\n  ./chaos --faults gateway-kill,cut --seed 7\n  ./chaos --numbers --markdown docs/reliability.md",
    after_help = "Exit codes: 0 all promises were kept, 1 one was broken, 2 usage, 3 this machine cannot do it.\nIt needs root, iproute2, a C compiler and PostgreSQL's server programs; Linux only.",
    max_term_width = 110
)]
pub(crate) struct Arguments {
    /// Something else than a run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// What a run is like.
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What is not a run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The proxy that stands in front of a node; the harness starts it in the node's namespace.
    #[command(hide = true)]
    Proxy {
        /// The port it listens on.
        listen: u16,
        /// The port on the same node it passes everything on to.
        to: u16,
    },
    /// Says what the clocks show; the harness asks whether they can be turned.
    #[command(hide = true)]
    Clock,
    /// Remove what an earlier run left behind: namespaces, bridge, mounts, processes
    Clean,
}

/// A run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// How long faults are made; the end, with its checks, comes after
    #[arg(long, default_value_t = 4.0, value_name = "N")]
    pub(crate) minutes: f64,
    /// What the faults are drawn from; the same seed draws the same ones
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Which kinds of faults, separated by commas; all when it is not given
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    pub(crate) faults: Vec<String>,
    /// Where the report goes as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the tables into this page, between its marks
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Measure the numbers of docs/reliability.md instead of making random faults
    #[arg(long)]
    pub(crate) numbers: bool,
    /// Try the harness: spoil what a run has left behind, and check that all of it is found
    #[arg(long, conflicts_with = "numbers")]
    pub(crate) self_test: bool,
    /// Only these numbers, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES", requires = "numbers")]
    pub(crate) only: Vec<String>,
    /// How many targets the measured drain has
    #[arg(long, default_value_t = 10_000, value_name = "N", requires = "numbers")]
    pub(crate) drained: usize,
    /// The `berth` binary; `story-bot` lies beside it. The one beside this program when it is not given
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// Config-services
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) config_services: usize,
    /// Gateways
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) gateways: usize,
    /// HTTP tiers
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) http_services: usize,
    /// Targets that are sent events
    #[arg(long, default_value_t = 240, value_name = "N")]
    pub(crate) targets: usize,
    /// Events per second, of all targets together
    #[arg(long, default_value_t = 320, value_name = "N")]
    pub(crate) rate: u64,
    /// Fewer acknowledged events than this fail the run
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) least_events: u64,
    /// Keep the folder with logs and databases
    #[arg(long)]
    pub(crate) keep: bool,
}
