//! What has to move, whatever it costs (PLACEMENT.md, Rebalancing 1): its owner is gone or to be empty, or it is where it may not
//! be. Heaviest first, onto the least relatively loaded pod that may have it; a pin says which.

use super::{
    Reason, Warning,
    state::State,
    world::{World, relative},
};
use std::collections::BTreeMap;

/// Says why a unit may not stay where it is.
pub(super) fn reason(world: &World<'_>, unit: usize) -> Option<Reason> {
    let Some(home) = world.units.home(unit) else { return Some(Reason::NoOwner) };
    if let Some(why) = world.pods[home].leaving {
        return Some(why);
    }
    // Whoever has no wishes may stay on every pod of the track that most are on.
    let Some(wish) = world.units.wish(unit) else {
        return (!world.suits(unit, home)).then_some(Reason::Track);
    };
    if world.bound_to(unit).is_some_and(|pin| pin != home) {
        return Some(Reason::Pinned);
    }
    if world.suits(unit, home) {
        // Some of it come from where tables are newer: then all of it goes where they are known.
        let older = world.pods[home].gives && world.is_scattered(unit) && !world.schema_allows(unit, home);
        return older.then_some(Reason::Together);
    }
    Some(if wish.zone_hard && wish.zone != world.pods[home].zone { Reason::Zone } else { Reason::Track })
}

/// Finds what has to move and can; takes it from its pods. What has nowhere to go stays, and is warned of.
pub(super) fn lift(state: &mut State<'_, '_>, warnings: &mut Vec<Warning>) -> Vec<usize> {
    let world = state.world;
    let mut lifted = Vec::new();
    let mut stuck = BTreeMap::<Reason, (u64, usize)>::new();
    for unit in 0..world.units.len() {
        let Some(why) = reason(world, unit) else { continue };
        let moving = world.snapshot.targets()[first(world, unit)].rules.as_ref().is_some_and(|rules| rules.moving);
        if moving && !matches!(why, Reason::NoOwner | Reason::OwnerDead) {
            continue;
        }
        if state.least_loaded(unit, world.units.home(unit)).is_none() {
            stuck.entry(why).or_insert((0, unit)).0 += world.units.targets(unit).count() as u64;
            continue;
        }
        state.lift(unit);
        state.why[unit] = Some(why);
        lifted.push(unit);
    }
    for (reason, (targets, unit)) in stuck {
        let example = world.snapshot.targets()[first(world, unit)].target.clone();
        warnings.push(Warning::NoPod { targets, example, reason });
    }
    lifted
}

/// Gives each of them a pod.
pub(super) fn place(state: &mut State<'_, '_>, lifted: &[usize]) {
    let world = state.world;
    let mut order: Vec<_> = lifted.iter().map(|unit| (relative(&world.weight(*unit), 1.0), *unit)).collect();
    order.sort_unstable_by(|(a, i), (b, j)| b.total_cmp(a).then(i.cmp(j)));
    for (_, unit) in order {
        let weight = world.weight(unit);
        let Some(least) = state.least_loaded(unit, None) else { continue };
        let fits = |pod: usize| state.fits(pod, state.load_with(pod, &weight, 1.0));
        // Capacities differ, and so do dimensions: who has least may still be too small.
        let pod = if fits(least) { Some(least) } else { state.best(unit, None, fits) };
        state.put(unit, pod.unwrap_or(least));
    }
}

fn first(world: &World<'_>, unit: usize) -> usize {
    world.units.targets(unit).next().unwrap_or_default()
}
