//! What the HTTP tier counts (OPERATORS.md, Observability). No target id is ever a label.

use crate::{forward::Links, routes::Routes};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use prometheus_client::registry::Unit;
use shared::Platform;
use shared::telemetry::Metrics;

/// The counters the hot path touches. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    requests: Family<Verdict, Counter>,
    lookups: Family<Lookup, Counter>,
    /// Requests that wait for an owner now.
    pub(crate) parked: Gauge,
    /// Seconds from handing an event to a link until its reply.
    pub(crate) forward: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    platform: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    result: &'static str,
}

/// From 250 µs to 16 s.
const FORWARD_BUCKETS: [f64; 13] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 2.5, 16.0];

impl Counters {
    /// Makes the counters and registers them.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self {
            requests: Family::default(),
            lookups: Family::default(),
            parked: Gauge::default(),
            forward: Histogram::new(FORWARD_BUCKETS),
        };
        metrics.register(|registry| {
            registry.register(
                "berth_webhook_requests",
                "Requests to the webhook URLs by what became of them",
                made.requests.clone(),
            );
            registry.register(
                "berth_route_lookups",
                "Lookups in the routing table by what it knew; stale is what the owner denied",
                made.lookups.clone(),
            );
            registry.register("berth_parked_requests", "Requests that wait for an owner", made.parked.clone());
            registry.register_with_unit(
                "berth_forward_duration",
                "From handing an event to a pod's link until its reply",
                Unit::Seconds,
                made.forward.clone(),
            );
        });
        made
    }

    /// Counts a request to a webhook URL by what became of it.
    pub(crate) fn request(&self, platform: Platform, verdict: &'static str) {
        self.requests.get_or_create(&Verdict { platform: platform.as_str(), verdict }).inc();
    }

    /// Counts what the table knew of an event's target.
    pub(crate) fn lookup(&self, result: &'static str) {
        self.lookups.get_or_create(&Lookup { result }).inc();
    }
}

/// What is read when somebody looks, rather than counted: the table and the links.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) routes: Routes,
    pub(crate) links: Links,
}

impl Snapshot {
    /// Registers it.
    pub(crate) fn register(self, metrics: &Metrics) {
        metrics.register(|registry| registry.register_collector(Box::new(self)));
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let table = self.routes.summary();
        let (up, down) = self.links.count();
        if let Some(age) = table.age {
            let (help, age) =
                ("Since the routing table last heard from config-service", ConstGauge::new(age.as_secs_f64()));
            let name = "berth_route_table_age";
            age.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), age.metric_type())?)?;
        }
        for (name, help, count) in [
            ("berth_route_table_targets", "Targets in the routing table", table.targets as u64),
            ("berth_route_table_revision", "The revision the table is complete up to", table.revision.0),
            ("berth_links_up", "Links to pods that are open", up as u64),
            ("berth_links_down", "Links to pods that are not open", down as u64),
        ] {
            let gauge = ConstGauge::new(count);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
