//! What is counted of replication, and what is read at the scrape because it changes by the clock alone.

use super::{Acknowledge, Commits, Replication};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram},
};
use shared::{
    Clock, Mono,
    telemetry::Metrics,
    wire::replication::{Lag, ReplicationState, Standing},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMode {
    mode: &'static str,
}

/// What the last uploads came to.
#[derive(Debug, Default)]
struct Last {
    began: Option<Mono>,
    synced_ms: Option<u64>,
    error: Option<String>,
}

/// The meters. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReplicationMeters {
    syncs: Counter,
    failures: Counter,
    acknowledged: Family<ByMode, Counter>,
    sync_seconds: Histogram,
    wait_seconds: Histogram,
    last: Arc<Mutex<Last>>,
    commits: Arc<Commits>,
    clock: Arc<dyn Clock>,
    replication: Replication,
}

impl ReplicationMeters {
    /// Registers the meters.
    pub(crate) fn register(
        metrics: &Metrics,
        replication: Replication,
        commits: Arc<Commits>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let steps = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
        let meters = Self {
            syncs: Counter::default(),
            failures: Counter::default(),
            acknowledged: Family::default(),
            sync_seconds: Histogram::new(steps),
            wait_seconds: Histogram::new(steps),
            last: Arc::default(),
            commits,
            clock,
            replication,
        };
        metrics.register(|to| {
            let help = "Uploads to the replica that were confirmed";
            to.register("berth_replication_syncs", help, meters.syncs.clone());
            let help = "Uploads to the replica that failed, or whose seal could not be read";
            to.register("berth_replication_sync_failures", help, meters.failures.clone());
            let help = "Events acknowledged, by when: on this disk, or in the replica";
            to.register("berth_replication_acknowledged_events", help, meters.acknowledged.clone());
            let help = "How long an upload took, with the look at the seal";
            to.register("berth_replication_sync_duration_seconds", help, meters.sync_seconds.clone());
            let help = "How long acknowledgements waited for the replica";
            to.register("berth_replication_wait_seconds", help, meters.wait_seconds.clone());
            to.register_collector(Box::new(Scrape(meters.clone())));
        });
        meters
    }

    pub(super) fn began(&self, now: Mono) {
        self.last().began = Some(now);
    }

    pub(super) fn synced(&self, now: Mono, wall_ms: u64) {
        let mut last = self.last();
        (last.synced_ms, last.error) = (Some(wall_ms), None);
        self.syncs.inc();
        if let Some(began) = last.began.take() {
            self.sync_seconds.observe(now.since(began).as_secs_f64());
        }
    }

    pub(super) fn failed(&self, why: &str) {
        self.failures.inc();
        self.last().error = Some(why.to_owned());
    }

    pub(super) fn error(&self) -> Option<String> {
        self.last().error.clone()
    }

    /// Returns how far the database's commits are.
    pub(crate) fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }

    /// Counts an acknowledgement.
    pub(crate) fn acknowledged(&self, mode: Acknowledge, waited: Duration) {
        let mode = match mode {
            Acknowledge::Local => "local",
            Acknowledge::Replicated => {
                self.wait_seconds.observe(waited.as_secs_f64());
                "replicated"
            }
        };
        self.acknowledged.get_or_create(&ByMode { mode }).inc();
    }

    /// Returns everything that is known here.
    pub(crate) fn state(&self) -> ReplicationState {
        let (status, now) = (self.replication.status(), self.clock.now());
        let age = |at: Option<Mono>| at.map_or(0, |at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX));
        let (waiting, oldest) = self.replication.waiting();
        let last = self.last();
        let on = self.replication.is_on();
        ReplicationState {
            state: status.stands,
            lineage: self.replication.lineage(),
            committed_seq: self.commits.seq(),
            replicated_seq: status.replicated_seq,
            lag_ms: age(status.oldest),
            lag_bytes: if on { self.commits.wal_bytes().saturating_sub(status.replicated_bytes) } else { 0 },
            oldest_unacknowledged_ms: age(oldest),
            waiting,
            last_sync_at_ms: last.synced_ms,
            syncs: self.syncs.get(),
            failures: self.failures.get(),
            error: last.error.clone(),
            ..ReplicationState::default()
        }
    }

    /// Returns how far the replica is behind; none without one.
    pub(crate) fn lag(&self) -> Option<Lag> {
        let state = self.replication.is_on().then(|| self.state())?;
        Some(Lag { state: state.state, ms: state.lag_ms, bytes: state.lag_bytes })
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Scrape(ReplicationMeters);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if !self.0.replication.is_on() {
            return Ok(());
        }
        let state = self.0.state();
        let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        let gauges = [
            (
                "berth_replication_lag_seconds",
                "Age of the oldest commit that is not known to be in the replica",
                seconds(state.lag_ms),
            ),
            (
                "berth_replication_lag_bytes",
                "Bytes of the WAL that are not known to be in the replica",
                state.lag_bytes as f64,
            ),
            (
                "berth_replication_oldest_unacknowledged_seconds",
                "Age of the oldest acknowledgement that waits for the replica",
                seconds(state.oldest_unacknowledged_ms),
            ),
            (
                "berth_replication_waiting_acknowledgements",
                "Acknowledgements that wait for the replica",
                state.waiting as f64,
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        let mut standing = encoder.encode_descriptor(
            "berth_replication_state",
            "Whether the replica keeps up: 1 for the state it is in",
            None,
            MetricType::Gauge,
        )?;
        for stands in Standing::ALL {
            let value = i64::from(stands == state.state);
            ConstGauge::new(value).encode(standing.encode_family(&ByState { state: stands.word() })?)?;
        }
        Ok(())
    }
}
