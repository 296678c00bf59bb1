//! What must hold whatever happens (OWNERSHIP.md, Invariants I1 to I12, and Data 3 and 4 as I13 and I14): predicates over a history of what happened, each
//! at its instant on one true clock. A history comes from a simulation, from the traces of real processes or from a
//! running cluster; a [`Checker`] is fed event by event and answers with what is broken. Knows no protocol: how a promise
//! is kept is not its matter. Where several processes wrote the history, their instants are of one clock.

mod agreement;
mod events;
mod owners;
mod plane;
mod replicas;

pub use agreement::{Owned, View, disagreements};
pub use plane::Bounds;

use crate::wire::control::Life;
use crate::wire::peers::Mark;
use crate::{Epoch, Mono, PodId, TargetId};
use std::fmt;

/// An invariant, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one pod serves a target at any instant.
    OneOwner = 1,
    /// No acknowledged event is lost.
    NothingLost,
    /// No event changes state twice.
    NothingTwice,
    /// Epochs of a target strictly increase.
    EpochsIncrease,
    /// A pod applies nothing whose epoch is not its own.
    OwnEpochOnly,
    /// Events of a target are applied in the order of their acceptance.
    OrderKept,
    /// No target stays with a pod that is gone for more than 30 s while it could be given to another.
    NobodyLeft,
    /// A healthy pod goes on without control plane and database.
    ServesAlone,
    /// Most pods silent: no failover.
    NoMassFailover,
    /// Unforced moves stay within the budget, none moves a target twice in 60 s.
    MovesBounded,
    /// No request is answered by a non-owner, none takes more than 3 hops, parking is bounded.
    AnsweredByOwner,
    /// After the last fault all converges within 60 s.
    Converges,
    /// What is committed after its lineage was sealed is never acknowledged (Data 3).
    SealedIsSilent,
    /// One life's replica is restored once by each pod that needs it, as long as that keeps it (Data 4).
    RestoredOnce,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{} ({self:?})", *self as u8)
    }
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, on the true clock.
    pub at: Mono,
    /// A sentence.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.invariant, self.at.as_nanos() as f64 / 1e9, self.detail)
    }
}

/// Something that happened. Events of platforms are numbers that the observer gives them: the same number is the same
/// source and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The control plane committed a new owner.
    Assigned {
        /// The target.
        target: TargetId,
        /// Its owner.
        pod: PodId,
        /// The fencing token.
        epoch: Epoch,
    },
    /// A pod may act until this point of the true clock, unless it hears otherwise.
    Held {
        /// The pod.
        pod: PodId,
        /// Its lease's end, as its own clock will show it.
        until: Mono,
    },
    /// A pod has given its lease up, or its process is gone.
    Stopped {
        /// The pod.
        pod: PodId,
    },
    /// A pod began to serve a target, whenever its lease allows it.
    Acquired {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// Under this epoch.
        epoch: Epoch,
    },
    /// A pod serves a target no longer.
    Released {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
    },
    /// An event entered its owner's mailbox.
    Accepted {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// The event.
        event: u64,
    },
    /// An event left the mailbox without having been applied; its sender heard no acknowledgement.
    Refused {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// The event.
        event: u64,
    },
    /// A committed transaction applied an event.
    Applied {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// Under this epoch.
        epoch: Epoch,
        /// The event.
        event: u64,
    },
    /// A pod told a sender that an event is committed.
    Acknowledged {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// Under this epoch.
        epoch: Epoch,
        /// The event.
        event: u64,
    },
    /// A pod began what only an owner may: a transaction, a call to the outside.
    Effect {
        /// The pod.
        pod: PodId,
        /// The target.
        target: TargetId,
        /// Under this epoch.
        epoch: Epoch,
    },
    /// What a pod had in memory is gone: its process ended.
    Restarted {
        /// The pod.
        pod: PodId,
    },
    /// An operator has accepted that a target's data is lost: it begins empty.
    Wiped {
        /// The target.
        target: TargetId,
    },
    /// A pod is well: its process runs, its clock keeps its rate, it reaches the others and is reached.
    Well {
        /// The pod.
        pod: PodId,
        /// Whether it is.
        yes: bool,
    },
    /// The control plane and a pod reach each other, and the pod's process runs: it can answer as a witness. Every pod that
    /// is well does.
    Reached {
        /// The pod.
        pod: PodId,
        /// Whether they do.
        yes: bool,
    },
    /// The leader heard from a pod: a heartbeat that it grants, however it came, or an answer as a witness. A pod may be heard
    /// that hears nothing itself.
    Heard {
        /// The pod.
        pod: PodId,
    },
    /// The leader heard from a witness that it has fenced a lease.
    Fenced {
        /// The witness.
        by: PodId,
        /// The lease.
        mark: Mark,
    },
    /// The control plane works: a leader and its database reach each other and most pods.
    Plane {
        /// Whether it does.
        yes: bool,
    },
    /// A pod was failed over.
    Buried {
        /// The lease that is over.
        mark: Mark,
        /// Whether its death was proven, not only concluded from its silence.
        proven: bool,
    },
    /// A move of a target began.
    MoveBegan {
        /// The target.
        target: TargetId,
        /// Whether somebody asked for it: an operator, a drain, data that came back.
        forced: bool,
    },
    /// A sender was answered.
    Answered {
        /// The target.
        target: TargetId,
        /// By this pod.
        pod: PodId,
        /// Under this epoch.
        epoch: Epoch,
        /// How many processes the request passed: router, pod, and again.
        hops: u32,
    },
    /// A pod that was failed over has registered in its next life: it counts among the others again.
    Returned {
        /// The pod.
        pod: PodId,
    },
    /// So many requests wait in one router.
    Parked {
        /// How many.
        requests: u64,
    },
    /// An owner takes a target up with a copy of some moment. What was applied elsewhere, is not in it and was not
    /// acknowledged may be applied again; a copy that was given up may still be written, and is nobody's state.
    TakenUp {
        /// The target.
        target: TargetId,
        /// Under this epoch.
        epoch: Epoch,
        /// The events that are in the copy.
        holds: Vec<u64>,
    },
    /// A pod's database writes another lineage from now on.
    LineageBegan {
        /// Whose life it is of.
        life: Life,
    },
    /// The lineage of a life is sealed: others may take it over.
    Sealed {
        /// That life.
        life: Life,
    },
    /// A pod has restored the replica of another life.
    Fetched {
        /// The pod.
        by: PodId,
        /// That life.
        from: Life,
    },
    /// It keeps what it has restored no longer.
    Forgotten {
        /// The pod.
        by: PodId,
        /// That life.
        from: Life,
    },
    /// Time passed.
    Tick,
}

/// Checks a history. Which invariants apply depends on what was done to the clocks: call [`Checker::ignore`] for the rest.
#[derive(Debug, Clone, Default)]
pub struct Checker {
    owners: owners::Owners,
    events: events::Events,
    plane: plane::Plane,
    replicas: replicas::Replicas,
    ignored: std::collections::BTreeSet<Invariant>,
}

impl Checker {
    /// Makes a checker of an empty history.
    pub fn new(bounds: Bounds) -> Self {
        Self { plane: plane::Plane::new(bounds), ..Self::default() }
    }

    /// Leaves an invariant out: I1 says nothing about clocks that break their promise.
    pub fn ignore(&mut self, invariant: Invariant) {
        self.ignored.insert(invariant);
    }

    /// Takes in what happened at `at`, which is never before what it was told last; returns what is broken by it.
    pub fn handle(&mut self, at: Mono, what: &What) -> Vec<Violation> {
        let mut broken = Vec::new();
        let mut say = |invariant: Invariant, detail: String| {
            if !self.ignored.contains(&invariant) {
                broken.push(Violation { invariant, at, detail });
            }
        };
        self.owners.handle(at, what, &mut say);
        self.events.handle(what, &mut say);
        self.replicas.handle(what, &mut say);
        self.plane.handle(at, what, &self.owners, &mut say);
        broken
    }

    /// Checks what the copy of a target holds which is about to be served, or stands at the end: every acknowledged event
    /// is in it exactly once (I2, I3). `times` says how often it is.
    pub fn holds(&self, at: Mono, target: &TargetId, times: impl Fn(u64) -> u64) -> Vec<Violation> {
        let mut broken = self.events.holds(at, target, times);
        broken.retain(|violation| !self.ignored.contains(&violation.invariant));
        broken
    }

    /// Returns how many events were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.events.acknowledged()
    }
}

/// Where a broken invariant is told.
type Say<'a> = dyn FnMut(Invariant, String) + 'a;

#[cfg(test)]
mod tests;
