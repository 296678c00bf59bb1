//! Makes a plan: the stages in order, and what comes of them as moves with reasons and costs.

use super::{
    Cost, Plan, PlannedMove, Policy, Rank, Reason, Skew, Snapshot, Warning,
    bound::{self, ByTrack, as_one, together},
    forced,
    hash::Print,
    level::level,
    polish::polish,
    snapshot::NONE,
    stale,
    state::{Pool, State, add},
    world::{DIMENSIONS, World, relative},
};
use std::cmp::{Ordering, Reverse};

/// Plans what is to move (PLACEMENT.md, Rebalancing): what must, then what pods' shares ask for, then what is wished for.
/// Deterministic; `now_ms` is milliseconds since 1970.
///
/// Forced moves, shed and fill are idempotent: after them, another plan has none.
pub fn plan(snapshot: &Snapshot, policy: &Policy, now_ms: u64) -> Plan {
    let mut world = World::of(snapshot, policy, now_ms);
    let mut warnings = std::mem::take(&mut world.warnings);
    let mut state = State::of(&world);
    let lifted = forced::lift(&mut state, &mut warnings);
    state.set_bands(&lifted);
    let before = skew_before(&state);
    let bound = bound::lower(&state, &weight_of_forced(&state, &lifted));
    forced::place(&mut state, &lifted);
    level(&mut state);
    if lifted.is_empty() && state.why.iter().all(Option::is_none) {
        polish(&mut state);
    }
    let after = skew(&state);
    pressed(&state, &mut warnings);
    let Drawn { moves, weight, mut cost } = draw_up(&state);
    let [moved, polished] = weight;
    (cost.moved, cost.polished, cost.bound) = (as_one(&moved), as_one(&polished), as_one(&bound));
    (cost.moved_in, cost.bound_in) = (together(&moved), together(&bound));
    let named = moves.iter().flat_map(|step| step.from.iter().chain([&step.to]));
    let pods = named.filter_map(|pod| snapshot.pod(pod)).map(|at| &snapshot.pods()[at]);
    let pods = pods.map(|view| (view.pod.clone(), stale::of_pod(view))).collect();
    let policy = stale::of_policy(policy);
    let id = name(snapshot, policy, &moves);
    Plan {
        id,
        revision: snapshot.revision,
        made_ms: now_ms,
        moves,
        skew: Skew { before, after },
        cost,
        warnings,
        pods,
        policy,
    }
}

/// The weight that has to move, by track: units, and members that are not where the rest of their unit is.
fn weight_of_forced(state: &State<'_, '_>, lifted: &[usize]) -> ByTrack {
    let world = state.world;
    let mut forced = ByTrack::default();
    for unit in lifted {
        add(&mut forced[world.track(*unit) as usize], &world.weight(*unit), 1.0);
    }
    if !world.units.are_single() {
        let comes = |unit: &usize| state.at[*unit] != NONE && !state.split.contains(unit);
        for unit in (0..world.units.len()).filter(comes) {
            let away =
                world.units.targets(unit).filter(|target| world.snapshot.targets()[*target].owner != state.at[unit]);
            let forced = &mut forced[world.track(unit) as usize];
            away.for_each(|target| add(forced, &world.weight_of(target), 1.0));
        }
    }
    forced
}

/// The fullest pod's load over the mean, in the worst track, with every target where it is now.
fn skew_before(state: &State<'_, '_>) -> f64 {
    let world = state.world;
    let mut loads = vec![[0.0; DIMENSIONS]; world.pods.len()];
    for (at, target) in world.snapshot.targets().iter().enumerate() {
        if let Some(owner) = target.owner() {
            add(&mut loads[owner], &world.weight_of(at), 1.0);
        }
    }
    worst(state, |pod| relative(&loads[pod], world.pods[pod].capacity))
}

fn skew(state: &State<'_, '_>) -> f64 {
    worst(state, |pod| state.load(pod))
}

fn worst(state: &State<'_, '_>, load: impl Fn(usize) -> f64) -> f64 {
    let pools = state.pools.iter().filter(|pool| pool.mean > 0.0);
    let fullest = |pool: &Pool| pool.pods.iter().map(|pod| load(*pod)).fold(0.0, f64::max) / pool.mean;
    pools.map(fullest).fold(super::EVEN, f64::max)
}

/// Warns of what remains.
fn pressed(state: &State<'_, '_>, warnings: &mut Vec<Warning>) {
    for pool in state.pools.iter().filter(|pool| pool.mean > 0.0) {
        if pool.mean > 1.0 {
            warnings.push(Warning::TooFewPods { track: pool.track, load: pool.mean });
        }
        for pod in &pool.pods {
            let name = || state.world.snapshot.pods()[*pod].pod.clone();
            let load = state.load(*pod) / pool.mean;
            if state.is_over(*pod) {
                warnings.push(Warning::Above { pod: name(), load });
            } else if state.is_under(*pod) {
                warnings.push(Warning::Below { pod: name(), load });
            }
        }
    }
}

struct Drawn {
    moves: Vec<PlannedMove>,
    /// Moved for the pods' sake, and for what is only wished for.
    weight: [ByTrack; 2],
    cost: Cost,
}

/// What is to be done so that everything is where the state has it.
fn draw_up(state: &State<'_, '_>) -> Drawn {
    let World { snapshot, policy, units, .. } = state.world;
    let mut order = Vec::new();
    let (mut weight, mut cost) = ([ByTrack::default(); 2], Cost::default());
    let (mut bytes, mut pause, mut longest) = (0.0, 0.0, 0.0_f64);
    for unit in (0..units.len()).filter(|unit| state.at[*unit] != NONE) {
        if units.are_single() && state.why[unit].is_none() {
            continue;
        }
        let (to, track) = (state.at[unit], state.world.track(unit) as usize);
        let heavy = relative(&state.world.weight(unit), 1.0);
        if state.split.contains(&unit) {
            continue;
        }
        let first = order.len();
        for target in units.targets(unit).filter(|target| snapshot.targets()[*target].owner != to) {
            let view = &snapshot.targets()[target];
            let reason = why(state, unit, target);
            let rank = reason.rank();
            // The highest ordinal leaves first: that is the one the StatefulSet takes.
            let ordinal = view.owner().filter(|_| rank == Rank::Drain).and_then(|at| snapshot.pods()[at].pod.ordinal());
            add(&mut weight[usize::from(rank == Rank::Polish)][track], &state.world.weight_of(target), 1.0);
            bytes += f64::from(view.weight.bytes);
            let expected = policy.pause.of(f64::from(view.weight.bytes));
            pause += expected;
            longest = longest.max(expected);
            order.push(Step { urgent: (rank, Reverse(ordinal)), heavy, unit, target, to, reason });
        }
        // All of it is as urgent as the most urgent of it.
        let family = &mut order[first..];
        if let Some(urgent) = family.iter().map(|step| step.urgent).min() {
            family.iter_mut().for_each(|step| step.urgent = urgent);
        }
    }
    order.sort_unstable_by(Step::cmp);
    let mut moves: Vec<_> = order.iter().map(|step| step.shown(snapshot)).collect();
    name_families(&order, &mut moves);
    cost.targets = moves.len() as u64;
    (cost.bytes, cost.pause_ms, cost.longest_pause_ms) = (bytes as u64, pause.ceil() as u64, longest.ceil() as u64);
    Drawn { moves, weight, cost }
}

/// Gives those that move together a number: that of the first of them.
fn name_families(order: &[Step], moves: &mut [PlannedMove]) {
    let mut first = 0;
    for family in order.chunk_by(|a, b| a.unit == b.unit) {
        if family.len() > 1 {
            let number = u32::try_from(first).ok();
            moves[first..first + family.len()].iter_mut().for_each(|step| step.family = number);
        }
        first += family.len();
    }
}

/// A move by numbers.
struct Step {
    /// How urgent its unit is.
    urgent: (Rank, Reverse<Option<u32>>),
    heavy: f64,
    unit: usize,
    target: usize,
    to: u32,
    reason: Reason,
}

impl Step {
    /// The most urgent first, then the heaviest; what belongs together stays together.
    fn cmp(&self, other: &Self) -> Ordering {
        let heavy = self.urgent.cmp(&other.urgent).then_with(|| other.heavy.total_cmp(&self.heavy));
        heavy.then_with(|| (self.unit, self.target).cmp(&(other.unit, other.target)))
    }

    fn shown(&self, snapshot: &Snapshot) -> PlannedMove {
        let view = &snapshot.targets()[self.target];
        PlannedMove {
            target: view.target.clone(),
            from: snapshot.owner_of(view).cloned(),
            to: snapshot.pods()[self.to as usize].pod.clone(),
            reason: self.reason,
            rank: self.reason.rank(),
            bytes: view.weight.bytes as u64,
            seen: stale::of_target(snapshot, view),
            family: None,
        }
    }
}

/// Why a member of a unit moves.
fn why(state: &State<'_, '_>, unit: usize, target: usize) -> Reason {
    let owner = state.world.snapshot.targets()[target].owner();
    let Some(owner) = owner else { return Reason::NoOwner };
    state.world.pods[owner].leaving.or(state.why[unit]).unwrap_or(Reason::Together)
}

/// A plan's name: what it says, in sixteen digits.
fn name(snapshot: &Snapshot, policy: u32, moves: &[PlannedMove]) -> String {
    let print = Print::new().number(snapshot.revision.0).number(policy.into());
    let print = moves.iter().fold(print, |print, step| print.text(step.target.as_str()).text(step.to.as_str()));
    print.name()
}
