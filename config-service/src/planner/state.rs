//! Where everything is while a plan is made: each unit's pod, each pod's load, and the least loaded pods first. What may go
//! where is the world's to say, what should is the stages'.

use super::{
    Reason, Track,
    snapshot::NONE,
    world::{Amount, DIMENSIONS, World, relative},
};
use std::collections::BTreeSet;

/// Bands are compared with so much play: sums of the same numbers in another order must not decide.
pub(super) const PLAY: f64 = 1e-9;

/// What the pods of one track share.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) track: Track,
    /// Its pods that count: they hold something that stays, or may be given targets.
    pub(super) pods: Vec<usize>,
    /// The mean load, relative to capacity.
    pub(super) mean: f64,
    /// The most a pod should have.
    pub(super) high: f64,
    /// The least a pod should have that is not new.
    pub(super) low: f64,
    /// The dimension that the mean is of.
    pub(super) lead: usize,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct State<'w, 's> {
    pub(super) world: &'w World<'s>,
    /// Each unit's pod.
    pub(super) at: Vec<u32>,
    /// Why a unit is not where it was.
    pub(super) why: Vec<Option<Reason>>,
    pub(super) loads: Vec<Amount>,
    pub(super) pools: [Pool; 2],
    /// What each pod is to have at least.
    pub(super) need: Vec<f64>,
    /// Units whose members are on several pods and cannot come together: each of these counts where it is.
    pub(super) split: BTreeSet<usize>,
    least: [Least; 2],
}

impl<'w, 's> State<'w, 's> {
    /// Takes the world as it is, with nothing moved. Bands are set by [`Self::set_bands`].
    pub(super) fn of(world: &'w World<'s>) -> Self {
        let units = &world.units;
        let mut loads = vec![[0.0; DIMENSIONS]; world.pods.len()];
        let at: Vec<_> = (0..units.len()).map(|unit| units.home(unit).map_or(NONE, |pod| pod as u32)).collect();
        let mut split = BTreeSet::new();
        for (unit, pod) in at.iter().enumerate().filter(|(_, pod)| **pod != NONE) {
            if world.is_scattered(unit) && !world.may_join(unit, *pod as usize) {
                split.insert(unit);
                shares(world, unit).for_each(|(pod, weight)| add(&mut loads[pod], &weight, 1.0));
            } else {
                add(&mut loads[*pod as usize], &world.weight(unit), 1.0);
            }
        }
        let pool = |track| Pool { track, pods: Vec::new(), mean: 0.0, high: f64::INFINITY, low: 0.0, lead: 0 };
        let pools = [pool(Track::Stable), pool(Track::Canary)];
        let least = [Track::Stable, Track::Canary].map(|track| Least::new(world, track));
        let mut state = Self {
            world,
            at,
            why: vec![None; units.len()],
            loads,
            pools,
            need: vec![0.0; world.pods.len()],
            split,
            least,
        };
        (0..world.pods.len()).for_each(|pod| state.noted(pod));
        state
    }

    /// Sets the bands for what is where now, and `waiting`, which is to be placed (PLACEMENT.md, Lower bound). A pod that has
    /// less than half of its share is new: it is filled to the mean.
    pub(super) fn set_bands(&mut self, waiting: &[usize]) {
        let world = self.world;
        let mut all = [[0.0; DIMENSIONS]; 2];
        for unit in waiting {
            add(&mut all[world.track(*unit) as usize], &world.weight(*unit), 1.0);
        }
        for (track, all) in self.pools.iter_mut().zip(&mut all) {
            let counts = |pod: &usize| {
                let (there, load) = (&world.pods[*pod], &self.loads[*pod]);
                let used = there.receives || load.iter().any(|part| *part > PLAY);
                there.counts_with == track.track && there.leaving.is_none() && there.capacity > 0.0 && used
            };
            track.pods = (0..world.pods.len()).filter(counts).collect();
            let capacity: f64 = track.pods.iter().map(|pod| world.pods[*pod].capacity).sum();
            track.pods.iter().for_each(|pod| add(all, &self.loads[*pod], 1.0));
            if capacity <= 0.0 {
                continue;
            }
            track.lead = (0..DIMENSIONS).max_by(|a, b| all[*a].total_cmp(&all[*b]).then(b.cmp(a))).unwrap_or(0);
            track.mean = all[track.lead] / capacity;
            let band = world.policy.band.max(0.0);
            (track.low, track.high) = (track.mean * (1.0 - band), track.mean * (1.0 + band));
            // Nobody is to have more than pods are meant to carry, as long as that is possible.
            if track.mean <= 1.0 {
                track.high = track.high.min(1.0);
            }
            for pod in &track.pods {
                let load = relative(&self.loads[*pod], world.pods[*pod].capacity);
                let new = load < track.low / 2.0 * (1.0 - PLAY);
                self.need[*pod] = if new { track.mean } else { track.low };
            }
        }
    }

    /// Returns the pool that a pod is of.
    pub(super) fn pool(&self, pod: usize) -> &Pool {
        &self.pools[self.world.pods[pod].counts_with as usize]
    }

    /// Returns a pod's load over its capacity, in its largest dimension.
    pub(super) fn load(&self, pod: usize) -> f64 {
        relative(&self.loads[pod], self.world.pods[pod].capacity)
    }

    /// Returns what a pod's load would be with something more, or less.
    pub(super) fn load_with(&self, pod: usize, weight: &Amount, sign: f64) -> f64 {
        let mut load = self.loads[pod];
        add(&mut load, weight, sign);
        relative(&load, self.world.pods[pod].capacity)
    }

    /// Says whether a pod is above its band.
    pub(super) fn is_over(&self, pod: usize) -> bool {
        self.load(pod) > self.pool(pod).high * (1.0 + PLAY)
    }

    /// Says whether a pod that could be given something has less than it needs.
    pub(super) fn is_under(&self, pod: usize) -> bool {
        self.world.pods[pod].receives && self.load(pod) < self.need[pod] * (1.0 - PLAY)
    }

    /// Says whether a pod with that load is within its band, as far as too much goes.
    pub(super) fn fits(&self, pod: usize, load: f64) -> bool {
        load <= self.pool(pod).high * (1.0 + PLAY / 2.0)
    }

    /// Says whether a pod with that load still has what it needs.
    pub(super) fn suffices(&self, pod: usize, load: f64) -> bool {
        load >= self.need[pod] * (1.0 - PLAY / 2.0)
    }

    /// Says whether a pod that would be left with that load can spare something for another one. For a pod below its band
    /// others go down to the lower end of theirs; to fill a new pod to the mean, a new one gives nothing that it needs itself.
    pub(super) fn can_spare(&self, pod: usize, load: f64, to: usize) -> bool {
        let low = self.pool(pod).low;
        if self.load(to) < low * (1.0 - PLAY) { load >= low * (1.0 - PLAY / 2.0) } else { self.suffices(pod, load) }
    }

    /// Puts a unit on a pod.
    pub(super) fn put(&mut self, unit: usize, pod: usize) {
        let weight = self.world.weight(unit);
        self.lift(unit);
        add(&mut self.loads[pod], &weight, 1.0);
        self.at[unit] = pod as u32;
        self.noted(pod);
    }

    /// Takes a unit from its pod.
    pub(super) fn lift(&mut self, unit: usize) {
        let from = self.at[unit];
        if self.split.remove(&unit) {
            for (pod, weight) in shares(self.world, unit) {
                add(&mut self.loads[pod], &weight, -1.0);
                self.noted(pod);
            }
            self.at[unit] = NONE;
        } else if from != NONE {
            let weight = self.world.weight(unit);
            add(&mut self.loads[from as usize], &weight, -1.0);
            self.at[unit] = NONE;
            self.noted(from as usize);
        }
    }

    /// Returns the least relatively loaded pod that a unit may be given to, another one than `but`.
    pub(super) fn least_loaded(&self, unit: usize, but: Option<usize>) -> Option<usize> {
        let fits = |pod: &usize| Some(*pod) != but && self.world.may_go(unit, *pod);
        let top = self.least[self.world.track(unit) as usize].top();
        top.filter(fits).or_else(|| self.best(unit, but, |_| true))
    }

    /// Returns the least relatively loaded pod that a unit may be given to and that `also` is true of; looks at all.
    pub(super) fn best(&self, unit: usize, but: Option<usize>, also: impl Fn(usize) -> bool) -> Option<usize> {
        (0..self.world.pods.len())
            .filter(|pod| Some(*pod) != but && self.world.may_go(unit, *pod) && also(*pod))
            .min_by(|a, b| self.load(*a).total_cmp(&self.load(*b)).then(a.cmp(b)))
    }

    fn noted(&mut self, pod: usize) {
        let load = self.load(pod);
        self.least[self.world.pods[pod].counts_with as usize].set(pod, load);
    }
}

/// What each member of a unit weighs, and where it is.
fn shares<'w>(world: &'w World<'_>, unit: usize) -> impl Iterator<Item = (usize, Amount)> + 'w {
    let owner = |target: usize| world.snapshot.targets()[target].owner();
    world.units.targets(unit).filter_map(move |target| Some((owner(target)?, world.weight_of(target))))
}

/// Adds to an amount, or takes from it.
pub(super) fn add(amount: &mut Amount, weight: &Amount, sign: f64) {
    for d in 0..DIMENSIONS {
        amount[d] += sign * weight[d];
    }
}

/// A tournament: the least loaded pod of a track in one step, a change in as many as the number of pods has bits.
#[derive(Debug)]
struct Least {
    /// Loads by pod; those that take no targets never win.
    loads: Vec<f64>,
    takes: Vec<bool>,
    /// Winners: the first one wins over all, those of `n` play at `2n` and `2n + 1`, pods stand at the end.
    winners: Vec<u32>,
    leaves: usize,
}

impl Least {
    fn new(world: &World<'_>, track: Track) -> Self {
        let leaves = world.pods.len().next_power_of_two();
        let mut winners = vec![NONE; 2 * leaves];
        for pod in 0..world.pods.len() {
            winners[leaves + pod] = pod as u32;
        }
        let takes: Vec<_> = world.pods.iter().map(|pod| pod.receives && pod.counts_with == track).collect();
        Self { loads: vec![f64::INFINITY; world.pods.len()], takes, winners, leaves }
    }

    fn set(&mut self, pod: usize, load: f64) {
        self.loads[pod] = if self.takes[pod] { load } else { f64::INFINITY };
        let mut at = (self.leaves + pod) / 2;
        while at > 0 {
            let (a, b) = (self.winners[2 * at], self.winners[2 * at + 1]);
            let load = |pod: u32| if pod == NONE { f64::INFINITY } else { self.loads[pod as usize] };
            self.winners[at] = if b == NONE || (a != NONE && load(a) <= load(b)) { a } else { b };
            at /= 2;
        }
    }

    fn top(&self) -> Option<usize> {
        let winner = self.winners.get(1).copied().filter(|winner| *winner != NONE)? as usize;
        self.takes[winner].then_some(winner)
    }
}
