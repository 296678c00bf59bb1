//! Plans: what is to move and why, made before anything moves, applied by number, and judged when it is over; and what holds a
//! target where it is.

use super::{Because, REASON};
use crate::{PlanId, PodId, Revision, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanKind {
    /// Pods get an even share.
    Rebalance,
    /// Everything leaves a pod.
    Drain,
    /// The cluster gets another number of pods.
    Scale,
    /// A target goes to a pod, and stays there.
    Pin,
    /// A share of the targets goes to the pods of another track.
    Canary,
}

impl PlanKind {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rebalance => "rebalance",
            Self::Drain => "drain",
            Self::Scale => "scale",
            Self::Pin => "pin",
            Self::Canary => "canary",
        }
    }
}

/// How far a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanState {
    /// It was made; nothing moves.
    Proposed,
    /// Its moves are being made.
    Applying,
    /// No move begins any more; those under way end one way or the other.
    Cancelling,
    /// Every move was made, or needs none any more.
    Done,
    /// Somebody ended it before it was done.
    Cancelled,
    /// It ended itself: moves failed, or paused targets for too long.
    Stopped,
    /// Nobody wants it; nothing has moved.
    Discarded,
}

impl PlanState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Applying => "applying",
            Self::Cancelling => "cancelling",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
            Self::Discarded => "discarded",
        }
    }

    /// Returns whether nothing follows.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Stopped | Self::Discarded)
    }

    /// Returns whether the leader is at work on it.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Applying | Self::Cancelling)
    }
}

/// `POST /v1/plans`: make a plan. Nothing moves by that. Which of the fields are given depends on the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MakePlan {
    /// What for.
    pub kind: PlanKind,
    /// `drain`: the pod to be emptied. `pin`: where the target goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodId>,
    /// `pin`: the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetId>,
    /// `scale`: the number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
    /// `pin`: until when it holds, in milliseconds since the Unix epoch; for ever when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// `canary`: the share of the targets that is to belong to the canary, 0 to 1; 0 ends it, and its targets go back. Never
    /// smaller than it is, but for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// `canary`: targets that are to belong to it, whatever the share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetId>,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// `POST /v1/plans/{id}/apply`: make its moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyPlan {
    /// The plan's `revision`, as it was when somebody looked at it: a plan that has changed since is not applied.
    pub revision: Revision,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// What a plan is made for, as it was asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlanSubject {
    /// The pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodId>,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetId>,
    /// The number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
    /// Until when, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// The share of the targets that is to belong to the canary; 0 when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Targets that are to belong to it beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetId>,
}

impl PlanSubject {
    /// Returns what was asked for.
    pub fn of(make: &MakePlan) -> Self {
        let MakePlan { pod, target, pods, until_ms, share, targets, .. } = make.clone();
        Self { pod, target, pods, until_ms, share, targets }
    }
}

/// One move of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedMove {
    /// What moves.
    pub target: TargetId,
    /// Where it is.
    pub from: PodId,
    /// Where it goes.
    pub to: PodId,
    /// Why, in a word or two.
    pub reason: String,
    /// How urgent it is: `forced`, `drain`, `rebalance`, `polish`.
    pub rank: String,
    /// The bytes to copy, as last reported.
    #[serde(default)]
    pub bytes: u64,
    /// What the plan knew of the target, as a number: whether the plan still fits is told by it.
    #[serde(default)]
    pub seen: u32,
    /// Those with the same number move together: a guild and its channels, or a group that stays whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<u32>,
}

/// What a plan moves, and what it costs, as it was made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlanCost {
    /// Targets that move.
    pub targets: u64,
    /// Bytes they store.
    pub bytes: u64,
    /// For how long they take no event, all together, as it is expected, in milliseconds.
    pub pause_ms: u64,
    /// The weight that moves, in ordinary pods' loads.
    pub moved: f64,
    /// The least weight that any plan would have to move (PLACEMENT.md, Lower bound).
    pub bound: f64,
    /// Load of the fullest pod over the mean, before.
    pub skew_before: f64,
    /// The same after.
    pub skew_after: f64,
}

/// How far a plan is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlanProgress {
    /// Moves that were made.
    pub moved: u64,
    /// Moves under way.
    pub in_flight: u64,
    /// Moves that were aborted; each is tried again.
    pub aborted: u64,
    /// Moves that nobody needs any more: the target went elsewhere, or may not go there now.
    pub dropped: u64,
    /// Moves that have not begun.
    pub left: u64,
}

/// What is said of a plan when it is over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The weight that has moved over the least that had to; none when nothing had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_over_bound: Option<f64>,
    /// Targets of the fullest pod over the mean, at the end.
    pub skew: f64,
    /// The median of the pauses, in milliseconds.
    pub pause_p50_ms: u64,
    /// What 99 of 100 pauses did not exceed, in milliseconds.
    pub pause_p99_ms: u64,
    /// The longest pause, in milliseconds.
    pub pause_max_ms: u64,
}

/// What a plan knew of what it names, as numbers: when one is another now, the plan is stale.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PlanBasis {
    /// Of its pods.
    pub pods: BTreeMap<PodId, u32>,
    /// Of the policy.
    pub policy: u32,
}

/// A plan without its moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanHead {
    /// Its number.
    pub id: PlanId,
    /// What it is for.
    pub kind: PlanKind,
    /// For which pod, target or number of pods.
    pub subject: PlanSubject,
    /// How far it is.
    pub state: PlanState,
    /// The revision it was made from.
    pub made_from: Revision,
    /// The revision of its last change.
    pub revision: Revision,
    /// What it was made from, beside the targets.
    #[serde(default)]
    pub basis: PlanBasis,
    /// The pods that are drained by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drains: Vec<PodId>,
    /// On whose word.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it was made, in milliseconds since the Unix epoch, by the database's clock; so are the others.
    pub made_ms: u64,
    /// When it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_ms: Option<u64>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// What it moves, and what that costs.
    pub cost: PlanCost,
    /// What somebody should know before it is applied: sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How far it is carried out.
    pub progress: PlanProgress,
    /// How it went; none before it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why it ended before it was done, or why nothing begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `GET /v1/plans/{id}`: a plan with its moves, in the order in which they are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// What is known of it.
    #[serde(flatten)]
    pub head: PlanHead,
    /// Its moves.
    pub moves: Vec<PlannedMove>,
}

/// `GET /v1/plans`: plans, newest first, without their moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanList {
    /// One page.
    pub plans: Vec<PlanHead>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// That a target stays with a pod, whatever the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pin {
    /// The pod.
    pub pod: PodId,
    /// Until when, in milliseconds since the Unix epoch; for ever when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// On whose word.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/targets/{target}/pin`: it goes to that pod, and stays there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinTarget {
    /// The pod.
    pub pod: PodId,
    /// Until when, in milliseconds since the Unix epoch; for ever when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

/// The answer when a target is pinned no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unpinned {
    /// The target.
    pub target: TargetId,
    /// The revision that made it so.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// `GET /v1/rebalance`: what the leader does by itself for an even share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RebalanceStatus {
    /// Whether it is on: somebody may have paused it, and no interval means off.
    pub active: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// How often it looks, in milliseconds; 0 for never.
    pub interval_ms: u64,
    /// When it looks next, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Rounds since this leader took over.
    pub rounds: u64,
    /// What the last round came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Round>,
    /// The plans whose moves are being made.
    pub running: Vec<PlanHead>,
}

/// What a round of the rebalancer came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The plan it made; none when nothing was to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// Targets that were to move.
    pub targets: u64,
    /// Load of the fullest pod over the mean.
    pub skew: f64,
    /// Why no more moves, or nothing: sentences.
    pub notes: Vec<String>,
}

impl Because for MakePlan {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for PinTarget {
    fn reason(&self) -> &str {
        &self.reason
    }
}

impl Because for ApplyPlan {
    fn reason(&self) -> &str {
        &self.reason
    }
}
