//! The stateful worker: owns targets, applies their events in order and durably, runs the bot's handler.

mod agent;
mod answers;
mod app;
pub mod boot;
mod discord;
mod dispatch;
mod drill;
pub mod engine;
mod folder;
pub mod handlers;
mod handoff;
mod http;
mod meters;
mod metrics;
mod options;
mod outbox;
pub mod ownership;
mod readiness;
mod reconcile;
mod recovery;
pub mod replica;
mod replication;
mod retention;
mod retire;
mod run;
mod schema;
#[cfg(feature = "plant")]
pub mod simulation;
mod store;
pub mod testing;
mod web;

pub use app::serve;
pub use engine::{Engine, EngineError, TargetRow};
pub use handlers::{AsyncHandler, Bot, Call, Handler, HandlerError, Reply, Said, Target, Timer};
pub use options::{DiscordArgs, HandlerArgs, IntentList, NoIntent, Options, ReplicationArgs};
pub use replication::{AcknowledgeList, BadMode};
pub use retire::{Retired, retire};
pub use run::run;
pub use schema::Tables;
pub use store::StoreError;
pub use web::{Application, NotAnApplication};
