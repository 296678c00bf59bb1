//! What is known of the pods together: how far each is fenced, and from which numbers a generation counts. Pure.

use serde::{Deserialize, Serialize};
use shared::wire::peers::Mark;
use shared::{Epoch, LeaseId, PodId, Term};

/// A lease that is, or ever was, being fenced (OWNERSHIP.md, Leases 4): committed before any witness is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// Whose lease.
    pub pod: PodId,
    /// The lease: it and all before it are fenced.
    pub lease_id: LeaseId,
    /// The newest round of questions.
    pub round: u64,
    /// The term that asked.
    pub term: Term,
}

impl Fencing {
    /// Returns what a witness keeps of it.
    pub fn mark(&self) -> Mark {
        Mark { pod: self.pod.clone(), lease_id: self.lease_id }
    }
}

/// The numbers below which nothing is issued in a cluster generation, so that what an older one has issued, also what the
/// database has forgotten since, is never issued again (OWNERSHIP.md, Leases 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The last epoch before the generation's first.
    pub epoch: Epoch,
    /// The same for revisions, lease ids and terms, which begin at nothing in the first generation.
    pub counter: u64,
}

impl Base {
    /// Returns the base of a generation; the first is 1.
    pub const fn of(generation: u32) -> Self {
        let epoch = Epoch((generation as u64) << Epoch::COUNTER_BITS);
        Self { epoch, counter: (generation.saturating_sub(1) as u64) << Epoch::COUNTER_BITS }
    }
}
