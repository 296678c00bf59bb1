//! The stateful worker: owns targets, applies their events in order and durably, runs the bot's handler.

mod agent;
mod app;
pub mod engine;
mod folder;
pub mod handlers;
mod http;
mod metrics;
mod options;
pub mod ownership;
mod readiness;
mod run;

pub use app::serve;
pub use engine::{Engine, EngineError, TargetRow};
pub use handlers::{Handler, HandlerError, Reply, Target, Timer};
pub use options::Options;
pub use run::run;
