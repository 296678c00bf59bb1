//! What is said to the leader, what it says, and what it begins with. Decides nothing but how certain each proof of death is.

#[cfg(doc)]
use super::Leader;
use crate::protocol::members::Members;
use crate::protocol::silence::Turn;
use crate::wire::control::Heartbeat;
use crate::wire::peers::{Fence, Fenced};
use crate::{Incarnation, LeaseId, Mono, PodId};
use std::time::Duration;

/// A pod as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub pod: PodId,
    /// Its newest lease.
    pub lease_id: LeaseId,
    /// Its newest incarnation.
    pub incarnation: Incarnation,
    /// Whether that incarnation was failed over.
    pub buried: bool,
    /// The newest witness config it is known to have on disk. 0 is always safe: the next heartbeat says it.
    pub acknowledged: u64,
    /// The highest lease that is, or ever was, being fenced, and the highest round.
    pub fenced: Option<(LeaseId, u64)>,
}

/// How long the leader waits for what the protocol's constants do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patience {
    /// Least time between the starts of two checks of the term.
    pub check: Duration,
    /// How long a pod that said goodbye may be away before it is fenced.
    pub restart: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { check: Duration::from_millis(100), restart: Duration::from_secs(60) }
    }
}

/// How it is known that a pod is dead (OWNERSHIP.md, Leases 9). The shell sees to it that it is about the newest incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The supervisor has reaped its process, and starts no other in its folder.
    Reaped,
    /// Its container is reported terminated, for that pod UID.
    Terminated,
    /// Its node has the out-of-service taint.
    OutOfService,
    /// An operator says so.
    Declared,
    /// It said goodbye after it was drained.
    Goodbye,
}

impl Proof {
    /// Whether the process is certainly gone. The others are somebody's word: its lease is waited out all the same, and the
    /// witnesses are told.
    pub(super) const fn is_certain(self) -> bool {
        matches!(self, Self::Reaped | Self::Terminated | Self::Goodbye)
    }
}

/// What is to be written, each under `WHERE term = mine`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Intent {
    /// This lease is being fenced. Nobody is asked before it is committed; `Registered.fenced` tells it from then on.
    Fencing {
        /// Whose.
        pod: PodId,
        /// The lease; it and all before it.
        lease_id: LeaseId,
        /// The round.
        round: u64,
    },
    /// The incarnation is over for good. Only while `lease_id` is the pod's newest; a registration in between wins.
    Bury {
        /// Whose.
        pod: PodId,
        /// Its newest lease.
        lease_id: LeaseId,
        /// The incarnation.
        incarnation: Incarnation,
        /// How it is known; none: it was fenced.
        proof: Option<Proof>,
    },
    /// The next witness config.
    Members(Members),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A heartbeat has arrived. Answered by [`Output::Grant`] or [`Output::Refuse`].
    Beat {
        /// Whose.
        pod: PodId,
        /// It.
        heartbeat: Heartbeat,
    },
    /// A check of the term is over: any write under `WHERE term = mine` that was committed, or was not.
    Checked {
        /// When it was begun, by this process' clock.
        began: Mono,
        /// Whether it was committed.
        ok: bool,
    },
    /// A registration was committed.
    Registered {
        /// Whose.
        pod: PodId,
        /// The incarnation it registered as.
        incarnation: Incarnation,
        /// Its new lease.
        lease_id: LeaseId,
    },
    /// A witness has answered.
    Fenced(Fenced),
    /// A pod is dead.
    Proof {
        /// Which.
        pod: PodId,
        /// How that is known.
        of: Proof,
    },
    /// This is committed.
    Written(Intent),
    /// This is certainly not committed, and will not be.
    NotWritten(Intent),
    /// Whether this node is too slow to tell silence (OWNERSHIP.md, Leases 14).
    Degraded(bool),
    /// The term is over.
    Left,
    /// Time passed.
    Tick,
}

/// Why a heartbeat is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nobody knows the pod: it registers (404).
    Unknown,
    /// Its incarnation was failed over: it begins a new one (410).
    Buried,
    /// Another incarnation has its name: it registers (409).
    WrongIncarnation,
    /// It has a newer lease, or another process of it has: it registers (409).
    Superseded,
    /// Its lease is being fenced: it registers for a new one (409).
    Fenced,
    /// Two processes go on as this pod: both register anew (409).
    Cloned,
    /// Two processes went on as this pod, or it was declared dead: it waits (503).
    Suspended,
    /// It knows a newer witness config than this leader: the database is not the newest. The leader must stop (503).
    Ahead,
    /// The term could not be checked (503).
    Unchecked,
    /// This is not the leader any more (503).
    NotLeader,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Begin a check of the term now.
    Check,
    /// Answer this heartbeat with a grant.
    Grant {
        /// Whose.
        pod: PodId,
        /// Its nonce.
        nonce: u64,
        /// The version of the witness config: [`Leader::members`]`.now` without the pod itself.
        witnesses: u64,
    },
    /// Answer this heartbeat with a refusal.
    Refuse {
        /// Whose.
        pod: PodId,
        /// Its nonce.
        nonce: u64,
        /// Why.
        why: Why,
    },
    /// Write this, then say [`Input::Written`] or [`Input::NotWritten`].
    Write(Intent),
    /// Send this to a witness.
    Fence {
        /// Which.
        to: PodId,
        /// What.
        fence: Fence,
    },
    /// For logs and metrics.
    Note(Note),
}

/// What is worth a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Most pods are silent, or not any more.
    Silence(Turn),
    /// A pod is being fenced.
    Fencing(PodId),
    /// An answer of a witness does not count: it is of another round.
    Stale(PodId),
    /// An answer does not count: it comes from a folder that is not registered under the witness's name.
    Stranger(PodId),
    /// Two processes go on as this pod.
    Cloned(PodId),
    /// Only one of them is left, and may be granted again.
    Single(PodId),
}
