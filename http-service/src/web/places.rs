//! How much web traffic may be under way: so much per pod, so that one slow bot leaves room for the others, and so much of
//! that per target. Counts it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use shared::http::relay::{TargetPlace, TargetPlaces};
use shared::{PodId, Problem, TargetId, telemetry::Metrics};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Places {
    per_pod: usize,
    of_targets: TargetPlaces,
    pods: Arc<Mutex<HashMap<PodId, Arc<Semaphore>>>>,
    requests: Family<Verdict, Counter>,
    connections: Gauge,
}

/// A place; goes back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    _place: OwnedSemaphorePermit,
    _of_target: TargetPlace,
    connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: String,
}

impl Places {
    /// Makes `per_pod` places for each pod, of which one target may take as many as `of_targets` has for it.
    pub(super) fn new(per_pod: usize, of_targets: TargetPlaces, metrics: &Metrics) -> Self {
        let made = Self {
            per_pod: per_pod.min(Semaphore::MAX_PERMITS),
            of_targets,
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

    /// Takes a place for a target's traffic to a pod.
    ///
    /// # Errors
    /// A problem that says whose places are taken.
    pub(super) fn take(&self, pod: &PodId, target: &TargetId) -> Result<Held, Problem> {
        let of_target = self.of_targets.take(target).ok_or_else(|| {
            let most = self.of_targets.most();
            full(format!("{most} web requests of this target are under way, as many as --web-target-connections (BERTH_WEB_TARGET_CONNECTIONS) of http-service allows"))
        })?;
        let places = {
            let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pods.entry(pod.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_pod))))
        };
        let place =
            places.try_acquire_owned().map_err(|_| full("too much web traffic of this pod is under way".to_owned()))?;
        self.connections.inc();
        Ok(Held { _place: place, _of_target: of_target, connections: self.connections.clone() })
    }

    /// Counts what became of a request: a problem's code, or `answered`.
    pub(super) fn count(&self, verdict: &str) {
        self.requests.get_or_create(&Verdict { verdict: verdict.to_owned() }).inc();
    }
}

fn full(detail: String) -> Problem {
    Problem::unavailable("too-many", detail)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> TargetId {
        name.parse().expect("a target")
    }

    #[test]
    fn each_pod_has_its_own_places_and_they_come_back() {
        let places = Places::new(2, TargetPlaces::new(Some(9), 2), &Metrics::new());
        let (slow, other): (PodId, PodId) = ("gateway-0".parse().expect("a pod"), "gateway-1".parse().expect("a pod"));
        let page = target("slack:guild:T1");
        let held = (places.take(&slow, &page), places.take(&slow, &page));
        assert!(held.0.is_ok() && held.1.is_ok());
        assert!(places.take(&slow, &page).is_err() && places.take(&other, &page).is_ok());
        drop(held);
        assert!(places.take(&slow, &page).is_ok());
        assert_eq!(places.connections.get(), 0);
    }

    #[test]
    fn who_crowds_one_target_leaves_room_for_the_pods_others() {
        let places = Places::new(8, TargetPlaces::new(None, 8), &Metrics::new());
        let pod: PodId = "gateway-0".parse().expect("a pod");
        let (crowded, other) = (target("slack:guild:T1"), target("slack:guild:T2"));
        let held: Vec<_> = (0..100).filter_map(|_| places.take(&pod, &crowded).ok()).collect();
        assert_eq!(held.len(), 2);
        let why = places.take(&pod, &crowded).expect_err("no place");
        assert!(why.code == "too-many" && why.detail.contains("this target"), "{why:?}");
        assert!(places.take(&pod, &other).is_ok());
    }
}
