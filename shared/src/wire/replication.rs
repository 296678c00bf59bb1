//! What a pod says about its replica: how far it is, and what that means for those who wait. Never a secret.

use crate::PodId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether a pod's replica keeps up, and what follows for the sources whose acknowledgements wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The pod runs without a replica: every acknowledgement is local.
    #[default]
    Off,
    /// Since its start nothing was uploaded yet: sources that are acknowledged `replicated` are refused.
    Starting,
    /// It keeps up.
    Replicating,
    /// The last upload failed or hangs, not for long yet: who waits goes on waiting.
    Behind,
    /// It has failed for longer than is waited for: sources that are acknowledged `replicated` are refused.
    Closed,
    /// It has failed for longer than is waited for, and the operator wants all sources to be served as `local` then.
    Degraded,
    /// Another pod has taken the lineage over: nothing is acknowledged any more, the pod ends.
    Sealed,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 7] =
        [Self::Off, Self::Starting, Self::Replicating, Self::Behind, Self::Closed, Self::Degraded, Self::Sealed];

    /// Returns its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Replicating => "replicating",
            Self::Behind => "behind",
            Self::Closed => "closed",
            Self::Degraded => "degraded",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How far a pod's replica is behind its database, as it travels in every heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Whether it keeps up.
    pub state: Standing,
    /// How long ago the oldest commit was made that is not known to be uploaded, in milliseconds; 0 when there is none.
    pub ms: u64,
    /// Bytes of the WAL that were written since what is known to be uploaded.
    pub bytes: u64,
}

impl Lag {
    /// Says what is wrong, for people; nothing when nothing is.
    pub fn trouble(&self) -> Option<String> {
        let what = match self.state {
            Standing::Off | Standing::Starting | Standing::Replicating => return None,
            Standing::Behind => "an upload has failed and is tried again",
            Standing::Closed => "events whose acknowledgement waits for it are refused",
            Standing::Degraded => "everything is acknowledged locally, and a lost disk loses it",
            Standing::Sealed => "another pod has taken it over",
        };
        Some(format!("its replica is {}: {what} ({} s of commits are not in it)", self.state, self.ms / 1_000))
    }
}

/// `GET /v1/local/replication` of a gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReplicationState {
    /// The pod.
    pub pod: Option<PodId>,
    /// Whether it keeps up.
    pub state: Standing,
    /// The lineage it is written to, `<generation>/<pod>/<incarnation>`.
    pub lineage: Option<String>,
    /// The number of the last group commit.
    pub committed_seq: u64,
    /// Up to which group commit everything is uploaded, and the lineage was not sealed after that.
    pub replicated_seq: u64,
    /// How long ago the oldest commit was made that is not known to be uploaded, in milliseconds; 0 when there is none.
    pub lag_ms: u64,
    /// Bytes of the WAL that were written since what is known to be uploaded.
    pub lag_bytes: u64,
    /// How long ago the oldest event was committed whose acknowledgement waits, in milliseconds; 0 when none waits.
    pub oldest_unacknowledged_ms: u64,
    /// Acknowledgements that wait.
    pub waiting: u64,
    /// When an upload was confirmed last, in milliseconds since the Unix epoch.
    pub last_sync_at_ms: Option<u64>,
    /// Uploads that were confirmed since the pod's start.
    pub syncs: u64,
    /// Uploads that were not, or whose seal could not be read.
    pub failures: u64,
    /// Why the last one failed; none when the last one succeeded.
    pub error: Option<String>,
    /// Size of the WAL in bytes.
    pub wal_bytes: u64,
    /// Size of the database and its WAL in bytes.
    pub database_bytes: u64,
}
