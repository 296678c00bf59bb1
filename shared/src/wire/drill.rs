//! Restore drills: a pod restores its own replica to a scratch file and compares it with its database, before anybody needs
//! it. What is said of them; when and how they are made is the pods' matter.

use super::replication::ReplicationState;
use crate::PodId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a drill came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drill {
    /// When it began, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether the replica could be restored, is whole, and has what the database has.
    pub ok: bool,
    /// What was restored, `<generation>/<pod>/<incarnation>`.
    #[serde(default)]
    pub lineage: String,
    /// Why it is not ok, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The group commit that the restored copy ends with.
    #[serde(default)]
    pub commit_seq: u64,
    /// The size of the restored file in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Targets that stood still meanwhile and were compared, table by table.
    #[serde(default)]
    pub targets: u64,
    /// Targets that went on meanwhile: only their counters were compared.
    #[serde(default)]
    pub moving: u64,
    /// Rows of the targets that were compared.
    #[serde(default)]
    pub rows: u64,
    /// The first differences.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// All of them.
    #[serde(default)]
    pub found: u64,
}

/// Something that the replica has otherwise than the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The target; empty when it is about the whole database.
    pub target: String,
    /// A table, or what else it is about.
    pub what: String,
    /// What the database has.
    pub here: String,
    /// What the replica has.
    pub copy: String,
}

/// `GET /v1/local/replication/drill` of a gateway, and `GET /v1/pods/{pod}/drill`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrillState {
    /// The pod.
    #[serde(default)]
    pub pod: Option<PodId>,
    /// Whether one is being made now.
    pub running: bool,
    /// The last one.
    #[serde(default)]
    pub last: Option<Drill>,
    /// When the last good one began, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub good_ms: Option<u64>,
    /// When the next one is due, in milliseconds since the Unix epoch; none when they are made only when asked for.
    #[serde(default)]
    pub next_ms: Option<u64>,
}

/// `GET /v1/replication`: how the pods' replicas stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicationList {
    /// The pods, by name.
    pub pods: Vec<PodReplication>,
}

/// How one pod's replica stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodReplication {
    /// The pod.
    pub pod: PodId,
    /// What it says; none when it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationState>,
    /// Its restore drills; none when it has no replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillState>,
    /// Why it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
