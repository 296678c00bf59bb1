//! How many moves may be under way, and how many are. Pure.

use super::World;
use crate::{
    domain::Model,
    planner::{self, Candidate, Wanted, may_receive},
};
use shared::protocol::handoff::Handoff;
use shared::wire::handoff::MoveState;
use shared::{PodId, TargetId};
use std::collections::HashMap;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Moves under way in all.
    pub(crate) in_flight: usize,
    /// Moves away from one pod.
    pub(crate) per_source: usize,
    /// Moves to one pod.
    pub(crate) per_destination: usize,
}

/// The moves under way: begun, and not yet certain to have left nothing to do at their source. One whose target has another
/// owner by now waits only for its destination to come back, and takes no place.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    all: usize,
    from: HashMap<PodId, usize>,
    to: HashMap<PodId, usize>,
}

impl Traffic {
    /// Counts moves that are not over.
    pub(super) fn of<'a>(model: &Model, moves: impl Iterator<Item = &'a Handoff>) -> Self {
        let mut traffic = Self::default();
        for handoff in moves {
            let stranded = handoff.state == MoveState::Committed
                && model
                    .moving(handoff.id)
                    .is_none_or(|entry| model.assignment(&entry.target).is_none_or(|owner| owner.pod != entry.to));
            if !stranded {
                traffic.add(&handoff.from, &handoff.to);
            }
        }
        traffic
    }

    /// Counts one more.
    pub(super) fn add(&mut self, from: &PodId, to: &PodId) {
        self.all += 1;
        *self.from.entry(from.clone()).or_default() += 1;
        *self.to.entry(to.clone()).or_default() += 1;
    }

    /// Returns how many there are.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Returns how many moves leave a pod.
    pub(super) fn leaving(&self, pod: &PodId) -> usize {
        self.from.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many moves go to a pod.
    pub(super) fn arriving(&self, pod: &PodId) -> usize {
        self.to.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many more may begin at a pod.
    pub(super) fn room(&self, limits: &Limits, from: &PodId) -> usize {
        let here = limits.per_source.saturating_sub(self.leaving(from));
        here.min(limits.in_flight.saturating_sub(self.all))
    }
}

/// Says why a pod cannot be given a target of `from`.
///
/// # Errors
/// The reason, as the end of a sentence that begins with the pod's name.
pub(super) fn may_take(world: &World<'_>, from: &PodId, pod: &PodId) -> Result<(), String> {
    let schema = |pod: &PodId| world.model.pod(pod).and_then(|record| record.bot.as_ref()).map(|bot| bot.schema);
    if world.model.pod(pod).is_none() {
        return Err("has never registered".to_owned());
    }
    let Some(candidate) = world.alive(pod) else { return Err("is not ready".to_owned()) };
    if *pod == *from {
        return Err("owns it already".to_owned());
    }
    if !candidate.open || candidate.capacity <= 0.0 {
        return Err("takes no targets: it is cordoned, drained or of no capacity".to_owned());
    }
    // What a pod has not said its destination finds out itself, and refuses.
    if let (Some(source), Some(destination)) = (schema(from), schema(pod))
        && !may_receive(source, destination)
    {
        return Err("runs a bot with an older schema of its own tables".to_owned());
    }
    Ok(())
}

/// Where targets of one pod may go, as the planner sees it: with what is on its way counted as there already.
pub(super) struct Destinations {
    fleet: Vec<Candidate>,
}

impl Destinations {
    /// Finds the pods that may be given targets of `from`, and have room for another move.
    pub(super) fn of(world: &World<'_>, from: &PodId, limits: &Limits, traffic: &Traffic) -> Self {
        let fits = |candidate: &&Candidate| {
            may_take(world, from, &candidate.pod).is_ok() && traffic.arriving(&candidate.pod) < limits.per_destination
        };
        let with_traffic = |candidate: &Candidate| {
            let targets = candidate.targets + traffic.arriving(&candidate.pod) as u64;
            Candidate { targets, ..candidate.clone() }
        };
        Self { fleet: world.fleet.iter().filter(fits).map(with_traffic).collect() }
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.fleet.is_empty()
    }

    /// Returns whether a pod is among them.
    pub(super) fn has(&self, pod: &PodId) -> bool {
        self.fleet.iter().any(|candidate| candidate.pod == *pod)
    }

    /// Chooses a destination for each target: the best of the planner's three by load.
    pub(super) fn choose(&self, world: &World<'_>, targets: &[TargetId]) -> Vec<(TargetId, PodId)> {
        let wanted: Vec<_> = targets.iter().map(|target| Wanted { target: target.clone(), parent: None }).collect();
        let decisions = planner::place(&self.fleet, world.policy, &wanted, |_| None);
        decisions.into_iter().filter_map(|(want, to)| to.ok().map(|to| (want.target, to))).collect()
    }
}
