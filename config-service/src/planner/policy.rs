//! What the planner aims at and how far it may go: numbers only, decided by operators.

use serde::{Deserialize, Serialize};

/// What placement aims at. The first four make the dimensions of load comparable: what an ordinary pod (capacity 1.0) is
/// meant to carry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Targets.
    pub targets: f64,
    /// Events per second.
    pub events_per_second: f64,
    /// Bytes stored.
    pub bytes: f64,
    /// Open sockets.
    pub sockets: f64,
    /// ε: how far from the mean a pod's load may be before anything moves (PLACEMENT.md, Rebalancing 2).
    pub band: f64,
    /// The share of targets on the canary track, 0 to 1. A larger one only adds targets to it.
    pub canary: f64,
    /// How long a target stays where it was moved to, in milliseconds; doubles when it moves again.
    pub cooldown_ms: u64,
    /// After how many moves in a row a target is frozen.
    pub freeze_after: u8,
    /// After what time a new rate counts as much as all before it, in milliseconds.
    pub half_life_ms: u64,
    /// The search for what is only wished for.
    pub polish: Polish,
    /// How many moves may be under way.
    pub limits: Limits,
    /// How long a target is expected to take no event.
    pub pause: Pause,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            targets: 20_000.0,
            events_per_second: 2_000.0,
            bytes: 10.0 * 1_073_741_824.0,
            sockets: 10_000.0,
            band: 0.05,
            canary: 0.0,
            cooldown_ms: 600_000,
            freeze_after: 10,
            half_life_ms: 300_000,
            polish: Polish::default(),
            limits: Limits::default(),
            pause: Pause::default(),
        }
    }
}

/// How much the planner does for soft goals (PLACEMENT.md, Rebalancing 4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Polish {
    /// Moves and swaps that are looked at in one plan. Counted, not timed: the same on every machine.
    pub evaluations: u32,
    /// The part of all weight that may move in one plan.
    pub share: f64,
    /// What it is worth that a target is in the zone it prefers, per weight.
    pub zone: f64,
    /// What it is worth that a target is where the others of its group are, per weight.
    pub near: f64,
    /// What it is worth that pods are alike within the band.
    pub even: f64,
    /// What a move costs, per weight: what gains less is left.
    pub price: f64,
}

impl Default for Polish {
    fn default() -> Self {
        Self { evaluations: 200_000, share: 0.01, zone: 1.0, near: 1.0, even: 1.0, price: 0.2 }
    }
}

/// How many moves of plans may be under way (PLACEMENT.md, Rebalancing, execution limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In all.
    pub in_flight: usize,
    /// Away from one pod.
    pub per_source: usize,
    /// To one pod.
    pub per_destination: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 128, per_source: 8, per_destination: 8 }
    }
}

/// What a move's pause is expected to be; only shown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// Of a target without rows, in milliseconds.
    pub base_ms: f64,
    /// For each megabyte more.
    pub ms_per_megabyte: f64,
}

impl Pause {
    /// Returns the expected pause of a target of so many bytes, in milliseconds.
    pub fn of(&self, bytes: f64) -> f64 {
        self.base_ms + self.ms_per_megabyte * bytes / 1e6
    }
}

impl Default for Pause {
    /// What `berth bench move` measured, generously.
    fn default() -> Self {
        Self { base_ms: 10.0, ms_per_megabyte: 1.0 }
    }
}
