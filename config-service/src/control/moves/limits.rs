//! How many moves are under way, and where what moves may go. Pure.

use super::World;
use crate::{
    domain::Model,
    planner::{self, Candidate, Limits, Track, Traffic, Wanted, may_receive, track_of},
};
use shared::protocol::handoff::Handoff;
use shared::wire::control::Assignment;
use shared::wire::handoff::MoveState;
use shared::{PodId, TargetId};

/// Counts moves that are not over: begun, and not yet certain to have left nothing to do at their source. One whose target has
/// another owner by now waits only for its destination to come back, and takes no place.
pub(super) fn traffic<'a>(model: &Model, moves: impl Iterator<Item = &'a Handoff>) -> Traffic {
    let mut traffic = Traffic::default();
    for handoff in moves {
        let stranded = handoff.state == MoveState::Committed
            && model.moving(handoff.id).is_none_or(|entry| model.owner(&entry.target) != Some(&entry.to));
        if !stranded {
            traffic.add(Some(&handoff.from), &handoff.to);
        }
    }
    traffic
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
        return Err("takes no targets: it is cordoned, drained, about to stop or of no capacity".to_owned());
    }
    // What a pod has not said its destination finds out itself, and refuses.
    if let (Some(source), Some(destination)) = (schema(from), schema(pod))
        && !may_receive(source, destination)
    {
        return Err("runs a bot with an older schema of its own tables".to_owned());
    }
    Ok(())
}

/// Says why a pod may not have a target that an operator wants there: it is of the other track.
///
/// # Errors
/// The reason, as the end of a sentence that begins with the pod's name.
pub(super) fn suits(world: &World<'_>, owner: &Assignment, pod: &PodId) -> Result<(), String> {
    let Some(to) = world.alive(pod) else { return Ok(()) };
    match (track(world, owner), to.track) {
        (Track::Stable, Track::Canary) => {
            Err("is of track canary, and the target is not of the canary: name it for that first".to_owned())
        }
        (Track::Canary, Track::Stable) if world.fleet.iter().any(takes_canary) => {
            Err("is of track stable, and the target is of the canary".to_owned())
        }
        _ => Ok(()),
    }
}

/// The track of a target: that of its guild when it belongs to one.
fn track(world: &World<'_>, owner: &Assignment) -> Track {
    let first = owner.parent.as_ref().unwrap_or(&owner.target);
    let said = world.model.track_said(first).or_else(|| world.model.track_said(&owner.target));
    track_of(first.as_str(), said, world.policy)
}

fn takes_canary(pod: &Candidate) -> bool {
    pod.track == Track::Canary && pod.ready && pod.open && pod.capacity > 0.0
}

/// Where targets of one pod may go, as the planner sees it: with what is on its way counted as there already.
pub(super) struct Destinations {
    fleet: Vec<Candidate>,
    /// Pods of the canary take targets, and none of them has room just now: its targets wait.
    canary_waits: bool,
}

impl Destinations {
    /// Finds the pods that may be given targets of `from`, and have room for another move.
    pub(super) fn of(world: &World<'_>, from: &PodId, limits: &Limits, traffic: &Traffic) -> Self {
        let fits = |candidate: &&Candidate| {
            may_take(world, from, &candidate.pod).is_ok() && traffic.arriving(&candidate.pod) < limits.per_destination
        };
        let with_traffic = |candidate: &Candidate| {
            let arriving = traffic.arriving(&candidate.pod) as u64;
            let (targets, fresh) = (candidate.targets + arriving, candidate.fresh + arriving);
            Candidate { targets, fresh, ..candidate.clone() }
        };
        let fleet: Vec<_> = world.fleet.iter().filter(fits).map(with_traffic).collect();
        let canary = |pod: &Candidate| takes_canary(pod) && may_take(world, from, &pod.pod).is_ok();
        let canary_waits = world.fleet.iter().any(canary) && !fleet.iter().any(takes_canary);
        Self { fleet, canary_waits }
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
        let said = |target: &TargetId| world.model.track_said(target);
        let waits = |target: &&TargetId| {
            self.canary_waits && track_of(target.as_str(), said(target), world.policy) == Track::Canary
        };
        let going = targets.iter().filter(|target| !waits(target));
        let wanted: Vec<_> = going.cloned().map(Wanted::of).collect();
        let decisions = planner::place(&self.fleet, world.policy, &wanted, |_| None, said);
        decisions.into_iter().filter_map(|(want, to)| to.ok().map(|to| (want.target, to))).collect()
    }
}
