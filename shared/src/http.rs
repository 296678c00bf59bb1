//! The HTTP kit: one accept loop with every bound in place, probes, bearer tokens, a small client for calls between
//! services, and what passing requests on has in common.

mod auth;
mod client;
mod linger;
mod probes;
pub mod relay;
mod request_id;
mod serve;
mod traced;

pub use auth::Tokens;
pub use client::{Client, ClientError};
pub use linger::linger;
pub use probes::{Latch, Probes};
pub use request_id::{RequestId, RequestIds, identified};
pub use serve::{BoundListener, Peer, ServeLimits, bind, serve};
pub use traced::{Facts, Trust, traced, traced_as, traced_without};
