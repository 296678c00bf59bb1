//! The HTTP kit: one accept loop with every bound in place, probes, bearer tokens, and a small client for calls between
//! services.

mod auth;
mod client;
mod probes;
mod serve;
mod traced;

pub use auth::Tokens;
pub use client::{Client, ClientError};
pub use probes::{Latch, Probes};
pub use serve::{BoundListener, ServeLimits, bind, serve};
pub use traced::{Facts, Trust, traced};
