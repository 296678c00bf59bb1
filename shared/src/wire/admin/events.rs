//! What happened and why: the audit, a target's owners over time, and what speaks for its place now.

use super::Pin;
use crate::wire::control::{Assignment, PodState};
use crate::{Epoch, MoveId, PlanId, PodId, Revision, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of the audit: who did what to what, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its position in the audit.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch, by the database's clock.
    pub at_ms: u64,
    /// Who: a token's name, or `admin` for the tokens of the settings.
    pub actor: String,
    /// What, for example `accept-data-loss`.
    pub action: String,
    /// To what: a pod, a target, a token, a setting.
    pub subject: String,
    /// Why, in the actor's words.
    pub reason: String,
    /// The id of the request.
    pub request_id: String,
    /// The newest revision when it was done.
    pub revision: Revision,
}

/// `GET /v1/events?kind=&subject=&actor=&limit=&cursor=`: the audit, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// One page.
    pub events: Vec<Event>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// A time in which one pod owned a target under one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ownership {
    /// The owner.
    pub pod: PodId,
    /// The owner before, when there was one.
    pub from: Option<PodId>,
    /// The fencing token of the ownership.
    pub epoch: Epoch,
    /// The revision that began it.
    pub revision: Revision,
    /// Why it began.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Until when; none while it lasts.
    pub until_ms: Option<u64>,
    /// On whose word, as far as the move that began it is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// For how long that move paused the target, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// That move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_by: Option<MoveId>,
    /// The plan that it was a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
}

/// `GET /v1/targets/{target}/history?limit=&cursor=&at_ms=`: who owned a target, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The target.
    pub target: TargetId,
    /// One page.
    pub ownerships: Vec<Ownership>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// `GET /v1/targets/{target}/explain`: where a target is and why, and what placement would say if it were new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The target.
    pub target: TargetId,
    /// Who owns it; none when it has no home.
    pub assignment: Option<Assignment>,
    /// The state of its owner; none when it has no home.
    pub owner_state: Option<PodState>,
    /// The same in one sentence.
    pub summary: String,
    /// Where the planner wants it: where it is, unless something speaks against that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<PodId>,
    /// What speaks against where it is, in a sentence; none when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwanted: Option<String>,
    /// The pod it is pinned to, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// How its owner came by it, as far as that is remembered: by which move, of which plan, on whose word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// Every pod as placement sees it now, the one it would choose first.
    pub candidates: Vec<Candidate>,
    /// The revision all of this was read at.
    pub revision: Revision,
}

/// A pod as placement sees it for one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// The pod.
    pub pod: PodId,
    /// Whether it may get new targets: its lease is being renewed, and it has capacity.
    pub eligible: bool,
    /// Its score for the target (weighted rendezvous); the highest three are compared by load.
    pub score: f64,
    /// The largest of its normalised loads; 1.0 is what it is meant to carry.
    pub load: f64,
    /// Targets assigned to it.
    pub targets: u64,
    /// Whether placement would choose it.
    pub chosen: bool,
    /// Whether the target may go there: `yes`, `no`, or `throttle` for what passes; none for one without a home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What each decider says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<DeciderVerdict>,
}

/// What one decider says of a target and a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeciderVerdict {
    /// Who: `phase`, `pin`, `cooldown`, …
    pub decider: String,
    /// `yes`, `no` or `throttle`.
    pub answer: String,
    /// The same in words.
    pub sentence: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
