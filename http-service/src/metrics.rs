//! What the HTTP tier counts beside what every router does (OPERATORS.md, Observability). No target id is ever a label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use shared::Platform;
use shared::telemetry::Metrics;

/// The counters of the webhook URLs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    requests: Family<Verdict, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    platform: &'static str,
    verdict: &'static str,
}

impl Counters {
    /// Makes the counters and registers them.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self { requests: Family::default() };
        metrics.register(|registry| {
            registry.register(
                "berth_webhook_requests",
                "Requests to the webhook URLs by what became of them",
                made.requests.clone(),
            );
        });
        made
    }

    /// Counts a request to a webhook URL by what became of it.
    pub(crate) fn request(&self, platform: Platform, verdict: &'static str) {
        self.requests.get_or_create(&Verdict { platform: platform.as_str(), verdict }).inc();
    }
}
