//! What is remembered of scaling from one leader to the next: the order under way, which pods were drained because they left,
//! and what was counted. Decides how events are counted; knows no clock: times come in. Pure.

use super::super::autoscale::Decision;
use serde::{Deserialize, Serialize};
use shared::PodId;
use shared::wire::admin::{ScaleDecision, ScaleEvent, ScaleOrder, ScaleStatistics};
use std::collections::{BTreeSet, VecDeque};

/// How many decisions are remembered.
const DECISIONS: usize = 20;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The order under way.
    pub order: Option<ScaleOrder>,
    /// Pods that were drained because they left.
    pub emptied: BTreeSet<PodId>,
    pub(super) ups: u64,
    pub(super) downs: u64,
    pub(super) failed: u64,
    /// How long those that succeeded took, together.
    pub(super) took_ms: u64,
    pub(super) last: Option<ScaleEvent>,
    pub(super) looks: u64,
    /// Those of the looks in which as many pods were ready as were meant to be.
    pub(super) whole: u64,
    pub(super) decisions: VecDeque<ScaleDecision>,
}

impl Ledger {
    /// Reads what was written; what cannot be read was written by another version, and is begun anew.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Returns it as it is written.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Ends the order under way.
    pub fn ended(&mut self, now_ms: u64, failure: Option<String>) {
        let Some(order) = self.order.take() else { return };
        match failure {
            Some(_) => self.failed += 1,
            None if order.to >= order.from => self.ups += 1,
            None => self.downs += 1,
        }
        if failure.is_none() {
            self.took_ms += now_ms.saturating_sub(order.begun_ms);
        }
        let ScaleOrder { from, to, actor, reason, begun_ms, .. } = order;
        self.last = Some(ScaleEvent { from, to, actor, reason, begun_ms, ended_ms: now_ms, failure });
    }

    /// Counts a look at the pods.
    pub fn looked(&mut self, whole: bool) {
        self.looks += 1;
        self.whole += u64::from(whole);
    }

    /// Remembers a decision, when it is another one than the last. Returns whether it is.
    pub fn decided(&mut self, now_ms: u64, replicas: Option<u32>, decision: &Decision) -> bool {
        let why_not: Vec<_> = decision.why_not.iter().map(|hold| hold.code().to_owned()).collect();
        let same = |last: &ScaleDecision| {
            (last.replicas, last.desired, &last.why_not) == (replicas, decision.desired, &why_not)
        };
        if self.decisions.front().is_some_and(same) {
            return false;
        }
        let why = decision.why.clone();
        self.decisions.push_front(ScaleDecision { at_ms: now_ms, replicas, desired: decision.desired, why, why_not });
        self.decisions.truncate(DECISIONS);
        true
    }

    /// Returns the decisions, newest first.
    pub fn decisions(&self) -> Vec<ScaleDecision> {
        self.decisions.iter().cloned().collect()
    }

    /// Returns when an order last ended well or badly, in milliseconds since the Unix epoch.
    pub fn last_ms(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.ended_ms)
    }

    /// Returns what was counted.
    pub fn statistics(&self) -> ScaleStatistics {
        let mean = |sum: u64, count: u64| if count == 0 { None } else { Some(sum as f64 / count as f64) };
        ScaleStatistics {
            total_scale_ups: self.ups,
            total_scale_downs: self.downs,
            failed_scale_ops: self.failed,
            average_scale_duration: mean(self.took_ms, self.ups + self.downs).map_or(0.0, |ms| ms / 1_000.0),
            last_scale_event: self.last.clone(),
            uptime_percent: mean(self.whole * 100, self.looks).unwrap_or(100.0),
        }
    }
}
