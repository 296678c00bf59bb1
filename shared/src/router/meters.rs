//! What is counted on an event's way to its owner (OPERATORS.md, Observability). No target id is ever a label.

use super::{forward::Links, routes::Routes};
use crate::telemetry::Metrics;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};
use prometheus_client::registry::Unit;

/// The counters of the hot path. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RouteMeters {
    lookups: Family<Lookup, Counter>,
    /// Requests to config-service for homes.
    pub place_calls: Counter,
    /// Requests that wait for an owner now.
    pub parked: Gauge,
    /// Seconds from handing an event to a link until its reply.
    pub forward: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    result: &'static str,
}

/// From 250 µs to 16 s.
const FORWARD_BUCKETS: [f64; 13] = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 2.5, 16.0];

impl RouteMeters {
    /// Makes the counters and registers them.
    pub fn register(metrics: &Metrics) -> Self {
        let made = Self {
            lookups: Family::default(),
            place_calls: Counter::default(),
            parked: Gauge::default(),
            forward: Histogram::new(FORWARD_BUCKETS),
        };
        metrics.register(|registry| {
            registry.register(
                "berth_route_lookups",
                "Lookups in the routing table by what it knew; stale is what the owner denied",
                made.lookups.clone(),
            );
            let help = "Requests to config-service for the homes of targets, many in each";
            registry.register("berth_route_place_calls", help, made.place_calls.clone());
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

    /// Counts what the table knew of an event's target.
    pub fn lookup(&self, result: &'static str) {
        self.lookups.get_or_create(&Lookup { result }).inc();
    }
}

/// What is read when somebody looks, rather than counted: the table and the links.
#[derive(Debug)]
pub struct Snapshot {
    /// The table.
    pub routes: Routes,
    /// The links.
    pub links: Links,
}

impl Snapshot {
    /// Registers it.
    pub fn register(self, metrics: &Metrics) {
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
