//! What is kept of a bot's REST requests on Discord: enough for another leader to give no slot out twice.

use serde::{Deserialize, Serialize};
use shared::{Incarnation, PodId};

/// A pod's slice of a bot's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// The pod.
    pub pod: PodId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// How often the slice was changed.
    pub version: u64,
    /// How many slots it uses at most.
    pub slots: u32,
    /// How many of them also after its term.
    pub floor: u32,
}
