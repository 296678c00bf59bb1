//! Which lineages of replicas are still needed, as config-service knows it, and what becomes of each. The rules that join this
//! with what the store says are the pods'.

use super::control::Life;
use super::data::OnBehalf;
use crate::{Incarnation, PodId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/replication/needs`: whose data the targets wait for, and which life each pod is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageNeeds {
    /// The wall clock of the config-service that answers, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The cluster's generation.
    pub generation: u32,
    /// Whether it is known who holds what in that generation. While it is not, everything is needed.
    pub settled: bool,
    /// All pods, by name.
    pub pods: Vec<PodLives>,
    /// The lives that targets need, each once.
    pub lives: Vec<LifeNeeded>,
}

/// The lives of one pod's data folder that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodLives {
    /// The pod.
    pub pod: PodId,
    /// The life it registered as last.
    pub current: Incarnation,
    /// The last one that can have served, when that is another one: `current` has not reported what it holds yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Incarnation>,
    /// It was failed over and has not come back.
    pub buried: bool,
    /// Targets that are assigned to it, or move from or to it.
    pub targets: u64,
    /// Where its database is replicated to, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
}

/// A life whose replica some target may still need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifeNeeded {
    /// Which.
    #[serde(flatten)]
    pub life: Life,
    /// What for.
    pub need: Need,
    /// For how many targets.
    pub targets: u64,
}

/// What a life's replica is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Targets were restored from it, and it is not known yet that their owner's own replica has them.
    NotReplicatedYet,
    /// Targets wait for their data, which was last there.
    Waiting,
}

/// `POST /v1/local/replication/lineages` of a gateway: judge lineages, and remove those that go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CleanLineages {
    /// The pods whose lineages are judged.
    pub pods: Vec<PodId>,
    /// Remove nothing, only say what would be.
    pub dry_run: bool,
    /// Who wants it, and why.
    pub by: OnBehalf,
}

/// `POST /v1/replication/gc`: what became of lineages, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageList {
    /// The lineages, by pod and the time of their beginning.
    pub lineages: Vec<LineageFate>,
    /// Pods of whose lineages nothing is known, and why.
    #[serde(default)]
    pub unasked: Vec<Unasked>,
    /// True when nothing was removed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// A pod that could not be asked about its lineages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unasked {
    /// The pod.
    pub pod: PodId,
    /// Why.
    pub why: String,
}

/// What becomes of a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It stays.
    Keeps,
    /// It may go.
    Goes,
    /// It is gone.
    Gone,
}

impl Fate {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keeps => "keeps",
            Self::Goes => "goes",
            Self::Gone => "gone",
        }
    }
}

/// One lineage, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineageFate {
    /// `<generation>/<pod>/<incarnation>`.
    pub lineage: String,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, in a sentence.
    pub why: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long ago the last of them was written, by the store's clock, in milliseconds; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// `POST /v1/replication/removals`: a pod is about to remove a lineage. It stands in the audit before the first file is gone,
/// and is refused while a target needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveLineage {
    /// `<generation>/<pod>/<incarnation>`.
    pub lineage: String,
    /// Whose life it is of.
    pub life: Life,
    /// Why it may go.
    pub why: String,
    /// On whose word.
    pub by: OnBehalf,
}

/// The answer to [`RemoveLineage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MayRemove {
    /// Whether it may be removed.
    pub may: bool,
}
