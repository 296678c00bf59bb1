//! What operators, and supervisors, say of pods that are gone, and of a database that was restored.

use super::{Because, REASON};
use crate::{Incarnation, LeaseId, PodId, Revision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/pods/{pod}/declare-dead`: somebody who knows says that this life of a pod is over for good (OWNERSHIP.md,
/// Leases 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclareDead {
    /// True, in so many words: a pod that acts on is not noticed by this, and its targets would have two owners.
    #[serde(default)]
    pub i_know: bool,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// `POST /v1/pods/{pod}/reaped`, with a service token: the process that had this lease has ended, says who waited for it,
/// and no other goes on under it. One that is started later in the same folder registers for another lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaped {
    /// The life of its data folder.
    pub incarnation: Incarnation,
    /// The pod's newest lease, as it was read after the process had ended.
    pub lease_id: LeaseId,
}

/// The answer to [`DeclareDead`] and [`Reaped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadDeclared {
    /// The pod.
    pub pod: PodId,
    /// Targets that get other owners.
    pub targets: u64,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/generation`: the database was restored from a backup, or is another one; all pods register anew and say what
/// they hold (OWNERSHIP.md, Leases 11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGeneration {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// The answer to [`NewGeneration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GenerationBegun {
    /// The new generation.
    pub generation: u32,
    /// Pods that have to report before anything is placed again, or to be declared dead.
    pub pods: Vec<PodId>,
    /// The newest revision of the generation before.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/pods/{pod}/recover`: what a dead pod had is restored from its replica now (OWNERSHIP.md, Data 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverPod {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// The answer to [`RecoverPod`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodRecovery {
    /// The pod.
    pub pod: PodId,
    /// Targets that wait for what it had and are being restored from its replica.
    pub targets: u64,
    /// Targets whose owners have no replica, or another place for theirs, and cannot restore them.
    pub unable: u64,
    /// Who restores how many.
    pub heirs: Vec<HeirShare>,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// A pod's part of a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeirShare {
    /// The pod.
    pub pod: PodId,
    /// The targets that it restores.
    pub targets: u64,
}

impl Because for RecoverPod {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for DeclareDead {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for NewGeneration {
    fn reason(&self) -> &str {
        &self.reason
    }
}
