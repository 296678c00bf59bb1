//! One pod as the leader sees it: its lease, when it was heard, and how far its fencing is. Decides nothing about others.

use super::chains::Chains;
use super::checks::Waiting;
use super::{Known, Patience, Proof, Why};
use crate::lease::LeaseTerms;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::protocol::{fence::Round, members::Members, silence::Silence};
use crate::{Incarnation, LeaseId, Mono, PodId};

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pod {
    pub(super) lease_id: LeaseId,
    pub(super) incarnation: Incarnation,
    pub(super) life: Life,
    /// The newest witness config it has on disk; it may hold that one and any newer.
    pub(super) acknowledged: u64,
    /// The last moment at which a lease of it was granted, or may have been.
    pub(super) granted: Option<Mono>,
    /// The highest lease of it that was granted, or may have been.
    pub(super) granted_lease: LeaseId,
    pub(super) heard: Mono,
    /// It said goodbye: a restart.
    pub(super) leaving: bool,
    /// Leases up to this one are not granted any more.
    pub(super) fenced: LeaseId,
    /// Leases up to this one are fenced for good: it stands in the database.
    pub(super) marked: LeaseId,
    /// The number of its last round.
    pub(super) rounds: u64,
    pub(super) fencing: Option<Fencing>,
    pub(super) proof: Option<Proof>,
    pub(super) chains: Chains,
    /// When it was last seen that two processes go on as this one; nothing is granted.
    pub(super) cloned: Option<Mono>,
}

/// How far its end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Alive,
    /// Its burial is being written.
    Burying,
    /// This incarnation is over for good.
    Buried(Mono),
}

/// A round of fencing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fencing {
    pub(super) round: Round,
    /// Whether it stands in the database: nobody is asked before.
    pub(super) written: bool,
    /// When those who have not answered are asked again.
    pub(super) ask_at: Mono,
}

impl Pod {
    /// A pod from the database, for a leader that took over at `now`: it may hold a lease granted until just then.
    pub(super) fn known(known: &Known, now: Mono) -> Self {
        let (fenced, rounds) = known.fenced.unwrap_or_default();
        Self {
            life: if known.buried { Life::Buried(now) } else { Life::Alive },
            acknowledged: known.acknowledged,
            granted: (!known.buried).then_some(now),
            granted_lease: known.lease_id,
            fenced,
            marked: fenced,
            rounds,
            ..Self::new(known.lease_id, known.incarnation.clone(), now, 0)
        }
    }

    /// A pod that nobody knew before `now`.
    pub(super) fn new(lease_id: LeaseId, incarnation: Incarnation, now: Mono, acknowledged: u64) -> Self {
        Self {
            lease_id,
            incarnation,
            life: Life::Alive,
            acknowledged,
            granted: None,
            granted_lease: LeaseId(0),
            heard: now,
            leaving: false,
            fenced: LeaseId(0),
            marked: LeaseId(0),
            rounds: 0,
            fencing: None,
            proof: None,
            chains: Chains::default(),
            cloned: None,
        }
    }

    /// Notes a committed registration.
    pub(super) fn registered(&mut self, now: Mono, incarnation: Incarnation, lease_id: LeaseId, members: &Members) {
        if self.incarnation != incarnation {
            let mut new = Self::new(lease_id, incarnation, now, members.version);
            (new.granted, new.granted_lease) = (self.granted, self.granted_lease);
            (new.fenced, new.marked, new.rounds) = (self.fenced, self.marked, self.rounds);
            *self = new;
            return;
        }
        (self.lease_id, self.heard, self.leaving) = (lease_id, now, false);
        // It is back (OWNERSHIP.md, Leases 6), so the round is void; not one that parts two clones.
        if self.cloned.is_none() {
            self.fencing = None;
        }
    }

    pub(super) fn is_buried(&self) -> bool {
        matches!(self.life, Life::Buried(_))
    }

    /// Says whether this heartbeat may be granted.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge(&self, heartbeat: &Waiting, members: &Members) -> Result<(), Why> {
        if self.incarnation != heartbeat.incarnation {
            return Err(Why::WrongIncarnation);
        }
        match self.life {
            Life::Buried(_) => return Err(Why::Buried),
            Life::Burying => return Err(Why::Fenced),
            Life::Alive => {}
        }
        if self.lease_id != heartbeat.lease_id {
            return Err(Why::Superseded);
        }
        // OWNERSHIP.md, Leases 6: only a new lease of it is granted.
        let fenced = self.fenced;
        #[cfg(feature = "plant")]
        let fenced = if plant::on(Bug::FencedIsGranted) { LeaseId(0) } else { fenced };
        if fenced >= heartbeat.lease_id {
            return Err(Why::Fenced);
        }
        if self.cloned.is_some() || self.proof.is_some() {
            return Err(Why::Suspended);
        }
        if heartbeat.witnesses > members.version {
            return Err(Why::Ahead);
        }
        Ok(())
    }

    /// Notes a grant that is answered at `now`.
    pub(super) fn grant(&mut self, now: Mono, heartbeat: &Waiting) {
        self.granted = Some(now);
        self.granted_lease = self.granted_lease.max(heartbeat.lease_id);
        self.acknowledged = self.acknowledged.max(heartbeat.witnesses);
        self.leaving = heartbeat.leaving;
    }

    /// Returns from when on it is taken for silent, whatever the others are.
    pub(super) fn silent_at(&self, terms: &LeaseTerms, patience: &Patience) -> Mono {
        self.heard.after(if self.leaving { patience.restart } else { terms.fence_after })
    }

    /// Returns from when on its fencing may begin.
    pub(super) fn fence_at(&self, silence: &Silence, terms: &LeaseTerms, patience: &Patience) -> Mono {
        let since = silence.since(self.heard);
        since.after(if self.leaving { patience.restart } else { terms.fence_after })
    }

    /// Returns whether the round covers whatever lease it may hold, and QF of every config it may hold have answered.
    pub(super) fn is_fenced(&self, me: &PodId, members: &Members) -> bool {
        let covers = |fencing: &&Fencing| fencing.written && fencing.round.lease_id >= self.granted_lease;
        let round = self.fencing.as_ref().filter(covers).map(|fencing| &fencing.round);
        round.is_some_and(|round| round.has_quorum(me, members.may_hold(self.acknowledged)))
    }

    /// Returns when its own grants and every promise that was reported are over.
    pub(super) fn over_at(&self, terms: &LeaseTerms) -> Mono {
        let grants = self.granted.map(|granted| terms.over_at(granted)).unwrap_or_default();
        let promises = self.fencing.as_ref().map(|fencing| fencing.round.promises_end()).unwrap_or_default();
        #[cfg(feature = "plant")]
        let promises = if plant::on(Bug::PromisesNotWaitedOut) { Mono::ZERO } else { promises };
        #[cfg(feature = "plant")]
        let grants = if plant::on(Bug::NewLeaderDoesNotWait) { Mono::ZERO } else { grants };
        grants.max(promises)
    }
}
