//! What is counted of restores.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::telemetry::Metrics;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// The meters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecoveryMeters {
    running: Gauge,
    bytes: Gauge,
    took: Gauge,
    restores: Family<ByOutcome, Counter>,
    targets: Family<ByOutcome, Counter>,
}

impl RecoveryMeters {
    /// Registers the meters.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let meters = Self::default();
        metrics.register(|to| {
            let help = "Dead pods' replicas that this pod is restoring";
            to.register("berth_restores_running", help, meters.running.clone());
            let help = "Bytes of the replica that is being restored, or was last, so far";
            to.register("berth_restore_bytes", help, meters.bytes.clone());
            let help = "Milliseconds that the last restore of a replica took";
            to.register("berth_restore_milliseconds", help, meters.took.clone());
            let help = "Restores of dead pods' replicas that ended, by how";
            to.register("berth_restores", help, meters.restores.clone());
            let help = "Targets that were looked for in replicas, by what became of them";
            to.register("berth_restored_targets", help, meters.targets.clone());
        });
        meters
    }

    /// So many run.
    pub(super) fn running(&self, count: usize) {
        self.running.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So much is written.
    pub(super) fn progress(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A replica was restored, or not.
    pub(super) fn restored(&self, took: Option<Duration>) {
        if let Some(took) = took {
            self.took.set(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        }
        let outcome = if took.is_some() { "ok" } else { "failed" };
        self.restores.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// The leader has answered for so many targets.
    pub(super) fn answered(&self, serving: usize, dropped: usize) {
        self.targets.get_or_create(&ByOutcome { outcome: "serving" }).inc_by(serving as u64);
        self.targets.get_or_create(&ByOutcome { outcome: "not-taken" }).inc_by(dropped as u64);
    }
}
