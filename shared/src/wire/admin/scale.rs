//! How many pods there are and should be: the autoscaler, orders to scale, and what starts and stops pods.

use super::{Because, REASON};
use crate::{PodId, Revision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/autoscaler`: what the autoscaler sees, wants, does, and why it does not do more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AutoscalerStatus {
    /// `off`, `recommend` or `act`.
    pub mode: String,
    /// What starts and stops pods here, in words; none when nothing is known that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// How many pods are meant to run, by that; none while it does not say.
    pub replicas: Option<u32>,
    /// How many of these are ready.
    pub ready: u32,
    /// How many pods there should be, by the autoscaler; none while `replicas` is not known.
    pub desired: Option<u32>,
    /// The fewest pods.
    pub min: u32,
    /// The most pods.
    pub max: u32,
    /// Why `desired` is what it is, in a sentence.
    pub why: String,
    /// What speaks against doing it now; empty when nothing does, or nothing is to be done.
    pub why_not: Vec<WhyNot>,
    /// What the pods carry on average, by dimension.
    pub dimensions: Vec<DimensionUse>,
    /// What each pod that is meant to run carries.
    pub pods: Vec<PodInput>,
    /// What is being done; none when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<ScaleOrder>,
    /// The last decisions that differ from the one before, newest first.
    pub decisions: Vec<ScaleDecision>,
    /// Counts since the cluster began.
    pub statistics: ScaleStatistics,
}

/// `GET /api/admin/autoscaler/status`: the same, with the counts beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AutoscalerReport {
    /// The counts.
    #[serde(flatten)]
    pub counts: ScaleStatistics,
    /// The rest.
    #[serde(flatten)]
    pub status: AutoscalerStatus,
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhyNot {
    /// A stable word.
    pub code: String,
    /// A sentence with what to do about it.
    pub detail: String,
}

/// What the pods carry of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DimensionUse {
    /// `cpu`, `memory`, `events` or `sockets`.
    pub name: String,
    /// What a pod is meant to carry: shares of the limit for CPU and memory, events per second, sockets.
    pub goal: f64,
    /// How much of that the pods carry on average; none when it is not known of all of them.
    pub ratio: Option<f64>,
}

/// What one pod carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodInput {
    /// The pod.
    pub pod: PodId,
    /// The share of its processors that it uses.
    #[serde(default)]
    pub cpu: Option<f64>,
    /// The share of its memory that it uses; none without a limit.
    #[serde(default)]
    pub memory: Option<f64>,
    /// Events per second.
    #[serde(default)]
    pub events: Option<f64>,
    /// Open connections.
    #[serde(default)]
    pub sockets: Option<f64>,
    /// Why these are not known; none when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// An order to have so many pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleOrder {
    /// How many there were.
    pub from: u32,
    /// How many there are to be.
    pub to: u32,
    /// Who said so; `autoscaler` when it did.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// What it waits for, as it was last seen.
    #[serde(default)]
    pub waiting: String,
}

/// A decision of the autoscaler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleDecision {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How many pods were meant to run.
    pub replicas: Option<u32>,
    /// How many there should have been.
    pub desired: Option<u32>,
    /// Why.
    pub why: String,
    /// What spoke against it: the words only.
    pub why_not: Vec<String>,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleEvent {
    /// How many pods there were.
    pub from: u32,
    /// How many there were to be.
    pub to: u32,
    /// Who said so.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// Why it failed; none when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What the autoscaler has counted, over all leaders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleStatistics {
    /// Orders for more pods that succeeded.
    pub total_scale_ups: u64,
    /// Orders for fewer pods that succeeded.
    pub total_scale_downs: u64,
    /// Orders that failed.
    pub failed_scale_ops: u64,
    /// How long those that succeeded took on average, in seconds; 0 when none has.
    pub average_scale_duration: f64,
    /// The last order that ended.
    pub last_scale_event: Option<ScaleEvent>,
    /// In how many of the autoscaler's looks as many pods were ready as were meant to run, in percent; 100 before the first.
    pub uptime_percent: f64,
}

/// `POST /v1/scale`: there are to be so many pods. Those that go are drained first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleTo {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub to: u32,
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = REASON), length(max = 1000))]
    pub reason: String,
}

impl Because for ScaleTo {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// The answer to [`ScaleTo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleOrdered {
    /// How many pods are meant to run now.
    pub from: u32,
    /// How many there are to be.
    pub to: u32,
    /// Those that will be emptied and stopped, in that order.
    pub leaving: Vec<PodId>,
    /// The revision at which it was ordered.
    pub revision: Revision,
    /// True when nothing was changed, because only what would happen was asked for.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/scale/supervisor`: what a supervisor of pods runs, told again and again; it is answered with [`Supervise`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supervised {
    /// What it is, in words.
    pub name: String,
    /// What its pods are called, before the hyphen and the number.
    pub prefix: String,
    /// How many it means to run: numbers 0 up to this.
    pub replicas: u32,
    /// The numbers of those whose processes run.
    pub running: Vec<u32>,
    /// The most it can run.
    pub most: u32,
}

/// The answer to [`Supervised`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supervise {
    /// How many pods it is to run from now on.
    pub replicas: u32,
}

/// `POST /v1/pods/{pod}/stopping`: a pod was told to stop, and asks whether it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    /// Its number is not meant to run any more: its targets leave it before it stops.
    pub leaving: bool,
    /// Nothing is left: it may stop. Always so for one that comes back.
    pub may_stop: bool,
    /// How many targets it still owns.
    pub targets: u64,
}
