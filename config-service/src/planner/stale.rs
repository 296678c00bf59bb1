//! Whether a plan still fits (PLACEMENT.md: a plan is stale when a target, pod or policy that it names has changed), and how two
//! plans differ. Weights change all the time and make no plan stale, nor do first contacts of others.

use super::{Plan, PlannedMove, PodView, Policy, Rules, Snapshot, TargetView, hash::Print, snapshot::NONE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{PodId, TargetId};
use std::collections::BTreeMap;

/// What has changed since a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Stale {
    /// A target has another owner, or something else is asked for it.
    Target {
        /// The target.
        target: TargetId,
    },
    /// A pod is doing something else, or is another one.
    Pod {
        /// The pod.
        pod: PodId,
    },
    /// Operators have changed what placement aims at.
    Policy,
}

/// Says what a plan names and has changed since; nothing when it still fits. `done` says which of its moves are not to be
/// looked at: begun already, or over.
pub fn is_stale(plan: &Plan, snapshot: &Snapshot, policy: &Policy, done: impl Fn(usize) -> bool) -> Vec<Stale> {
    let mut stale = Vec::new();
    if plan.policy != of_policy(policy) {
        stale.push(Stale::Policy);
    }
    for (pod, seen) in &plan.pods {
        if snapshot.pod(pod).is_none_or(|at| of_pod(&snapshot.pods()[at]) != *seen) {
            stale.push(Stale::Pod { pod: pod.clone() });
        }
    }
    for (at, step) in plan.moves.iter().enumerate().filter(|(at, _)| !done(*at)) {
        let known = snapshot.target(&step.target).map(|at| &snapshot.targets()[at]);
        let same =
            |view: &TargetView| snapshot.owner_of(view) == step.from.as_ref() && of_target(snapshot, view) == step.seen;
        if !known.is_some_and(same) {
            stale.push(Stale::Target { target: plan.moves[at].target.clone() });
        }
    }
    stale
}

/// How one plan differs from another, each by target.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Moves that only the new one has.
    pub added: Vec<PlannedMove>,
    /// Moves that only the old one has.
    pub removed: Vec<PlannedMove>,
    /// Moves of the new one whose target the old one would have moved in another way.
    pub changed: Vec<PlannedMove>,
}

impl Difference {
    /// Returns whether they are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two plans. Their order, and what they knew, does not count.
pub fn difference(old: &Plan, new: &Plan) -> Difference {
    let by_target =
        |plan: &Plan| plan.moves.iter().map(|step| (step.target.clone(), step.clone())).collect::<BTreeMap<_, _>>();
    let mut before = by_target(old);
    let mut difference = Difference::default();
    for (target, step) in by_target(new) {
        match before.remove(&target) {
            None => difference.added.push(step),
            Some(was) if (&was.from, &was.to, was.reason) != (&step.from, &step.to, step.reason) => {
                difference.changed.push(step);
            }
            Some(_) => (),
        }
    }
    difference.removed = before.into_values().collect();
    difference
}

pub(super) fn of_target(snapshot: &Snapshot, view: &TargetView) -> u32 {
    let print = Print::new().perhaps(snapshot.owner_of(view).map(PodId::as_str));
    let parent = (view.parent != NONE).then(|| snapshot.targets()[view.parent as usize].target.as_str());
    let print = print.perhaps(parent);
    let none = Rules::default();
    // When it moved and whether it is moving is no wish of anybody's: a plan's own moves must not make it stale.
    let Rules { group, zone, pin, track, .. } = view.rules.as_deref().unwrap_or(&none);
    let print = print.perhaps(group.as_ref().map(|group| group.name.as_str()));
    let print = print.number(group.as_ref().is_some_and(|group| group.whole).into());
    let print = print.perhaps(zone.as_ref().map(|zone| zone.zone.as_str()));
    let print = print.number(zone.as_ref().is_some_and(|zone| zone.hard).into());
    let print = print.perhaps(pin.as_ref().map(|pin| pin.pod.as_str()));
    let print = print.number(pin.as_ref().and_then(|pin| pin.until_ms).unwrap_or_default());
    print.number(track.map_or(0, |track| 1 + track as u64)).sum()
}

pub(super) fn of_pod(view: &PodView) -> u32 {
    let PodView { pod, capacity, zone, track, phase, cordoned, in_range, schema } = view;
    let print = Print::new().text(pod.as_str()).number(capacity.to_bits()).perhaps(zone.as_deref());
    let print = print.number(*track as u64).number(*phase as u64).number((*cordoned).into()).number((*in_range).into());
    print.number(schema.map_or(0, |schema| 1 + schema.map_or(0, |version| 1 + u64::from(version)))).sum()
}

pub(super) fn of_policy(policy: &Policy) -> u32 {
    // Limits and pauses say how a plan is carried out, and what is expected of it: not what it is.
    let Policy { targets, events_per_second, bytes, sockets, band, canary, cooldown_ms, freeze_after, polish, .. } =
        policy;
    let numbers = [*targets, *events_per_second, *bytes, *sockets, *band, *canary];
    let wishes = [polish.share, polish.zone, polish.near, polish.even, polish.price, f64::from(polish.evaluations)];
    let print = numbers.iter().chain(&wishes).fold(Print::new(), |print, number| print.number(number.to_bits()));
    print.number(*cooldown_ms).number((*freeze_after).into()).sum()
}
