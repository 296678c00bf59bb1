//! What the engine counts. Labels name platforms and outcomes, never targets: there are too many of those.

use crate::{answers::Answers, store::Settled};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use shared::{Platform, telemetry::Metrics, wire::link::Outcome};
use std::time::Duration;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Applied,
    Duplicate,
    Deferred,
    Retried,
    NotOwner,
    NotServing,
    Busy,
    NotCommitted,
    Late,
}

impl Verdict {
    /// Returns the verdict behind an outcome.
    pub(crate) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Committed { duplicate: false, .. } => Self::Applied,
            Outcome::Committed { duplicate: true, .. } => Self::Duplicate,
            Outcome::NotOwner { .. } => Self::NotOwner,
            Outcome::NotServing { .. } => Self::NotServing,
            Outcome::Busy { .. } => Self::Busy,
            Outcome::NotCommitted { .. } => Self::NotCommitted,
            Outcome::Late => Self::Late,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Deferred => "deferred",
            Self::Retried => "retried",
            Self::NotOwner => "not_owner",
            Self::NotServing => "not_serving",
            Self::Busy => "busy",
            Self::NotCommitted => "not_committed",
            Self::Late => "late",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlatform {
    platform: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    platform: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWord {
    kind: &'static str,
}

/// The engine's meters. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    events: Family<ByResult, Counter>,
    duplicates: Family<ByPlatform, Counter>,
    altered: Family<ByPlatform, Counter>,
    dead: Family<ByWord, Counter>,
    calls: Family<ByWord, Counter>,
    outbox: Gauge,
    fenced: Counter,
    aside: Gauge,
    handler: Histogram,
    group_events: Histogram,
    group_seconds: Histogram,
    answers: Answers,
}

impl Meters {
    /// Registers the meters.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let meters = Self {
            events: Family::default(),
            duplicates: Family::default(),
            altered: Family::default(),
            dead: Family::default(),
            calls: Family::default(),
            outbox: Gauge::default(),
            fenced: Counter::default(),
            aside: Gauge::default(),
            handler: Histogram::new([0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.05, 0.2, 1.0]),
            group_events: Histogram::new([1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1_024.0]),
            group_seconds: Histogram::new([0.000_5, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0, 5.0]),
            answers: Answers::default(),
        };
        metrics.register(|to| {
            to.register("berth_events", "Events by what became of them", meters.events.clone());
            let help = "Events that came again and changed nothing";
            to.register("berth_duplicate_events", help, meters.duplicates.clone());
            let help = "Events whose id came again with another payload";
            to.register("berth_altered_events", help, meters.altered.clone());
            let help = "Events and outgoing calls put aside for an operator";
            to.register("berth_dead_letters", help, meters.dead.clone());
            to.register("berth_outbox_attempts", "Outgoing calls by what an attempt came to", meters.calls.clone());
            to.register("berth_outbox_waiting", "Outgoing calls that wait", meters.outbox.clone());
            let help = "Writes refused because the lease or the epoch no longer held";
            to.register("berth_fenced_writes", help, meters.fenced.clone());
            let help = "Targets whose rows are kept here and not served, since another pod was given the target";
            to.register("berth_pod_quarantined_targets", help, meters.aside.clone());
            to.register("berth_handler_duration_seconds", "How long handlers ran", meters.handler.clone());
            to.register("berth_commit_group_events", "Events committed together", meters.group_events.clone());
            let help = "How long a group took from its first event to its answers";
            to.register("berth_commit_group_duration_seconds", help, meters.group_seconds.clone());
        });
        meters
    }

    /// Returns the count of answers.
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(crate) fn event(&self, platform: Platform, verdict: Verdict) {
        if verdict == Verdict::Retried {
            self.answers.failed();
        }
        let label = ByResult { platform: platform.as_str(), result: verdict.word() };
        self.events.get_or_create(&label).inc();
    }

    pub(crate) fn duplicate(&self, platform: Platform) {
        self.duplicates.get_or_create(&ByPlatform { platform: platform.as_str() }).inc();
    }

    pub(crate) fn altered(&self, platform: Platform) {
        self.altered.get_or_create(&ByPlatform { platform: platform.as_str() }).inc();
    }

    pub(crate) fn put_aside(&self, dead: bool) {
        self.dead.get_or_create(&ByWord { kind: if dead { "event" } else { "event_failed" } }).inc();
    }

    pub(crate) fn call(&self, settled: &Settled) {
        let kind = match settled {
            Settled::Sent => "sent",
            Settled::Again { .. } => "again",
            Settled::Uncertain { .. } => "uncertain",
            Settled::Dead { .. } => "dead",
        };
        self.calls.get_or_create(&ByWord { kind }).inc();
        if let Settled::Uncertain { .. } | Settled::Dead { .. } = settled {
            self.dead.get_or_create(&ByWord { kind: "call" }).inc();
        }
    }

    pub(crate) fn outbox_waiting(&self, calls: usize) {
        self.outbox.set(calls as i64);
    }

    pub(crate) fn fenced(&self) {
        self.fenced.inc();
    }

    pub(crate) fn aside(&self, targets: u64) {
        self.aside.set(i64::try_from(targets).unwrap_or(i64::MAX));
    }

    /// Returns how many targets' rows are put aside.
    pub(crate) fn asides(&self) -> u64 {
        u64::try_from(self.aside.get()).unwrap_or(0)
    }

    pub(crate) fn handler(&self, took: Duration) {
        self.handler.observe(took.as_secs_f64());
    }

    pub(crate) fn group(&self, events: usize, took: Duration) {
        if events > 0 {
            self.group_events.observe(events as f64);
            self.group_seconds.observe(took.as_secs_f64());
        }
    }
}
