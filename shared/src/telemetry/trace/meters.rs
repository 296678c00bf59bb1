//! What became of spans, as a metric.

use crate::telemetry::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What became of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The collector has it.
    Exported,
    /// The queue was full.
    QueueFull,
    /// The collector could not be reached, or not in time.
    Failed,
    /// The collector did not want it.
    Rejected,
}

/// Counts spans. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Meters(Family<ResultLabel, Counter>);

impl Meters {
    /// Registers the counter, with every label at zero.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let all = Self::default();
        for fate in [Fate::Exported, Fate::QueueFull, Fate::Failed, Fate::Rejected] {
            all.count(fate, 0);
        }
        let help = "Spans by what became of them: exported, queue_full, failed, rejected";
        metrics.register(|registry| registry.register("berth_trace_spans", help, all.0.clone()));
        all
    }

    pub(super) fn count(&self, fate: Fate, spans: usize) {
        let result = match fate {
            Fate::Exported => "exported",
            Fate::QueueFull => "queue_full",
            Fate::Failed => "failed",
            Fate::Rejected => "rejected",
        };
        self.0.get_or_create(&ResultLabel { result }).inc_by(spans as u64);
    }

    /// Returns how many spans had this fate.
    #[cfg(test)]
    pub(super) fn of(&self, result: &'static str) -> u64 {
        self.0.get_or_create(&ResultLabel { result }).get()
    }
}
