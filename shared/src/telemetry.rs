//! Logs and metrics. Logs go to standard error, JSON or for people; nothing secret and no message body is ever logged.

mod lines;
pub mod trace;

use crate::problem::Problem;
use prometheus_client::registry::Registry;
use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
};
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Flags every role has for its logs.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// What to log: a level, or a filter like `info,gateway=debug`
    #[arg(long, env = "BERTH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How to write logs
    #[arg(long, env = "BERTH_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

/// Installs the process' logger. `role` stands in every line of JSON.
///
/// # Errors
/// When the filter cannot be parsed, or a logger is installed already.
pub fn init_logs(args: &LogArgs) -> Result<(), String> {
    let filter = EnvFilter::try_new(&args.log).map_err(|why| format!("--log (BERTH_LOG): {why}"))?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    match args.log_format {
        LogFormat::Pretty => base.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => base.try_init(),
        LogFormat::Auto | LogFormat::Json => {
            base.with_target(false).json().flatten_event(true).map_event_format(lines::Traced).try_init()
        }
    }
    .map_err(|why| why.to_string())
}

/// A service's metrics. Cheap to clone; families are registered while the service is put together.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Makes an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers what `register` names. Names follow OPERATORS.md (Observability), with their help text.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// A problem `internal`; only when formatting itself fails.
    pub fn render(&self) -> Result<String, Problem> {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry).map_err(|_| Problem::internal())?;
        Ok(text)
    }
}
