//! The stateless HTTP tier: verifies platforms' webhooks and routes each event to the pod that owns its target.

pub mod ingress;
mod options;

pub use options::{Options, SourceArgs};
use shared::shutdown::Shutdown;

/// Runs the role until `shutdown`.
///
/// # Errors
/// When it cannot start: a setting is missing or malformed, or a port is taken.
pub async fn run(_options: Options, _shutdown: Shutdown) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
