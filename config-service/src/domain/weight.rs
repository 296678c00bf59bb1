//! What a target weighs, as pods tell it and the store keeps it. What follows from it is the planner's to decide.

use serde::{Deserialize, Serialize};

/// What a target weighs. Small on purpose: there are millions of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Weight {
    /// Events per second.
    pub events: f32,
    /// Bytes stored.
    pub bytes: f32,
    /// Open sockets.
    pub sockets: f32,
}
