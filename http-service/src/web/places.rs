//! How much web traffic may be under way: so much per pod, so that one slow bot leaves room for the others. Counts it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use shared::{PodId, telemetry::Metrics};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Places {
    per_pod: usize,
    pods: Arc<Mutex<HashMap<PodId, Arc<Semaphore>>>>,
    requests: Family<Verdict, Counter>,
    connections: Gauge,
}

/// A place; goes back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    _place: OwnedSemaphorePermit,
    connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: String,
}

impl Places {
    /// Makes `per_pod` places for each pod.
    pub(super) fn new(per_pod: usize, metrics: &Metrics) -> Self {
        let made = Self {
            per_pod: per_pod.min(Semaphore::MAX_PERMITS),
            pods: Arc::default(),
            requests: Family::default(),
            connections: Gauge::default(),
        };
        metrics.register(|to| {
            to.register("berth_web_requests", "Web requests of targets by what became of them", made.requests.clone());
            to.register("berth_web_connections", "Web requests and tunnels under way", made.connections.clone());
        });
        made
    }

    /// Takes a place for traffic to a pod, if there is one.
    pub(super) fn take(&self, pod: &PodId) -> Option<Held> {
        let places = {
            let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pods.entry(pod.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_pod))))
        };
        let place = places.try_acquire_owned().ok()?;
        self.connections.inc();
        Some(Held { _place: place, connections: self.connections.clone() })
    }

    /// Counts what became of a request: a problem's code, or `answered`.
    pub(super) fn count(&self, verdict: &str) {
        self.requests.get_or_create(&Verdict { verdict: verdict.to_owned() }).inc();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pod_has_its_own_places_and_they_come_back() {
        let places = Places::new(2, &Metrics::new());
        let (slow, other): (PodId, PodId) = ("gateway-0".parse().expect("a pod"), "gateway-1".parse().expect("a pod"));
        let held = (places.take(&slow), places.take(&slow));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(places.take(&slow).is_none() && places.take(&other).is_some());
        drop(held);
        assert!(places.take(&slow).is_some());
        assert_eq!(places.connections.get(), 0);
    }
}
