//! What others do: a ring of virtual nodes, and rendezvous hashing. Both know names only. What they move when pods come or go is
//! measured against the same bound: the least that brings every pod into the band.

use super::{
    Scenario,
    fleet::{Fleet, pod},
};
use config_service::planner::{Policy, score};
use consistent_hash::{DefaultHash, Node, StaticHashRing};
use shared::{PodId, TargetId};
use tokio::time::Instant;

/// Points that a pod has on the ring.
const POINTS: usize = 160;

/// Says where each target is on so many pods.
type Place = fn(&[TargetId], usize) -> Vec<usize>;

/// The rules that are compared.
pub(super) const RULES: [(&str, Place); 2] = [("consistent_hash ring", ring), ("rendezvous", rendezvous)];

/// Measures what a rule moves when `was` pods become `is`.
pub(super) fn compare(fleet: &Fleet, was: usize, is: usize, place: Place) -> Scenario {
    let before = place(&fleet.names, was);
    let began = Instant::now();
    let after = place(&fleet.names, is);
    let seconds = began.elapsed().as_secs_f64();
    let loads = |places: &[usize]| {
        let mut loads = vec![0.0; was.max(is)];
        places.iter().zip(&fleet.weights).for_each(|(pod, weight)| loads[*pod] += f64::from(*weight));
        loads
    };
    let (old, new) = (loads(&before), loads(&after));
    let changed = before.iter().zip(&after).zip(&fleet.weights).filter(|((before, after), _)| before != after);
    let moved: f64 = changed.map(|(_, weight)| f64::from(*weight)).sum();
    let mean = old.iter().sum::<f64>() / is as f64;
    let band = Policy::default().band;
    // A new pod is to have the mean, as in the planner's own bound.
    let need = |pod: usize| if pod >= was { mean } else { mean * (1.0 - band) };
    let leaving: f64 = old[is.min(was)..].iter().sum();
    let above: f64 = old[..is.min(was)].iter().map(|load| (load - mean * (1.0 + band)).max(0.0)).sum();
    let below: f64 = (0..is).map(|pod| (need(pod) - old[pod]).max(0.0)).sum();
    Scenario {
        name: String::new(),
        targets: fleet.names.len(),
        pods: is,
        seconds,
        moved_over_bound: moved / (leaving + above).max(below),
        max_over_mean: new[..is].iter().copied().fold(0.0, f64::max) / mean,
    }
}

fn ring(names: &[TargetId], pods: usize) -> Vec<usize> {
    let nodes = (0..pods).map(|n| Node::new(pod(n).as_str().to_owned()).value(n).quantity(POINTS));
    let ring = StaticHashRing::new(DefaultHash, nodes);
    let first = |name: &TargetId| ring.calc_candidates(&name.as_str()).next().map_or(0, |node| node.value);
    names.iter().map(first).collect()
}

fn rendezvous(names: &[TargetId], pods: usize) -> Vec<usize> {
    let pods: Vec<PodId> = (0..pods).map(pod).collect();
    let scored = |name: &TargetId, at: usize| score(name, &pods[at], 1.0);
    let best = |name: &TargetId| (0..pods.len()).max_by(|a, b| scored(name, *a).total_cmp(&scored(name, *b)));
    names.iter().map(|name| best(name).unwrap_or(0)).collect()
}
