//! Which moves begin next (PLACEMENT.md, Rebalancing, Execution limits): the most urgent ones that the limits have room for, what
//! belongs together at once. Whoever carries a plan out asks again whenever a move ends. Knows no plan's state: which moves
//! could begin is the caller's to say.

use super::{Limits, Plan, Reason};
use shared::PodId;
use std::collections::{BTreeMap, BTreeSet};

/// How many moves are under way, of plans or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    all: usize,
    from: BTreeMap<PodId, usize>,
    to: BTreeMap<PodId, usize>,
}

impl Traffic {
    /// Counts one more. What leaves a dead pod is no work for that pod: then `from` is none.
    pub fn add(&mut self, from: Option<&PodId>, to: &PodId) {
        self.all += 1;
        if let Some(from) = from {
            *self.from.entry(from.clone()).or_default() += 1;
        }
        *self.to.entry(to.clone()).or_default() += 1;
    }

    /// Returns how many there are.
    pub fn all(&self) -> usize {
        self.all
    }

    /// Returns how many moves leave a pod.
    pub fn leaving(&self, pod: &PodId) -> usize {
        self.from.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many moves go to a pod.
    pub fn arriving(&self, pod: &PodId) -> usize {
        self.to.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many more may begin at a pod.
    pub fn room(&self, limits: &Limits, from: &PodId) -> usize {
        let here = limits.per_source.saturating_sub(self.leaving(from));
        here.min(limits.in_flight.saturating_sub(self.all))
    }

    fn has_room(&self, one: &Ready<'_>, limits: &Limits) -> bool {
        self.all < limits.in_flight
            && one.from.is_none_or(|from| self.leaving(from) < limits.per_source)
            && self.arriving(one.to) < limits.per_destination
    }
}

/// A move of a plan that could begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready<'p> {
    /// Its place in the plan.
    pub at: usize,
    /// Those with the same number move together; they stand one behind the other.
    pub family: Option<u32>,
    /// From where; none when nobody there has work with it.
    pub from: Option<&'p PodId>,
    /// To where.
    pub to: &'p PodId,
}

impl Plan {
    /// Returns its moves as they could begin, in order, but for those that `but` is true of.
    pub fn ready(&self, but: impl Fn(usize) -> bool) -> impl Iterator<Item = Ready<'_>> {
        let left = self.moves.iter().enumerate().filter(move |(at, _)| !but(*at));
        left.map(|(at, step)| {
            let from = step.from.as_ref().filter(|_| step.reason != Reason::OwnerDead);
            Ready { at, family: step.family, from, to: &step.to }
        })
    }
}

/// Returns the places of those to begin now, in order. `ready` are the moves that could, the most urgent first; no more of
/// them are taken than have to be looked at. `traffic` is what is under way.
///
/// What belongs together begins together, or waits until it can: until then nothing behind it takes its room. When it is more
/// than may ever be under way it begins alone, as much of it as there is room for.
pub fn next_wave<'p>(ready: impl IntoIterator<Item = Ready<'p>>, traffic: &Traffic, limits: &Limits) -> Vec<usize> {
    let (mut traffic, mut kept) = (traffic.clone(), Kept::default());
    let mut ready = ready.into_iter().peekable();
    let mut wave = Vec::new();
    let mut family = Vec::new();
    while traffic.all < limits.in_flight {
        let Some(first) = ready.next() else { break };
        family.clear();
        family.push(first);
        while let Some(next) = ready.next_if(|next| first.family.is_some() && next.family == first.family) {
            family.push(next);
        }
        if family.len() > 1 {
            if !room(traffic.all, family.len(), limits.in_flight) {
                break;
            }
            if !kept.leaves(&family) || !fits(&family, &traffic, limits) {
                kept.keep(&family);
                continue;
            }
        }
        for one in family.iter().filter(|one| kept.leaves(&[**one])) {
            if traffic.has_room(one, limits) {
                traffic.add(one.from, one.to);
                wave.push(one.at);
            }
        }
    }
    wave
}

/// Whether so many more may begin; as many as ever may, when that is fewer.
fn room(under_way: usize, wanted: usize, most: usize) -> bool {
    under_way + wanted.min(most) <= most
}

/// Whether the pods of a family have room for all of it.
fn fits(family: &[Ready<'_>], traffic: &Traffic, limits: &Limits) -> bool {
    let count = |alike: &dyn Fn(&Ready<'_>) -> bool| family.iter().filter(|one| alike(one)).count();
    family.iter().all(|one| {
        let leave = |from| room(traffic.leaving(from), count(&|other| other.from == one.from), limits.per_source);
        let arrive = room(traffic.arriving(one.to), count(&|other| other.to == one.to), limits.per_destination);
        arrive && one.from.is_none_or(leave)
    })
}

/// The pods whose room is kept for a family that waits.
#[derive(Debug, Default)]
struct Kept<'p> {
    from: BTreeSet<&'p PodId>,
    to: BTreeSet<&'p PodId>,
}

impl<'p> Kept<'p> {
    fn keep(&mut self, family: &[Ready<'p>]) {
        self.from.extend(family.iter().filter_map(|one| one.from));
        self.to.extend(family.iter().map(|one| one.to));
    }

    fn leaves(&self, family: &[Ready<'p>]) -> bool {
        let free = |one: &Ready<'p>| !self.to.contains(one.to) && one.from.is_none_or(|from| !self.from.contains(from));
        family.iter().all(free)
    }
}

#[cfg(test)]
mod tests;
