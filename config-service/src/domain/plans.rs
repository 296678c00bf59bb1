//! Plans as they are written, and what holds a target where it is. Pure; what a plan moves is the planner's to decide.

use serde::{Deserialize, Serialize};
use shared::wire::{
    admin::{Pin, PlanHead, PlanState},
    control::Track,
};
use shared::{PlanId, Revision};

/// What holds a target where it is, beside the time since its last move.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hold {
    /// An operator wants it at that pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// An operator has named it for that track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// How often in a row the rebalancer has moved it, each time soon after the last.
    #[serde(default)]
    pub streak: u32,
}

impl Hold {
    /// Returns whether nothing holds it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the pin, if it holds at `now_ms`.
    pub fn pin_at(&self, now_ms: u64) -> Option<&Pin> {
        self.pin.as_ref().filter(|pin| pin.until_ms.is_none_or(|until| now_ms < until))
    }
}

/// Returns a plan as it is written at `revision`, at `now_ms` of the database's clock.
pub(super) fn stamped(head: &PlanHead, expected: Option<PlanState>, revision: Revision, now_ms: u64) -> PlanHead {
    let mut head = PlanHead { revision, ..head.clone() };
    if expected.is_none() {
        (head.id, head.made_ms) = (PlanId(revision.0), now_ms);
    }
    if head.state.runs() {
        head.applied_ms.get_or_insert(now_ms);
    }
    if head.state.is_over() {
        head.ended_ms.get_or_insert(now_ms);
    }
    head
}
