//! The metrics of the lease, the links and the disk (OPERATORS.md, Observability). What changes by the clock alone is read at the
//! scrape.

use crate::{folder::space, ownership::Ownership};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge},
};
use shared::telemetry::Metrics;
use shared::wire::link::Outcome;
use std::path::PathBuf;

/// The counters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayMetrics {
    heartbeats: Family<Labelled, Counter>,
    requests: Family<Labelled, Counter>,
    cuts: Family<Labelled, Counter>,
    links: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labelled {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pod {
    pod: String,
}

impl GatewayMetrics {
    /// Registers everything. `folder` is the data folder.
    pub(crate) fn new(metrics: &Metrics, ownership: Ownership, folder: PathBuf) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register(
                "berth_heartbeats",
                "Heartbeats and registrations by what became of them",
                own.heartbeats.clone(),
            );
            registry.register(
                "berth_link_requests",
                "Requests of the HTTP tier by what became of them",
                own.requests.clone(),
            );
            registry.register("berth_links_ended", "Links of the HTTP tier that ended, by why", own.cuts.clone());
            registry.register("berth_links", "Links of the HTTP tier now open", own.links.clone());
            registry.register_collector(Box::new(Scrape { ownership, folder }));
        });
        own
    }

    /// Counts what became of a call to config-service.
    pub(crate) fn heartbeat(&self, result: &'static str) {
        self.heartbeats.get_or_create(&Labelled { result }).inc();
    }

    /// Counts what became of a request.
    pub(crate) fn request(&self, outcome: &Outcome) {
        let result = outcome.word();
        self.requests.get_or_create(&Labelled { result }).inc();
    }

    /// Counts a link that began.
    pub(crate) fn link_began(&self) {
        self.links.inc();
    }

    /// Counts a link that ended.
    pub(crate) fn link_ended(&self, result: &'static str) {
        self.links.dec();
        self.cuts.get_or_create(&Labelled { result }).inc();
    }
}

#[derive(Debug)]
struct Scrape {
    ownership: Ownership,
    folder: PathBuf,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let pod = Pod { pod: self.ownership.pod().to_string() };
        let remaining = self.ownership.lease().map_or(0.0, |(_, remaining)| remaining.as_secs_f64());
        let mut lease = encoder.encode_descriptor(
            "berth_lease_remaining_seconds",
            "Validity left of the pod's lease",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(remaining).encode(lease.encode_family(&pod)?)?;
        let count = i64::try_from(self.ownership.count()).unwrap_or(i64::MAX);
        let mut targets =
            encoder.encode_descriptor("berth_pod_targets", "Targets the pod owns", None, MetricType::Gauge)?;
        ConstGauge::new(count).encode(targets.encode_family(&pod)?)?;
        // A disk that cannot be asked says nothing, and is noticed by what cannot be written to it.
        let Ok(space) = space::of(&self.folder) else { return Ok(()) };
        let gauges = [
            ("berth_disk_free_bytes", "Room left on the disk of the data folder", space.free),
            ("berth_disk_size_bytes", "Size of the disk of the data folder", space.size),
        ];
        for (name, help, bytes) in gauges {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(bytes as f64).encode(gauge.encode_family(&pod)?)?;
        }
        Ok(())
    }
}
