//! What is only wished for (PLACEMENT.md, Rebalancing 4): zones and groups that targets prefer, and pods that are alike within
//! their band. A local search with a counted number of looks. A move is made when what it gains exceeds its price; so a
//! potential falls with each, and the search ends. It begins only where nothing of a higher rank is to be done, and leaves
//! every pod within its band.

use super::{
    Polish, Reason,
    beside::Nearer,
    lists::Lists,
    snapshot::NONE,
    state::{Pool, State},
    world::relative,
};
use std::collections::BTreeMap;

/// How many units of a full pod are tried in exchange for one that would like to be there.
const PARTNERS: usize = 64;
/// A gain below it is none: sums are not exact.
const LEAST: f64 = 1e-12;

/// Moves what is worth it. Does nothing while a pod is outside its band.
pub(super) fn polish(state: &mut State<'_, '_>) {
    let pools = state.pools.clone();
    if pools.iter().flat_map(|pool| &pool.pods).any(|pod| state.is_over(*pod) || state.is_under(*pod)) {
        return;
    }
    let terms = state.world.policy.polish;
    let wished = state.world.units.wishes.iter().any(|wish| wish.zone != NONE || wish.near != NONE);
    // Within its band the fullest pod is 2ε above the emptiest: what that could gain must be worth its price.
    let uneven = terms.even * 4.0 * state.world.policy.band > terms.price;
    if !wished && !uneven {
        return;
    }
    let mut search = Search { lists: Lists::of(state), groups: groups(state), terms, looks: terms.evaluations };
    for pool in &pools {
        let all: f64 = pool.pods.iter().map(|pod| state.loads[*pod][pool.lead]).sum();
        let mut budget = all * terms.share;
        search.prefer(state, pool, &mut budget);
        if uneven {
            search.even(state, pool, &mut budget);
        }
    }
}

/// The weight of each soft group on each pod, and in all.
type Groups = BTreeMap<u32, (BTreeMap<usize, f64>, f64)>;

struct Search {
    lists: Lists,
    groups: Groups,
    terms: Polish,
    /// Looks that are left.
    looks: u32,
}

impl Search {
    /// Brings units where they would like to be.
    fn prefer(&mut self, state: &mut State<'_, '_>, pool: &Pool, budget: &mut f64) {
        let world = state.world;
        for unit in 0..world.units.len() {
            let Some(wish) = world.units.wish(unit).filter(|wish| wish.zone != NONE || wish.near != NONE) else {
                continue;
            };
            let from = state.at[unit];
            let movable = from != NONE && world.pods[from as usize].gives && world.is_movable(unit);
            if !movable || world.pods[from as usize].counts_with != pool.track || state.why[unit].is_some() {
                continue;
            }
            let (from, weight) = (from as usize, world.weight(unit));
            let mut best: Option<(f64, usize, Option<usize>)> = None;
            for to in pool.pods.iter().copied().filter(|to| *to != from && world.may_go(unit, *to)) {
                if self.looks == 0 {
                    return;
                }
                self.looks -= 1;
                let gain = self.gain(state, pool, unit, to) - self.price(state, pool, unit);
                if weight[pool.lead] > *budget {
                    continue;
                }
                let room = state.fits(to, state.load_with(to, &weight, 1.0));
                let found = if room && state.suffices(from, state.load_with(from, &weight, -1.0)) {
                    Some((gain, to, None))
                } else {
                    self.partner(state, pool, unit, to, *budget).map(|(gain, other)| (gain, to, Some(other)))
                };
                let most = best.map_or(LEAST, |(most, _, _)| most);
                best = found.filter(|(gain, _, _)| *gain > most).or(best);
            }
            let Some((_, to, other)) = best else { continue };
            let zone = wish.zone != NONE && world.pods[to].zone == wish.zone && world.pods[from].zone != wish.zone;
            let why = if zone { Reason::PrefersZone } else { Reason::PrefersGroup };
            if let Some(other) = other {
                *budget -= world.weight(other)[pool.lead];
                self.carry(state, other, from, why);
            }
            *budget -= weight[pool.lead];
            self.carry(state, unit, to, why);
        }
    }

    /// Finds somebody on a pod that has no room to go the other way.
    fn partner(
        &mut self,
        state: &State<'_, '_>,
        pool: &Pool,
        unit: usize,
        to: usize,
        budget: f64,
    ) -> Option<(f64, usize)> {
        let world = state.world;
        let (from, weight) = (state.at[unit] as usize, world.weight(unit));
        let mut best: Option<(f64, usize)> = None;
        let partners: Vec<_> = self.lists.on(state, to).take(PARTNERS).collect();
        for other in partners {
            if self.looks == 0 {
                break;
            }
            self.looks -= 1;
            let back = world.weight(other);
            // Two of one group would each count on the other's staying.
            let near = |unit: usize| world.units.wish(unit).map_or(NONE, |wish| wish.near);
            let friends = near(unit) != NONE && near(unit) == near(other);
            if friends
                || !world.may_go(other, from)
                || state.why[other].is_some()
                || weight[pool.lead] + back[pool.lead] > budget
            {
                continue;
            }
            let both: [f64; 4] = std::array::from_fn(|d| weight[d] - back[d]);
            let (here, there) = (state.load_with(from, &both, -1.0), state.load_with(to, &both, 1.0));
            let within = |pod: usize, load: f64| state.fits(pod, load) && state.suffices(pod, load);
            let wishes = self.wishes(state, pool, unit, to) + self.wishes(state, pool, other, from);
            let price = self.price(state, pool, unit) + self.price(state, pool, other);
            let before = uneven(state, pool, from, state.load(from)) + uneven(state, pool, to, state.load(to));
            let after = uneven(state, pool, from, here) + uneven(state, pool, to, there);
            let gain = wishes - price + self.terms.even * (before - after);
            if within(from, here) && within(to, there) && gain > best.map_or(LEAST, |(most, _)| most) {
                best = Some((gain, other));
            }
        }
        best
    }

    /// Brings the fullest and the emptiest pod nearer to each other, as long as that is worth it.
    fn even(&mut self, state: &mut State<'_, '_>, pool: &Pool, budget: &mut f64) {
        let world = state.world;
        let ends = |state: &State<'_, '_>| {
            let order = |a: &usize, b: &usize| by_load(state, *a, *b);
            let full = pool.pods.iter().copied().filter(|pod| world.pods[*pod].gives).max_by(order);
            let empty = pool.pods.iter().copied().filter(|pod| world.pods[*pod].receives).min_by(order);
            full.zip(empty)
        };
        while let Some((full, empty)) = ends(state).filter(|(full, empty)| full != empty) {
            let mut best: Option<(f64, Nearer, usize)> = None;
            let units: Vec<_> = self.lists.on(state, full).take(self.looks as usize).collect();
            for unit in units {
                self.looks -= 1;
                let weight = world.weight(unit);
                let plain = world.may_go(unit, empty) && weight[pool.lead] <= *budget && state.why[unit].is_none();
                let gain = self.gain(state, pool, unit, empty) - self.price(state, pool, unit);
                let room = state.fits(empty, state.load_with(empty, &weight, 1.0));
                let spare = state.suffices(full, state.load_with(full, &weight, -1.0));
                let nearer = world.units.nearer(unit, full, empty);
                let better = best.map_or(gain > LEAST, |(most, than, _)| {
                    gain > most + LEAST || (gain > most - LEAST && nearer > than)
                });
                if plain && room && spare && better {
                    best = Some((gain, nearer, unit));
                }
            }
            let Some((_, _, unit)) = best else { break };
            *budget -= world.weight(unit)[pool.lead];
            self.carry(state, unit, empty, Reason::Even);
        }
    }

    /// What the potential falls by when a unit goes to a pod.
    fn gain(&self, state: &State<'_, '_>, pool: &Pool, unit: usize, to: usize) -> f64 {
        let (from, weight) = (state.at[unit] as usize, state.world.weight(unit));
        let before = uneven(state, pool, from, state.load(from)) + uneven(state, pool, to, state.load(to));
        let (less, more) = (state.load_with(from, &weight, -1.0), state.load_with(to, &weight, 1.0));
        let after = uneven(state, pool, from, less) + uneven(state, pool, to, more);
        self.wishes(state, pool, unit, to) + self.terms.even * (before - after)
    }

    /// The part of it that is the unit's own wishes.
    fn wishes(&self, state: &State<'_, '_>, pool: &Pool, unit: usize, to: usize) -> f64 {
        let Some(wish) = state.world.units.wish(unit) else { return 0.0 };
        let from = state.at[unit] as usize;
        let mut gain = 0.0;
        if wish.zone != NONE && !wish.zone_hard {
            let there = |pod: usize| f64::from(u8::from(state.world.pods[pod].zone == wish.zone));
            gain += self.terms.zone * self.size(state, pool, unit) * (there(to) - there(from));
        }
        if let Some((pods, all)) = self.groups.get(&wish.near).filter(|(_, all)| *all > 0.0) {
            let own = size_of(state, unit);
            let there = |pod: usize| pods.get(&pod).copied().unwrap_or_default();
            let nearer = 2.0 * own * (there(to) - there(from) + own) / all;
            gain += self.terms.near * nearer / pool.mean.max(f64::MIN_POSITIVE);
        }
        gain
    }

    /// What moving a unit costs.
    fn price(&self, state: &State<'_, '_>, pool: &Pool, unit: usize) -> f64 {
        self.terms.price * self.size(state, pool, unit)
    }

    /// What a unit counts for: its part of a mean pod, and never nothing.
    fn size(&self, state: &State<'_, '_>, pool: &Pool, unit: usize) -> f64 {
        size_of(state, unit) / pool.mean.max(f64::MIN_POSITIVE)
    }

    fn carry(&mut self, state: &mut State<'_, '_>, unit: usize, to: usize, why: Reason) {
        if let Some(wish) = state.world.units.wish(unit)
            && let Some((pods, _)) = self.groups.get_mut(&wish.near)
        {
            let own = size_of(state, unit);
            *pods.entry(state.at[unit] as usize).or_default() -= own;
            *pods.entry(to).or_default() += own;
        }
        state.put(unit, to);
        self.lists.arrive(unit, to);
        state.why[unit] = Some(why);
    }
}

/// How far a pod with that load is from the mean.
fn uneven(state: &State<'_, '_>, pool: &Pool, pod: usize, load: f64) -> f64 {
    state.world.pods[pod].capacity * (load / pool.mean.max(f64::MIN_POSITIVE) - 1.0).powi(2)
}

fn by_load(state: &State<'_, '_>, a: usize, b: usize) -> std::cmp::Ordering {
    state.load(a).total_cmp(&state.load(b)).then(b.cmp(&a))
}

fn size_of(state: &State<'_, '_>, unit: usize) -> f64 {
    relative(&state.world.weight(unit), 1.0)
}

fn groups(state: &State<'_, '_>) -> Groups {
    let mut groups = Groups::new();
    for unit in 0..state.at.len() {
        let near = state.world.units.wish(unit).map_or(NONE, |wish| wish.near);
        if near != NONE && state.at[unit] != NONE {
            let own = size_of(state, unit);
            let (pods, all) = groups.entry(near).or_default();
            *pods.entry(state.at[unit] as usize).or_default() += own;
            *all += own;
        }
    }
    groups
}
