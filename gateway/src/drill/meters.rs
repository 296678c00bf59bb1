//! What is counted of restore drills.

use prometheus_client::metrics::gauge::Gauge;
use shared::telemetry::Metrics;
use std::{sync::atomic::AtomicU64, time::Duration};

/// The meters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct DrillMeters {
    age: Gauge<f64, AtomicU64>,
    ok: Gauge,
}

impl DrillMeters {
    /// Registers them.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let meters = Self::default();
        meters.age.set(f64::INFINITY);
        metrics.register(|to| {
            let help = "Time since the pod's replica was last restored and found good; infinite before that";
            to.register("berth_replication_drill_age_seconds", help, meters.age.clone());
            let help = "Whether the last restore drill found the replica good; 0 before the pod's first";
            to.register("berth_replication_drill_last_ok", help, meters.ok.clone());
        });
        meters
    }

    /// Notes what a drill came to.
    pub(super) fn made(&self, ok: bool) {
        self.ok.set(i64::from(ok));
    }

    /// Notes how long the last good one is ago; none when there was none.
    pub(super) fn age(&self, age: Option<Duration>) {
        self.age.set(age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
    }
}
