//! The metrics of the bots' REST requests. No pod and no bot is ever a label.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The metrics. Cheap to clone; all clones are one. Who does not lead shows none.
#[derive(Debug, Clone)]
pub(super) struct Meters {
    slots: Family<KindLabel, Gauge>,
    bots: Gauge,
}

impl Meters {
    /// Registers the metrics.
    pub(super) fn new(service: &shared::telemetry::Metrics) -> Self {
        let all = Self { slots: Family::default(), bots: Gauge::default() };
        service.register(|registry| {
            registry.register(
                "berth_rest_slots",
                "Requests that a bot may have out on Discord at once: in total, and given to pods, of the bot with the most given; none where nobody leads",
                all.slots.clone(),
            );
            registry.register("berth_rest_bots", "Bots whose requests to Discord are shared out", all.bots.clone());
        });
        all
    }

    /// Shows how much is given.
    pub(super) fn show(&self, total: u32, given: u32, bots: usize) {
        for (kind, count) in [("total", total), ("given", given)] {
            self.slots.get_or_create(&KindLabel { kind }).set(count.into());
        }
        self.bots.set(i64::try_from(bots).unwrap_or(i64::MAX));
    }

    /// Shows nothing: another leads.
    pub(super) fn clear(&self) {
        self.slots.clear();
        self.bots.set(0);
    }
}
