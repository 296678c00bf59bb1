//! The metrics of the control plane, by the names of OPERATORS.md. No target id is ever a label.

use crate::{planner::EVEN, store::StoreError};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use shared::wire::control::AssignmentState;
use shared::wire::handoff::{Move, MoveState};
use shared::{Platform, PodId, Revision, Term};
use std::{sync::atomic::AtomicU64, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetsLabel {
    platform: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PodLabel {
    pod: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The metrics. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    targets: Family<TargetsLabel, Gauge>,
    pod_targets: Family<PodLabel, Gauge>,
    lease_remaining: Family<PodLabel, Gauge<f64, AtomicU64>>,
    skew: Gauge<f64, AtomicU64>,
    leader: Gauge,
    term: Gauge,
    revision: Gauge,
    place_batch: Histogram,
    place_queue: Gauge,
    place_refused: Counter,
    watchers: Gauge,
    store_errors: Family<OutcomeLabel, Counter>,
    heartbeats: Family<ResultLabel, Counter>,
    registrations: Family<ResultLabel, Counter>,
    moves: Family<StateLabel, Gauge>,
    moves_ended: Family<StateLabel, Counter>,
    move_pause: Histogram,
    move_duration: Histogram,
    replicas: Gauge,
    desired: Gauge,
}

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn new(service: &shared::telemetry::Metrics) -> Self {
        let all = Self {
            targets: Family::default(),
            pod_targets: Family::default(),
            lease_remaining: Family::default(),
            skew: Gauge::default(),
            leader: Gauge::default(),
            term: Gauge::default(),
            revision: Gauge::default(),
            place_batch: Histogram::new(exponential_buckets(1.0, 4.0, 7)),
            place_queue: Gauge::default(),
            place_refused: Counter::default(),
            watchers: Gauge::default(),
            store_errors: Family::default(),
            heartbeats: Family::default(),
            registrations: Family::default(),
            moves: Family::default(),
            moves_ended: Family::default(),
            move_pause: Histogram::new(exponential_buckets(0.005, 2.0, 12)),
            move_duration: Histogram::new(exponential_buckets(0.05, 2.0, 15)),
            replicas: Gauge::default(),
            desired: Gauge::default(),
        };
        service.register(|registry| {
            registry.register(
                "berth_targets",
                "Assigned targets, by whether their owner has their data",
                all.targets.clone(),
            );
            registry.register("berth_pod_targets", "Targets assigned to a pod", all.pod_targets.clone());
            registry.register(
                "berth_lease_remaining_seconds",
                "Time until the leader may take a pod's lease for over",
                all.lease_remaining.clone(),
            );
            registry.register(
                "berth_assignment_skew_ratio",
                "Targets of the fullest pod over the mean, both by capacity",
                all.skew.clone(),
            );
            registry.register("berth_leader", "1 while this process leads", all.leader.clone());
            registry.register("berth_term", "The term this process leads in", all.term.clone());
            registry.register("berth_revision", "The newest revision", all.revision.clone());
            registry.register(
                "berth_place_batch_targets",
                "Targets placed in one transaction",
                all.place_batch.clone(),
            );
            registry.register("berth_place_queue_targets", "First contacts that wait", all.place_queue.clone());
            registry.register("berth_place_refused", "First contacts no pod was ready for", all.place_refused.clone());
            registry.register(
                "berth_autoscaler_replicas",
                "Pods that are meant to run; 0 while that is not known",
                all.replicas.clone(),
            );
            registry.register(
                "berth_autoscaler_desired_replicas",
                "Pods that there should be, by the autoscaler; 0 while that is not known",
                all.desired.clone(),
            );
            registry.register("berth_watchers", "Open watches", all.watchers.clone());
            registry.register("berth_store_errors", "Calls of the store that failed", all.store_errors.clone());
            registry.register("berth_heartbeats", "Heartbeats of pods", all.heartbeats.clone());
            registry.register("berth_registrations", "Registrations of pods", all.registrations.clone());
            registry.register("berth_moves", "Moves of targets that are not over, by state", all.moves.clone());
            registry.register("berth_moves_ended", "Moves that were committed or aborted", all.moves_ended.clone());
            registry.register(
                "berth_move_pause_seconds",
                "For how long a moving target accepted no event, as its pods measured it",
                all.move_pause.clone(),
            );
            registry.register(
                "berth_move_duration_seconds",
                "Time from the beginning of a move to its commit",
                all.move_duration.clone(),
            );
        });
        all.skew(EVEN);
        all
    }

    /// Says whether this process leads, and in which term.
    pub(crate) fn leader(&self, term: Option<Term>) {
        self.leader.set(i64::from(term.is_some()));
        self.term.set(term.unwrap_or_default().0.cast_signed());
        if term.is_none() {
            // What a follower once knew as the leader is nobody's truth.
            self.targets.clear();
            self.pod_targets.clear();
            self.lease_remaining.clear();
            self.skew(EVEN);
            self.moves.clear();
            self.watchers.set(0);
            self.place_queue.set(0);
        }
    }

    pub(crate) fn revision(&self, revision: Revision) {
        self.revision.set(revision.0.cast_signed());
    }

    /// Shows how many targets of a platform are assigned, and how many of them wait for their data.
    pub(crate) fn targets(&self, platform: Platform, count: u64, quarantined: u64) {
        for (state, count) in
            [(AssignmentState::Serving, count.saturating_sub(quarantined)), (AssignmentState::Quarantined, quarantined)]
        {
            let label = TargetsLabel { platform: platform.as_str(), state: state.as_str() };
            self.targets.get_or_create(&label).set(count.cast_signed());
        }
    }

    pub(crate) fn pod(&self, pod: &PodId, targets: u64, lease: Duration) {
        let label = PodLabel { pod: pod.to_string() };
        self.pod_targets.get_or_create(&label).set(targets.cast_signed());
        self.lease_remaining.get_or_create(&label).set(lease.as_secs_f64());
    }

    pub(crate) fn skew(&self, ratio: f64) {
        self.skew.set(ratio);
    }

    pub(crate) fn placed(&self, targets: usize, refused: usize) {
        if targets > 0 {
            self.place_batch.observe(targets as f64);
        }
        self.place_refused.inc_by(refused as u64);
    }

    /// Shows how many moves are in which state.
    pub(crate) fn moves(&self, states: impl Iterator<Item = MoveState>) {
        use MoveState::{Committed, Copying, Frozen, Imported};
        let mut counts = [(Copying, 0), (Frozen, 0), (Imported, 0), (Committed, 0)];
        for state in states {
            counts.iter_mut().filter(|(one, _)| *one == state).for_each(|(_, count)| *count += 1);
        }
        for (state, count) in counts {
            self.moves.get_or_create(&StateLabel { state: state.as_str() }).set(count);
        }
    }

    /// Counts what a move has become.
    pub(crate) fn moved(&self, entry: &Move) {
        if let (MoveState::Committed | MoveState::Aborted, Some(ended)) = (entry.state, entry.ended_ms) {
            self.moves_ended.get_or_create(&StateLabel { state: entry.state.as_str() }).inc();
            if entry.state == MoveState::Committed {
                self.move_duration.observe(ended.saturating_sub(entry.started_ms) as f64 / 1_000.0);
            }
        }
        if let (MoveState::Cleaned, Some(pause)) = (entry.state, entry.pause_ms) {
            self.move_pause.observe(pause as f64 / 1_000.0);
        }
    }

    pub(crate) fn place_queue(&self, targets: usize) {
        self.place_queue.set(i64::try_from(targets).unwrap_or(i64::MAX));
    }

    pub(crate) fn watchers(&self, count: usize) {
        self.watchers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn store_error(&self, why: &StoreError) {
        self.store_errors.get_or_create(&OutcomeLabel { outcome: why.outcome() }).inc();
    }

    pub(crate) fn heartbeat(&self, result: &'static str) {
        self.heartbeats.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn registration(&self, result: &'static str) {
        self.registrations.get_or_create(&ResultLabel { result }).inc();
    }

    /// Notes how many pods are meant to run, and how many there should be.
    pub(crate) fn autoscaler(&self, replicas: Option<u32>, desired: Option<u32>) {
        self.replicas.set(replicas.unwrap_or_default().into());
        self.desired.set(desired.unwrap_or_default().into());
    }
}
