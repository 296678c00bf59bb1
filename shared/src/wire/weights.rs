//! What single targets do, as their pods tell of it beside their heartbeats' other news.

use crate::TargetId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of how many targets a heartbeat tells at most.
pub const MAX_WEIGHTS: usize = 256;

/// What one target does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetWeight {
    /// The target.
    pub target: TargetId,
    /// Its events, per second, since it was told last.
    pub events_per_second: f32,
}

/// What one target keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetSize {
    /// The target.
    pub target: TargetId,
    /// Bytes that it stores: keys with their values, and events.
    #[serde(default)]
    pub bytes: u64,
    /// Its open connections of web users.
    #[serde(default)]
    pub sockets: u64,
}

/// What a pod measures of its targets now and then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// How often this process has told what its busiest targets do; none from one that never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<u64>,
    /// What targets keep for which that has changed by much, or begins to be worth telling: at most [`MAX_WEIGHTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<TargetSize>,
}

impl Measured {
    /// Returns whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
