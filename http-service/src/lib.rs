//! The stateless HTTP tier: verifies platforms' webhooks and routes each event to the pod that owns its target.
//!
//! ```text
//! http ──▶ ingress (pure: verify, target, dedupe key)
//!   └────▶ router ──▶ routes (watch-fed table, first contacts)
//!             └─────▶ forward (one frame link per pod)
//! web ───▶ routes: a guild's own web traffic, streamed to its owner
//! ```

mod app;
mod forward;
mod http;
pub mod ingress;
mod metrics;
mod options;
mod router;
mod routes;
mod stop;
#[cfg(test)]
mod testing;
mod web;

pub use app::run;
pub use options::{Options, SourceArgs};
