//! The metrics of the IDENTIFY budget (OPERATORS.md, IdentifyBudgetLow). No shard is ever a label.

use super::{IdentifyError, budget::Budget};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// The metrics. Cheap to clone; all clones are one. Who does not lead shows none of the budget.
#[derive(Debug, Clone)]
pub(super) struct Meters {
    /// By part: what there is, what is left, what is kept.
    budget: Family<KindLabel, Gauge>,
    told: Gauge,
    waiting: Gauge,
    braked: Gauge,
    permits: Family<KindLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
}

impl Meters {
    /// Registers the metrics.
    pub(super) fn new(service: &shared::telemetry::Metrics) -> Self {
        let all = Self {
            budget: Family::default(),
            told: Gauge::default(),
            waiting: Gauge::default(),
            braked: Gauge::default(),
            permits: Family::default(),
            refused: Family::default(),
        };
        service.register(|registry| {
            registry.register(
                "berth_identify_budget",
                "IDENTIFYs of the bot until the budget is reset: in total, remaining, and kept for recovery; none where nobody leads",
                all.budget.clone(),
            );
            registry.register(
                "berth_identify_told_seconds",
                "When Discord last said how large the budget is, in seconds since the Unix epoch; 0 when it never has",
                all.told.clone(),
            );
            registry.register("berth_identify_waiting", "Shards that wait for a permit", all.waiting.clone());
            registry.register(
                "berth_identify_braked",
                "Shards that identified again and again, and have to wait",
                all.braked.clone(),
            );
            registry.register(
                "berth_identify_permits",
                "Permits that were given out: to start, and to recover from a session that was refused",
                all.permits.clone(),
            );
            registry.register("berth_identify_refused", "Requests that got no permit", all.refused.clone());
        });
        all
    }

    /// Shows the budget; nothing of it when it is not known, or another leads.
    pub(super) fn budget(&self, budget: Option<&Budget>, waiting: usize, braked: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.braked.set(i64::try_from(braked).unwrap_or(i64::MAX));
        let Some(budget) = budget else {
            self.budget.clear();
            self.told.set(0);
            return;
        };
        let record = budget.record();
        for (kind, count) in [("total", record.total), ("remaining", record.remaining), ("reserve", budget.reserve())] {
            self.budget.get_or_create(&KindLabel { kind }).set(count.into());
        }
        self.told.set(i64::try_from(record.told_ms / 1_000).unwrap_or(i64::MAX));
    }

    /// Counts a permit.
    pub(super) fn permitted(&self, recovers: bool) {
        let kind = if recovers { "recovery" } else { "start" };
        self.permits.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, why: &IdentifyError) {
        self.refused.get_or_create(&ReasonLabel { reason: why.reason() }).inc();
    }
}
