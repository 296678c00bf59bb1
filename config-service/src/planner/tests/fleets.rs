//! Fleets for the tests: drawn from a seed.

use super::*;
use shared::backoff::Rng;

/// A source of small decisions.
pub(super) struct Dice(Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::seeded(seed))
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.0.next_u64() % most.max(1) as u64).expect("small")
    }

    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn part(&mut self) -> f64 {
        self.0.next_f64()
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// What a snapshot is made of, in an order of its own.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) pods: Vec<PodView>,
    pub(super) targets: Vec<Part>,
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) target: TargetId,
    pub(super) parent: Option<TargetId>,
    pub(super) owner: Option<PodId>,
    pub(super) weight: Weight,
    pub(super) rules: Option<Rules>,
}

impl Parts {
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut builder = Snapshot::of(Revision(3), self.pods.clone(), self.targets.len());
        for part in self.targets.clone() {
            let owner = part.owner.and_then(|owner| builder.pod(&owner));
            let Part { target, parent, weight, rules, .. } = part;
            builder.add(Entry { target, parent, owner, weight, rules: rules.map(Box::new) });
        }
        builder.finish()
    }
}

/// Anything that can be: pods in every state, targets with every wish, many of which cannot be had.
pub(super) fn anything(seed: u64) -> Parts {
    let mut dice = Dice::new(seed);
    let zones = ["a", "b", "c"];
    let count = 1 + dice.below(9);
    let mut pods = pods(count);
    for view in &mut pods {
        if dice.once_in(3) {
            view.capacity = [0.0, 0.5, 1.0, 2.0][dice.below(4)];
        }
        if dice.once_in(2) {
            view.zone = Some(zones[dice.below(3)].to_owned());
        }
        if dice.once_in(4) {
            view.track = Track::Canary;
        }
        if dice.once_in(3) {
            let phases = [Phase::Joining, Phase::Suspect, Phase::Draining, Phase::Drained, Phase::Dead, Phase::Retired];
            view.phase = phases[dice.below(phases.len())];
        }
        view.cordoned = dice.once_in(6);
        view.in_range = !dice.once_in(8);
        view.schema = [None, Some(None), Some(Some(1)), Some(Some(2))][dice.below(4)];
    }
    let (count, heavy) = (dice.below(90), dice.below(4));
    let mut targets = Vec::new();
    for id in 0..count {
        let child = id > 0 && dice.once_in(4);
        let owner = (!dice.once_in(12)).then(|| pods[dice.below(pods.len())].pod.clone());
        let events = if dice.once_in(20) && heavy == 0 { 900.0 } else { dice.part() * 40.0 };
        let weight = Weight {
            events: events as f32,
            bytes: (dice.part() * 1e8) as f32,
            sockets: if dice.once_in(5) { 30.0 } else { 0.0 },
        };
        let mut rules = Rules::default();
        if dice.once_in(6) {
            rules.group = Some(Group { name: format!("g{}", dice.below(5)), whole: dice.once_in(2) });
        }
        if dice.once_in(6) {
            rules.zone = Some(ZoneRule { zone: zones[dice.below(3)].to_owned(), hard: dice.once_in(2) });
        }
        if dice.once_in(8) {
            let until_ms = [None, Some(10), Some(1_000_000)][dice.below(3)];
            rules.pin = Some(Pin { pod: pod(dice.below(10)), until_ms });
        }
        if dice.once_in(10) {
            rules.track = Some([Track::Stable, Track::Canary][dice.below(2)]);
        }
        if dice.once_in(5) {
            rules.moved = Some(Moved { at_ms: 500 * dice.below(3) as u64, times: 1 + dice.below(11) as u8 });
        }
        let parent = child.then(|| guild(dice.below(id)));
        targets.push(Part {
            target: guild(id),
            parent,
            owner,
            weight,
            rules: (rules != Rules::default()).then_some(rules),
        });
    }
    Parts { pods, targets }
}

/// How weights are spread.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Equal,
    Zipf,
    Uniform,
}

/// Events only: the other dimensions weigh nothing to speak of.
pub(super) fn events_only() -> Policy {
    Policy { targets: 1e12, bytes: 1e18, sockets: 1e12, ..Policy::default() }
}

/// Weights of which the heaviest is at most 1 % of what each of `pods` pods has on average, half of what pods are meant to
/// carry.
pub(super) fn weights(dice: &mut Dice, shape: Shape, count: usize, pods: usize) -> Vec<f32> {
    let raw = |at: usize, dice: &mut Dice| match shape {
        Shape::Equal => 1.0,
        Shape::Zipf => 1.0 / (at as f64 + 1.0),
        Shape::Uniform => 0.05 + dice.part(),
    };
    let mut all: Vec<f64> = (0..count).map(|at| raw(at, dice)).collect();
    for _ in 0..40 {
        let most = all.iter().sum::<f64>() / pods as f64 * 0.009;
        all.iter_mut().for_each(|weight| *weight = weight.min(most));
    }
    let scale = 1_000.0 * pods as f64 / all.iter().sum::<f64>();
    dice.shuffle(&mut all);
    all.into_iter().map(|weight| (weight * scale) as f32).collect()
}

/// Owners so that `pods` pods have nearly the same.
pub(super) fn balanced(weights: &[f32], pods: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    let (mut loads, mut owners) = (vec![0.0_f64; pods], vec![0; weights.len()]);
    for at in order {
        let least = (0..pods).min_by(|a, b| loads[*a].total_cmp(&loads[*b])).expect("pods");
        loads[least] += f64::from(weights[at]);
        owners[at] = least;
    }
    owners
}
