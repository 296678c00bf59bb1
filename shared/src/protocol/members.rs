//! Who is whose witness (OWNERSHIP.md, Leases 3 and 7): one set of pods at a time; the witnesses of a pod are all the others
//! of it. Decides which set comes next and which sets a pod may still hold. Knows no lease and no time.
//!
//! ```text
//!  version 4: now {a b c}   before {}        everybody holds 4
//!  version 5: now {a b c d} before {a b c}   some hold 4, some 5: who is fenced, is fenced by both
//!  version 5: now {a b c d} before {}        everybody has 5 on disk; the next step may come
//! ```

use crate::PodId;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The sets in force, as one row of the database keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Members {
    /// The version of `now`; 0 while there was none yet.
    pub version: u64,
    /// The newest set. Empty only at version 0, under which nothing is granted.
    pub now: BTreeSet<PodId>,
    /// The set of `version` − 1, until every live pod has acknowledged `version`.
    pub before: BTreeSet<PodId>,
}

impl Members {
    /// Returns the sets that a pod may still hold which has acknowledged `acknowledged`: every one of them has to fence it
    /// (OWNERSHIP.md, Leases 5). The pod itself is in them, and is no witness of its own.
    pub fn may_hold(&self, acknowledged: u64) -> impl Iterator<Item = &BTreeSet<PodId>> {
        #[cfg(feature = "plant")]
        let acknowledged = if plant::on(Bug::NewestConfigOnly) { u64::MAX } else { acknowledged };
        let before = (acknowledged < self.version && !self.before.is_empty()).then_some(&self.before);
        before.into_iter().chain((!self.now.is_empty()).then_some(&self.now))
    }

    /// Returns whether any pod may hold a set with `pod` in it.
    pub fn names(&self, pod: &PodId) -> bool {
        self.now.contains(pod) || self.before.contains(pod)
    }

    /// Returns the next step towards `wanted`, when `lowest` is the lowest version that a live pod has acknowledged: one at a
    /// time, and only when every live pod has the last one on disk. A set is never emptied: there would be nobody left to
    /// tell.
    #[must_use]
    pub fn next(&self, wanted: BTreeSet<PodId>, lowest: u64) -> Option<Self> {
        if lowest < self.version || wanted.is_empty() {
            return None;
        }
        if wanted != self.now {
            return Some(Self { version: self.version + 1, now: wanted, before: self.now.clone() });
        }
        let settled = Self { before: BTreeSet::new(), ..self.clone() };
        (!self.before.is_empty()).then_some(settled)
    }
}

#[cfg(test)]
mod tests;
