//! A fleet to plan for: weights by Zipf's law of which none is more than 1 % of a pod's mean, spread evenly. All of it follows
//! from a seed.

use config_service::planner::{Entry, PodView, Snapshot, Weight};
use shared::{PodId, Revision, TargetId, backoff::Rng};

/// The name of a pod.
pub(super) fn pod(n: usize) -> PodId {
    format!("gateway-{n}").parse().unwrap_or_else(|_| unreachable!("a number is a label"))
}

/// Targets, what they weigh and where they are.
pub(super) struct Fleet {
    /// Names, in order.
    pub(super) names: Vec<TargetId>,
    /// Events per second.
    pub(super) weights: Vec<f32>,
    owners: Vec<usize>,
}

impl Fleet {
    /// Draws a fleet of `count` targets on `pods` pods, which carry 1,200 events per second each.
    pub(super) fn drawn(count: usize, pods: usize, seed: u64) -> Self {
        let mut weights: Vec<f64> = (0..count).map(|rank| 1.0 / (rank as f64 + 1.0)).collect();
        for _ in 0..60 {
            let most = weights.iter().sum::<f64>() / pods as f64 * 0.0099;
            weights.iter_mut().for_each(|weight| *weight = weight.min(most));
        }
        let scale = 1_200.0 * pods as f64 / weights.iter().sum::<f64>();
        let mut rng = Rng::seeded(seed);
        for at in (1..count).rev() {
            weights.swap(at, usize::try_from(rng.next_u64() % (at as u64 + 1)).unwrap_or(0));
        }
        let weights: Vec<_> = weights.into_iter().map(|weight| (weight * scale) as f32).collect();
        let owners = spread(&weights, pods);
        // Of one length, so that they are in order.
        let name = |id: usize| format!("discord:guild:{id:09}").parse();
        let names = (0..count).map(|id| name(id).unwrap_or_else(|_| unreachable!("digits are a name"))).collect();
        Self { names, weights, owners }
    }

    /// Returns it as the planner takes it, on `pods` pods of which the last ones may be new.
    pub(super) fn snapshot(&self, pods: usize) -> Snapshot {
        let views = (0..pods).map(|n| PodView::ready(pod(n))).collect();
        let mut builder = Snapshot::of(Revision(1), views, self.names.len());
        let numbers: Vec<_> = (0..pods).map(|n| builder.pod(&pod(n))).collect();
        for ((name, weight), owner) in self.names.iter().zip(&self.weights).zip(&self.owners) {
            let weight = Weight { events: *weight, bytes: 1e5, sockets: 0.0 };
            let owner = numbers.get(*owner).copied().flatten();
            builder.add(Entry { target: name.clone(), parent: None, owner, weight, rules: None });
        }
        builder.finish()
    }
}

/// Gives each target to the pod that has least, the heaviest first.
fn spread(weights: &[f32], pods: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..weights.len()).collect();
    order.sort_unstable_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    let (mut loads, mut owners) = (vec![0.0_f64; pods], vec![0; weights.len()]);
    for at in order {
        let least = (0..pods).min_by(|a, b| loads[*a].total_cmp(&loads[*b])).unwrap_or(0);
        loads[least] += f64::from(weights[at]);
        owners[at] = least;
    }
    owners
}
