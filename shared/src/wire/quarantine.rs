//! Rows of targets that a pod has put aside (OWNERSHIP.md, Data 5): what they are, what became of the end of their journal,
//! and what is said to the pod that serves the target now. Decides when such rows may go, and nothing else.

use super::{admin::Because, admin::REASON, data::OnBehalf};
use crate::{Epoch, Incarnation, PodId, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Why rows are aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The life of the database that served them was failed over.
    FailedOver,
    /// Another pod was given the target without this pod's release.
    Taken,
    /// A move had given the target away, and it has begun anew beside these rows.
    Released,
}

impl Why {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailedOver => "failed-over",
            Self::Taken => "taken",
            Self::Released => "released",
        }
    }

    /// Returns what a word means.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::FailedOver, Self::Taken, Self::Released].into_iter().find(|why| why.as_str() == word)
    }
}

/// How far the end of a copy's journal is with the pod that serves the target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Nobody serves the target from a copy of this pod's rows yet, or who does has not been reached.
    #[default]
    Waiting,
    /// Events are being sent.
    Sending,
    /// The owner has answered for everything that could be sent.
    Done,
    /// The target began without these rows: nothing is sent, since it would be applied to another history.
    Apart,
}

impl Progress {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Apart => "apart",
        }
    }
}

/// Why an event of a copy's journal was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// A timer: the owner has its own, from the events that set it.
    Timer,
    /// Older than the owner can be sure to remember; it stays here.
    TooOld,
    /// Its payload has left with the journal's retention.
    NoPayload,
}

/// What became of the end of a copy's journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconcile {
    /// How far it is.
    pub progress: Progress,
    /// The pod that serves the target, as far as it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PodId>,
    /// Up to which journal row the owner's copy went.
    #[serde(default)]
    pub had: u64,
    /// Events that were sent.
    #[serde(default)]
    pub sent: u64,
    /// Those of them that the owner knew.
    #[serde(default)]
    pub known: u64,
    /// Those of them that changed something there.
    #[serde(default)]
    pub applied: u64,
    /// Calls to the outside that had been made, or may have been, and that the owner was told of.
    #[serde(default)]
    pub calls: u64,
    /// Events that were not sent, by the reason.
    #[serde(default)]
    pub skipped: BTreeMap<Skipped, u64>,
    /// When this was last written down, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub at_ms: u64,
    /// What it waits for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Reconcile {
    /// Returns whether everything that was acknowledged here is the owner's by now.
    pub fn is_whole(&self) -> bool {
        self.progress == Progress::Done && self.skipped.iter().all(|(why, count)| *count == 0 || *why == Skipped::Timer)
    }
}

/// Rows of one target that are aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Aside {
    /// Its number in the pod's database.
    pub copy: u64,
    /// Whose rows they are.
    pub target: TargetId,
    /// The highest epoch they were owned under.
    pub epoch: Epoch,
    /// Why they are aside.
    pub why: Why,
    /// Since when, in milliseconds since the Unix epoch; 0 when nobody wrote it down.
    pub since_ms: u64,
    /// Whether the target has begun anew beside them: no assignment can mean them any more.
    pub left_behind: bool,
    /// How many rows there are.
    pub rows: u64,
    /// What they hold, in bytes.
    pub bytes: u64,
    /// What became of the end of their journal.
    pub reconcile: Reconcile,
    /// Whether they are being dropped.
    #[serde(default)]
    pub dropping: bool,
}

/// Why rows that are aside have to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Keep {
    /// Something that was acknowledged may be nowhere else.
    #[error("not everything that was acknowledged here is known to the target's owner")]
    NotReconciled,
    /// The retention is not over.
    #[error("the time for which rows that are aside are kept is not over")]
    TooYoung,
}

impl Aside {
    /// Decides whether the rows may be dropped without an operator who knows better: everything of them is acknowledged by the
    /// owner, and they have been aside for `retention` (OWNERSHIP.md, Data 5). Since when nobody knows is too young.
    ///
    /// # Errors
    /// Why they have to stay.
    pub fn may_go(&self, now_ms: u64, retention: Duration) -> Result<(), Keep> {
        if !self.reconcile.is_whole() {
            return Err(Keep::NotReconciled);
        }
        let kept = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        if self.since_ms == 0 || now_ms < self.since_ms.saturating_add(kept) {
            return Err(Keep::TooYoung);
        }
        Ok(())
    }
}

/// `GET /v1/pods/{pod}/quarantine`: a page of what is aside there, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asides {
    /// The pod.
    pub pod: PodId,
    /// The page.
    pub items: Vec<Aside>,
    /// What to give as `cursor` for the next page; none on the last.
    #[serde(default)]
    pub next: Option<String>,
}

/// `POST /v1/pods/{pod}/quarantine/{copy}/drop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropAside {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
    /// Drop them although something of them may be nowhere else, or it is too early.
    #[serde(default)]
    pub i_know: bool,
}

impl Because for DropAside {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// What a pod is asked when rows are to be dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropOrder {
    /// Who asks, and why.
    #[serde(flatten)]
    pub by: OnBehalf,
    /// Whether the rules are passed over.
    #[serde(default)]
    pub i_know: bool,
}

/// Rows that are aside no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AsideDropped {
    /// The pod.
    pub pod: PodId,
    /// Their number.
    pub copy: u64,
    /// Whose they were.
    pub target: TargetId,
    /// False when it takes longer than the caller waited: it is recorded, and goes on through restarts.
    pub done: bool,
    /// Rows that went, by table.
    pub rows: BTreeMap<String, u64>,
}

/// `POST /v1/late/{target}` among gateways: the end of a journal whose pod was failed over, from that pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// The pod that sends.
    pub from: PodId,
    /// The life of its database that acknowledged the events.
    pub incarnation: Incarnation,
    /// Calls that have been made, or may have been. They are told before any event.
    #[serde(default)]
    pub calls: Vec<LateCall>,
    /// Events, in the order of acceptance.
    #[serde(default)]
    pub events: Vec<LateEvent>,
}

/// A call to the outside that another pod has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCall {
    /// The handler's id of it.
    pub id: String,
    /// True when nobody knows whether it was made.
    #[serde(default)]
    pub uncertain: bool,
    /// The call itself, so that an operator can decide; only of an uncertain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<crate::event::OutboxCall>,
    /// Whether it may be made twice.
    #[serde(default)]
    pub idempotent: bool,
}

/// An event that another pod had acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateEvent {
    /// Its place in that pod's journal.
    pub seq: u64,
    /// Its kind.
    pub kind: crate::event::EventKind,
    /// Who sent it.
    pub source: String,
    /// The sender's id.
    pub id: String,
    /// The guild a channel belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TargetId>,
    /// When it arrived at the HTTP tier, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// Its headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Its payload, as base64.
    pub body: String,
}

/// What the owner says of a [`Late`]: what became of the events, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateTaken {
    /// What became of each, in order. Shorter than what was sent when one could not be committed now: send the rest again.
    pub events: Vec<LateFate>,
    /// Why it is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of one event on its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LateFate {
    /// It was known: nothing has changed.
    Known,
    /// It was applied, or stands in the journal and will be.
    Applied,
}

#[cfg(test)]
mod tests;
