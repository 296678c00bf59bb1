//! Planned moves as operators ask for them and see them; and what they say of pods.

use super::{Because, REASON};
use crate::wire::handoff::Move;
use crate::{PodId, Revision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/targets/{target}/move`. Answered with the [`Move`] as it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTarget {
    /// Where to; the planner chooses when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PodId>,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// A change of which only the reason is said: `POST /v1/moves/{id}/cancel`, `POST /v1/pods/{pod}/drain` and their like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// `GET /v1/moves`: moves, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveList {
    /// One page.
    pub moves: Vec<Move>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// The answer when something was said of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodMarked {
    /// The pod.
    pub pod: PodId,
    /// It gets no new targets.
    pub cordoned: bool,
    /// Everything is moved away from it.
    pub draining: bool,
    /// Targets assigned to it now.
    pub targets: u64,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// How far the drain of a pod is. Counts begin when the drain does, or the leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// Targets it still owns.
    pub left: u64,
    /// Moves away from it that are under way.
    pub in_flight: u64,
    /// Targets that have moved.
    pub moved: u64,
    /// Moves that were aborted; each is tried again.
    pub aborted: u64,
    /// Targets that move in a second, over the last ten.
    pub per_second: f64,
    /// How long the rest takes at that rate, in milliseconds; none while nothing moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// Why nothing more begins, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

impl Because for MoveTarget {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for Reason {
    fn reason(&self) -> &str {
        &self.reason
    }
}
