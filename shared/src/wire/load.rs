//! What a pod says that it carries and uses, with every heartbeat.

use super::replication::Lag;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a pod carries; the largest normalised dimension counts (PLACEMENT.md, Inputs).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Targets it holds.
    pub targets: u64,
    /// Events applied per second, smoothed.
    pub events_per_second: f64,
    /// Size of its database in bytes.
    pub bytes: u64,
    /// Targets whose rows it has put aside: another pod was given them without this pod's release.
    #[serde(default)]
    pub aside: u64,
    /// How far its replica is behind; none without a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Lag>,
    /// What its process has used; none from a pod that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What a pod's process uses of what it may have. Times count from the start of the process: two reports make a rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// For how long the process has run, in milliseconds.
    pub up_ms: u64,
    /// Processor time it has taken since then, in milliseconds.
    pub cpu_ms: u64,
    /// How many processors it may use; a part of one counts as that part.
    pub cores: f64,
    /// Memory it occupies, in bytes.
    pub memory: u64,
    /// How much it may occupy, in bytes; none when nobody limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Open connections of web users: requests and tunnels under way.
    pub sockets: u64,
}
