//! Shed and fill (PLACEMENT.md, Rebalancing 2 and 3): what pods have above their band leaves, and pods below theirs are given
//! what others can spare; a new pod is filled to the mean at once. Nothing else moves.
//!
//! First in bulk: how much each pod is to give, then who, then where to, the heaviest first. Then one by one, until no step is
//! left that brings a pod nearer to its band. That such a step exists depends only on where everything is: so a plan made
//! after this one finds none either, and is empty.

use super::{
    Reason,
    beside::Nearer,
    lists::Lists,
    state::{PLAY, Pool, State},
    world::{Amount, DIMENSIONS, relative},
};
use std::collections::BTreeSet;

/// How often all pods are gone through: each pass needs a step of the one before it.
const PASSES: usize = 1_000;

/// All bits of a number but its sign.
const UNSIGNED: u32 = u32::MAX >> 1;

/// Moves what the bands ask for.
pub(super) fn level(state: &mut State<'_, '_>) {
    let outside = |state: &State<'_, '_>, pod: usize| state.is_over(pod) || state.is_under(pod);
    let pods: Vec<_> = state.pools.iter().flat_map(|pool| pool.pods.clone()).collect();
    if !pods.iter().any(|pod| outside(state, *pod)) {
        return;
    }
    let mut lists = Lists::of(state);
    for track in 0..state.pools.len() {
        let mut chosen = Vec::new();
        let pool = state.pools[track].clone();
        for (pod, amount) in quotas(state, &pool) {
            choose(state, &lists, &pool, pod, amount, &mut chosen);
        }
        chosen.sort_unstable_by(|(a, i), (b, j)| b.total_cmp(a).then(i.cmp(j)));
        for (_, unit) in chosen {
            offer(state, &mut lists, unit as usize);
        }
    }
    for _ in 0..PASSES {
        let mut moved = false;
        for pod in &pods {
            while state.is_over(*pod) && shed(state, &mut lists, *pod) {
                moved = true;
            }
            while state.is_under(*pod) && fill(state, &mut lists, *pod) {
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
}

/// How much each pod gives: what it has above its band, and when others need more than that, what the fullest can spare
/// down to one water level, which is never below the mean.
fn quotas(state: &State<'_, '_>, pool: &Pool) -> Vec<(usize, Amount)> {
    let world = state.world;
    let capacity = |pod: usize| world.pods[pod].capacity;
    let givers: Vec<_> = pool.pods.iter().copied().filter(|pod| world.pods[*pod].gives).collect();
    let above = |pod: usize, level: f64, d: usize| (state.loads[pod][d] - level * capacity(pod)).max(0.0);
    let wanted: f64 = pool
        .pods
        .iter()
        .filter(|pod| state.is_under(**pod))
        .map(|pod| (state.need[*pod] - state.load(*pod)) * capacity(*pod))
        .sum();
    let given: f64 = givers.iter().map(|pod| above(*pod, pool.high, pool.lead)).sum();
    let level = if given < wanted { water_level(state, pool, &givers, wanted).max(pool.mean) } else { pool.high };
    let quota = |pod: usize| {
        let mut amount = [0.0; DIMENSIONS];
        for (d, part) in amount.iter_mut().enumerate() {
            *part = above(pod, if d == pool.lead { level.min(pool.high) } else { pool.high }, d);
        }
        amount
    };
    givers
        .into_iter()
        .map(|pod| (pod, quota(pod)))
        .filter(|(_, amount)| amount.iter().any(|part| *part > 0.0))
        .collect()
}

/// The load at which pods have given `wanted` between them, when each gives what it has above it.
fn water_level(state: &State<'_, '_>, pool: &Pool, givers: &[usize], wanted: f64) -> f64 {
    let capacity = |pod: usize| state.world.pods[pod].capacity;
    let mut loads: Vec<_> = givers.iter().map(|pod| (state.loads[*pod][pool.lead] / capacity(*pod), *pod)).collect();
    loads.sort_unstable_by(|(a, p), (b, q)| b.total_cmp(a).then(p.cmp(q)));
    let (mut sum, mut wide, mut level) = (0.0, 0.0, f64::INFINITY);
    for (load, pod) in loads {
        if level >= load {
            (sum, wide) = (sum + load * capacity(pod), wide + capacity(pod));
            level = (sum - wanted) / wide;
        }
    }
    level
}

/// Chooses a pod's victims by weight over cost, none of which is more than what is still to go.
fn choose(state: &State<'_, '_>, lists: &Lists, pool: &Pool, pod: usize, amount: Amount, chosen: &mut Vec<(f32, u32)>) {
    let world = state.world;
    let mut left = amount;
    let mut dimensions: Vec<_> = (0..DIMENSIONS).filter(|d| amount[*d] > 0.0).collect();
    // The largest last: what the others take of it along is not taken twice, and it is what the whole weighs.
    dimensions.sort_by(|d, e| amount[*d].total_cmp(&amount[*e]).then(e.cmp(d)));
    let (several, mut taken) = (dimensions.len() > 1, BTreeSet::new());
    for (nth, d) in dimensions.iter().copied().enumerate() {
        let later = &dimensions[nth + 1..];
        let light = |unit: &usize| is_light(state, pod, *unit);
        let candidates = lists.on(state, pod).filter(light);
        // Packed, so that a million are sorted quickly: the best first (a rate has no sign), of equals those that others need who
        // hold their shard, those that are beside it last, then the one with the lower number.
        let mut order: Vec<_> = candidates
            .map(|unit| {
                let rate = world.weight(unit)[d] / world.price(unit);
                let last = match world.units.beside(unit) {
                    Some(holder) if holder == pod => 2,
                    Some(holder) if state.is_under(holder) => 0,
                    _ => 1,
                };
                (u64::from(!(rate as f32).to_bits() & UNSIGNED) << 33) | (last << 31) | unit as u64
            })
            .collect();
        order.sort_unstable();
        for unit in order {
            let unit = (unit & u64::from(UNSIGNED)) as usize;
            let weight = world.weight(unit);
            let too_much = weight[d] > left[d] || later.iter().any(|d| weight[*d] > left[*d]);
            if weight[d] <= 0.0 || too_much || (several && !taken.insert(unit)) {
                continue;
            }
            (0..DIMENSIONS).for_each(|d| left[d] -= weight[d]);
            chosen.push((weight[pool.lead] as f32, unit as u32));
        }
    }
}

/// Whether a unit is at most half of what its pod should have. Heavier ones stay, and others go.
fn is_light(state: &State<'_, '_>, pod: usize, unit: usize) -> bool {
    let (pool, capacity) = (state.pool(pod), state.world.pods[pod].capacity);
    relative(&state.world.weight(unit), capacity) <= pool.mean / 2.0
}

/// Moves a unit to the least loaded pod, if that helps one of the two and harms none.
fn offer(state: &mut State<'_, '_>, lists: &mut Lists, unit: usize) {
    let from = state.at[unit] as usize;
    let weight = state.world.weight(unit);
    let helps = |to: &usize| step(state, &weight, from, *to).is_some();
    // Who has to be filled is filled; of those the one that holds its shard will do as well as the least loaded one.
    let fills = |to: &usize| *to != from && state.world.may_go(unit, *to) && state.is_under(*to) && helps(to);
    let beside = state.world.units.beside(unit).filter(fills);
    let least = || state.least_loaded(unit, Some(from)).filter(helps);
    let to = beside.or_else(least).or_else(|| state.best(unit, Some(from), |to| helps(&to)));
    if let Some((to, why)) = to.and_then(|to| step(state, &weight, from, to).map(|why| (to, why))) {
        carry(state, lists, unit, to, why);
    }
}

/// Says what a step is good for, if it is: never to bring a pod above its band, or below what it needs. (Where targets are few
/// and heavy a pod may stay above its band with less than the other had.)
fn step(state: &State<'_, '_>, weight: &Amount, from: usize, to: usize) -> Option<Reason> {
    let (less, more) = (state.load_with(from, weight, -1.0), state.load_with(to, weight, 1.0));
    let fits = state.fits(to, more);
    let pool = state.pool(from);
    let capacity = state.world.pods[from].capacity;
    let sheds = |d: usize| weight[d] > 0.0 && state.loads[from][d] > pool.high * capacity * (1.0 + PLAY);
    if state.is_over(from) && (0..DIMENSIONS).any(sheds) && (fits || more <= less) {
        return Some(Reason::Shed);
    }
    let fills = state.is_under(to) && weight[pool.lead] > 0.0 && fits && state.can_spare(from, less, to);
    fills.then_some(Reason::Fill)
}

fn carry(state: &mut State<'_, '_>, lists: &mut Lists, unit: usize, to: usize, why: Reason) {
    state.put(unit, to);
    lists.arrive(unit, to);
    // What had to move has its reason; what is back where it was has none.
    let forced = state.why[unit].is_some_and(|why| why.rank() <= super::Rank::Drain);
    if !forced {
        state.why[unit] = (state.world.units.home(unit) != Some(to)).then_some(why);
    }
}

/// Moves one unit away from a pod above its band: the heaviest that is not too much, else the lightest.
fn shed(state: &mut State<'_, '_>, lists: &mut Lists, pod: usize) -> bool {
    if !state.world.pods[pod].gives {
        return false;
    }
    let above = |d: usize| state.loads[pod][d] - state.pool(pod).high * state.world.pods[pod].capacity;
    let mut over: Vec<_> = (0..DIMENSIONS).map(|d| (above(d), d)).filter(|(above, _)| *above > 0.0).collect();
    over.sort_by(|(a, d), (b, e)| b.total_cmp(a).then(d.cmp(e)));
    over.into_iter().any(|(above, d)| shed_in(state, lists, pod, d, above))
}

/// The same, for what a pod has too much of in one dimension.
fn shed_in(state: &mut State<'_, '_>, lists: &mut Lists, pod: usize, worst: usize, above: f64) -> bool {
    // A heavy one goes only when nothing lighter could, not even later.
    let any_light = lists.now_or_later(state, pod).any(|unit| is_light(state, pod, unit));
    // Of equals, one that is not beside its shard.
    let mut best: Option<((Rating, bool), usize, usize)> = None;
    let mut hopeless: Option<Amount> = None;
    for unit in lists.on(state, pod).filter(|unit| !any_light || is_light(state, pod, *unit)) {
        let weight = state.world.weight(unit);
        let rating = (Rating::of(weight[worst], above), state.world.units.beside(unit) != Some(pod));
        // Those from elsewhere may go where others may not: their rows may be of another schema.
        let plain = state.world.units.wish(unit).is_none() && state.world.units.home(unit) == Some(pod);
        let worse = |than: &Amount| plain && (0..DIMENSIONS).all(|d| weight[d] >= than[d]);
        if weight[worst] <= 0.0
            || best.as_ref().is_some_and(|best| best.0 >= rating)
            || hopeless.as_ref().is_some_and(worse)
        {
            continue;
        }
        let helps = |to: &usize| step(state, &weight, pod, *to) == Some(Reason::Shed);
        let least = state.least_loaded(unit, Some(pod)).filter(helps);
        match least.or_else(|| state.best(unit, Some(pod), |to| helps(&to))) {
            Some(to) => best = Some((rating, unit, to)),
            None if plain => hopeless = Some(weight),
            None => (),
        }
    }
    let found = best.is_some();
    if let Some((_, unit, to)) = best {
        carry(state, lists, unit, to, Reason::Shed);
    }
    found
}

/// Gives a pod below its band one unit of the fullest pod that can spare one.
fn fill(state: &mut State<'_, '_>, lists: &mut Lists, pod: usize) -> bool {
    let world = state.world;
    let lead = state.pool(pod).lead;
    let lacks = (state.need[pod] - state.load(pod)) * world.pods[pod].capacity;
    let mut givers: Vec<_> = state
        .pool(pod)
        .pods
        .iter()
        .copied()
        .filter(|giver| *giver != pod && world.pods[*giver].gives && state.load(*giver) > state.pool(pod).low)
        .collect();
    givers.sort_by(|a, b| state.load(*b).total_cmp(&state.load(*a)).then(a.cmp(b)));
    for giver in givers {
        let mut best: Option<((Rating, Nearer), usize)> = None;
        for unit in lists.on(state, giver).filter(|unit| is_light(state, giver, *unit)) {
            let weight = world.weight(unit);
            let rating = (Rating::of(weight[lead], lacks), world.units.nearer(unit, giver, pod));
            let better = best.as_ref().is_none_or(|best| best.0 < rating);
            if better && world.may_go(unit, pod) && step(state, &weight, giver, pod).is_some() {
                best = Some((rating, unit));
            }
        }
        if let Some((_, unit)) = best {
            carry(state, lists, unit, pod, Reason::Fill);
            return true;
        }
    }
    false
}

/// How well a weight serves where so much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Rating {
    /// Enough, and mostly too much: the less the better.
    Whole(f64),
    /// Not too much: the more the better.
    Part(f64),
}

impl Rating {
    fn of(weight: f64, asked: f64) -> Self {
        if weight > asked { Self::Whole(-weight) } else { Self::Part(weight) }
    }
}
