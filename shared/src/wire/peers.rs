//! What gateways ask each other, and what the leader asks them as witnesses (OWNERSHIP.md, Leases 3 to 5), as JSON.

use super::control::Heartbeat;
use crate::{Incarnation, LeaseId, PodId, Term};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A lease that is fenced: nothing at or below it is promised any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The pod.
    pub pod: PodId,
    /// Its lease.
    pub lease_id: LeaseId,
}

/// `POST /v1/peers/extend` on a witness: promise that this lease is not failed over for a while.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Extend {
    /// Who asks.
    pub pod: PodId,
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// The lease to be extended.
    pub lease_id: LeaseId,
    /// Echoed: an answer counts from when exactly this question was sent.
    pub nonce: u64,
    /// E: for how long promises extend the lease, in milliseconds of the asking pod's clock.
    #[serde(default)]
    pub extension_ms: u64,
}

/// The answer to [`Extend`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Extended {
    /// It is promised: until `E(1+ρ) + M` after the question arrived the witness reports this promise to whoever fences.
    Promised {
        /// The question's nonce.
        nonce: u64,
    },
    /// The lease is fenced.
    Fenced {
        /// The question's nonce.
        nonce: u64,
        /// The highest lease of the pod that is fenced.
        lease_id: LeaseId,
    },
    /// The control plane answers this witness: it offers to pass the heartbeat on instead.
    Relay {
        /// The question's nonce.
        nonce: u64,
    },
    /// The witness may have lost its marks, and has not read them back yet.
    NotReady {
        /// The question's nonce.
        nonce: u64,
    },
    /// The pod would live on for longer by a promise than this witness remembers one.
    TooLong {
        /// The question's nonce.
        nonce: u64,
        /// What is wrong, and what to do.
        detail: String,
    },
}

impl Extended {
    /// Returns the nonce of the question that it answers.
    pub const fn nonce(&self) -> u64 {
        match self {
            Self::Promised { nonce }
            | Self::Fenced { nonce, .. }
            | Self::Relay { nonce }
            | Self::NotReady { nonce }
            | Self::TooLong { nonce, .. } => *nonce,
        }
    }
}

/// `POST /v1/peers/relay` on a witness: pass this heartbeat on to config-service. Answered with its
/// [`super::control::Grant`]; the lease counts from when the pod sent it here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Relay {
    /// Whose heartbeat.
    pub pod: PodId,
    /// The heartbeat.
    pub heartbeat: Heartbeat,
}

/// `POST /v1/peers/fence` on a witness, by the leader: promise nothing for this lease any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Fence {
    /// Whose lease.
    pub pod: PodId,
    /// The lease.
    pub lease_id: LeaseId,
    /// The leader's term.
    pub term: Term,
    /// The leader's round for this pod: an answer of an earlier one counts for nothing.
    pub round: u64,
}

/// The answer to [`Fence`]: the mark is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Fenced {
    /// The witness.
    pub by: PodId,
    /// The pod that is fenced.
    pub pod: PodId,
    /// The lease that is fenced.
    pub lease_id: LeaseId,
    /// The term that was asked for.
    pub term: Term,
    /// The round that was asked for.
    pub round: u64,
    /// How long what the witness promised to the pod may still bind it, in milliseconds.
    pub remaining_ms: u64,
    /// The life of the witness's data folder and those before it, the newest first. The leader counts the answer only if what
    /// it knows the witness by is among them.
    #[serde(default)]
    pub lives: Vec<Incarnation>,
}
