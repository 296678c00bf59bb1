//! The stateless HTTP tier: verifies platforms' webhooks and routes each event to the pod that owns its target.
//!
//! ```text
//! http ──▶ ingress (pure: verify, target, dedupe key)
//!   └────▶ shared::router ──▶ routes (watch-fed table, first contacts)
//!                     └─────▶ forward (one frame link per pod)
//! web ───▶ routes: a guild's own web traffic, streamed to its owner
//! ```

mod app;
mod http;
pub mod ingress;
mod metrics;
mod options;
mod stop;
mod web;

pub use app::run;
pub use options::{Options, SourceArgs};
