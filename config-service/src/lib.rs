//! The control plane: assigns every target to one pod, keeps that in a database, and tells everybody.

mod options;

pub use options::Options;
use shared::shutdown::Shutdown;

/// Runs the role until `shutdown`.
///
/// # Errors
/// When it cannot start: a setting is missing, a port is taken, the store cannot be opened.
pub async fn run(_options: Options, _shutdown: Shutdown) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
