//! One round of fencing a pod's lease (OWNERSHIP.md, Leases 4 and 5): collects what witnesses answer and says from when on
//! the round allows a failover. Knows nothing of grants, and not when a round begins.

use super::quorum;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::peers::{Fence, Fenced};
use crate::{LeaseId, Mono, PodId, Term};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A round of one leader for one lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Round {
    /// Every lease up to this one is fenced.
    pub lease_id: LeaseId,
    /// Its number: an answer to an earlier one counts for nothing.
    pub round: u64,
    /// The term of the leader whose round it is.
    pub term: Term,
    /// Who has answered, and until when what it promised may bind, by the leader's clock.
    acknowledged: BTreeMap<PodId, Mono>,
}

impl Round {
    /// Begins a round.
    pub fn new(lease_id: LeaseId, round: u64, term: Term) -> Self {
        Self { lease_id, round, term, acknowledged: BTreeMap::new() }
    }

    /// Returns what to send to those of `witnesses` that have not answered yet.
    pub fn questions<'a>(
        &'a self,
        pod: &'a PodId,
        witnesses: impl Iterator<Item = &'a BTreeSet<PodId>>,
    ) -> Vec<(PodId, Fence)> {
        let all: BTreeSet<&PodId> = witnesses.flatten().filter(|witness| *witness != pod).collect();
        let open = all.into_iter().filter(|witness| !self.acknowledged.contains_key(*witness));
        let fence = Fence { pod: pod.clone(), lease_id: self.lease_id, term: self.term, round: self.round };
        open.map(|witness| (witness.clone(), fence.clone())).collect()
    }

    /// Takes an answer that was received at `now`. Returns whether it is of this round; one of another round, term or lease
    /// changes nothing.
    pub fn answered(&mut self, now: Mono, answer: &Fenced) -> bool {
        let ours = (answer.term, answer.round, answer.lease_id) == (self.term, self.round, self.lease_id);
        #[cfg(feature = "plant")]
        let ours = ours || plant::on(Bug::OldRoundCounts);
        if ours {
            let until = now.after(Duration::from_millis(answer.remaining_ms));
            let known = self.acknowledged.entry(answer.by.clone()).or_default();
            *known = until.max(*known);
        }
        ours
    }

    /// Returns whether QF of the witnesses of `pod` have answered, in every one of the sets it may hold.
    pub fn has_quorum<'a>(&self, pod: &PodId, mut sets: impl Iterator<Item = &'a BTreeSet<PodId>>) -> bool {
        sets.all(|set| {
            let witnesses = set.iter().filter(|witness| *witness != pod);
            let (all, answered) = witnesses.fold((0, 0), |(all, answered), witness| {
                (all + 1, answered + usize::from(self.acknowledged.contains_key(witness)))
            });
            #[cfg(feature = "plant")]
            let answered = answered + usize::from(plant::on(Bug::QuorumTooSmall));
            answered >= quorum::fences(all)
        })
    }

    /// Returns when the last promise that was reported is over, by the leader's clock.
    pub fn promises_end(&self) -> Mono {
        self.acknowledged.values().copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
