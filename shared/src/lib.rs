//! What every Berth service shares.
//!
//! This crate decides nothing about placement, storage or platforms' signatures. It names things ([`id`]), measures
//! time ([`clock`], [`lease`]), says what travels between services ([`wire`], [`event`], [`routing`]), takes an event to its
//! owner ([`router`]) and gives each
//! service the same outer walls ([`http`], [`problem`], [`telemetry`], [`settings`], [`shutdown`]). It imports no other
//! crate of the workspace.

pub mod backoff;
pub mod clock;
pub mod event;
pub mod http;
pub mod id;
pub mod lease;
#[cfg(feature = "plant")]
pub mod plant;
pub mod platform;
pub mod problem;
pub mod protocol;
pub mod router;
pub mod routing;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod wire;

pub use clock::{Clock, Mono};
pub use id::{Epoch, Incarnation, Kind, LeaseId, MoveId, PlanId, Platform, PodId, Revision, TargetId, Term};
pub use problem::Problem;
