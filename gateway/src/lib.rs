//! The stateful worker: owns targets, applies their events in order and durably, runs the bot's handler.

pub mod engine;
pub mod handlers;
mod options;
pub mod ownership;

pub use engine::{Engine, EngineError, TargetRow};
pub use handlers::{Handler, HandlerError, Reply, Target, Timer};
pub use options::Options;
use shared::shutdown::Shutdown;

/// Runs the role until `shutdown`.
///
/// # Errors
/// When it cannot start: a setting is missing, a port is taken, the data folder is in use or cannot be opened.
pub async fn serve(_options: Options, _shutdown: Shutdown) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
