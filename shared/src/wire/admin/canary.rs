//! The canary: a part of the targets on pods on which a new version is tried, beside the others.

use crate::wire::control::Track;
use crate::{PlanId, PodId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CanaryState {
    /// Nobody has begun one.
    #[default]
    None,
    /// A part of the targets belongs to the pods of track canary, and nothing else does.
    Running,
    /// It was right: the pods of track canary count as ordinary ones, until another canary begins.
    Promoted,
    /// It was wrong: its targets went back, and the pods of track canary have none.
    Aborted,
}

impl CanaryState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
        }
    }
}

/// `GET /v1/canary`: the canary, and how the two tracks do side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryStatus {
    /// What became of it.
    pub state: CanaryState,
    /// The share of the targets that belongs to it, 0 to 1; 0 when it does not run. Which they are does not change: a larger share
    /// only adds.
    pub share: f64,
    /// How many targets were named for it beside that.
    pub named: u64,
    /// The plan that was applied for it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// Who said the last word on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// What is wrong with it: sentences. Empty when nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Over how long what the tracks did is counted at most, in milliseconds.
    pub window_ms: u64,
    /// Both tracks, the stable one first.
    pub tracks: Vec<TrackStatus>,
}

/// How the pods of one track do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackStatus {
    /// The track.
    pub track: Track,
    /// Its pods that are alive, by name.
    pub pods: Vec<PodId>,
    /// The versions that they run: of the bot when it says one, else of the gateway.
    pub versions: Vec<String>,
    /// Targets that they own.
    pub targets: u64,
    /// For how long it was counted, in milliseconds: of the pod that was heard of the longest.
    pub counted_ms: u64,
    /// Events that they have answered in that time.
    pub events: u64,
    /// How many of these were not committed, came too late or could not be taken, and attempts at which a handler failed.
    pub errors: u64,
    /// Errors for each event, 0 to 1 and beyond; none without an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// What half of the answers did not exceed, from the door to the answer, in milliseconds, as exactly as it is counted; none
    /// without an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// What 99 of 100 answers did not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

/// The answer to `POST /v1/canary/promote` and `…/abort`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryEnded {
    /// What became of it.
    pub state: CanaryState,
    /// The plan by which its targets go back; none when none has to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<super::PlanHead>,
    /// The revision that made it so.
    pub revision: crate::Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}
