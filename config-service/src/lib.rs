//! The control plane: assigns every target to one pod, keeps that in a database, and tells everybody.
//!
//! `http` asks `control`, whose one task owns the model and decides with the pure `planner` and `domain`; `store` keeps it,
//! on PostgreSQL or SQLite. The store and what goes through it are public for the contract suite that runs on both.

mod app;
mod control;
pub mod domain;
mod http;
mod identify;
mod metrics;
mod options;
mod page;
pub mod planner;
mod rest;
mod scale;
pub mod store;

#[cfg(feature = "plant")]
pub use control::simulation;
pub use options::Options;
use shared::{clock::BootClock, shutdown::Shutdown};
use std::sync::Arc;

/// Runs the role until `shutdown`.
///
/// # Errors
/// When it cannot start: a setting is missing, a port is taken, the store cannot be opened. Later on: when the store can
/// never be used.
pub async fn run(options: Options, shutdown: Shutdown) -> anyhow::Result<()> {
    // First, so that a start that is refused leaves no database behind.
    let secrets = app::Secrets::read(&options)?;
    let store = app::open(&options)?;
    let running = app::start(options, secrets, store, Arc::new(BootClock), shutdown).await?;
    tracing::info!(address = %running.address, "config-service listens");
    running.ended.await?
}

#[cfg(test)]
mod tests;
