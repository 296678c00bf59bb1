//! What the planner is shown, while it is still a handful of copies that share what the leader has: taken on the leader's task in
//! no time, made into the planner's own form on another thread. Pure; plans nothing.

use super::super::{moves, weights::Weights};
use crate::{
    domain::{Assignments, Held, Holds},
    planner::{Builder, Entry, Moved, Phase, Pin, PodView, Policy, Rules, Snapshot, Track},
};
use shared::wire::control::AssignmentState;
use shared::{Mono, PodId, Revision, TargetId};
use std::{collections::HashMap, time::Duration};

/// How many rounds of the rebalancer an operator's own move outlasts at least.
const ROUNDS: u32 = 11;

/// Pods and targets at one revision.
#[derive(Debug)]
pub(in crate::control) struct Draft {
    pub(super) revision: Revision,
    pub(super) pods: Vec<PodView>,
    /// What each pod does that there is.
    pub(super) phases: HashMap<PodId, Phase>,
    pub(super) assignments: Assignments,
    /// Where targets are on their way to.
    pub(super) moving: HashMap<TargetId, PodId>,
    pub(super) holds: Holds,
    pub(super) weights: Weights,
    /// A pin that somebody asks for.
    pub(super) pin: Option<(TargetId, Pin)>,
    /// Of which track targets are to be, when a plan says it.
    pub(super) named: Vec<(TargetId, Option<Track>)>,
    pub(super) policy: Policy,
    pub(super) interval: Duration,
    pub(super) now: Mono,
    pub(super) now_ms: u64,
}

impl Draft {
    /// Returns what the planner is shown.
    pub(in crate::control) fn snapshot(mut self) -> Snapshot {
        let pods = std::mem::take(&mut self.pods);
        let mut builder = Snapshot::of(self.revision, pods, self.assignments.len());
        for held in self.assignments.iter() {
            let entry = self.entry(held, &builder);
            builder.add(entry);
        }
        let mut snapshot = builder.finish();
        if let Some((target, pin)) = self.pin
            && let Some(at) = snapshot.target(&target)
        {
            snapshot.rules_mut(at).pin = Some(pin);
        }
        for (target, track) in self.named {
            if let Some(at) = snapshot.target(&target) {
                snapshot.rules_mut(at).track = track;
            }
        }
        snapshot
    }

    fn entry(&self, held: Held<'_>, builder: &Builder) -> Entry {
        let (target, owner) = (held.target(), held.pod());
        let running = self.moving.get(&target);
        // What fails over, comes back or is not served has ways of its own.
        let away = matches!(self.phases.get(owner), None | Some(Phase::Dead | Phase::Joining));
        let moving = running.is_some() || away || held.state() != AssignmentState::Serving;
        let hold = self.holds.get(&target);
        let pin = hold.and_then(|hold| hold.pin_at(self.now_ms));
        let pin = pin.map(|pin| Pin { pod: pin.pod.clone(), until_ms: pin.until_ms });
        let moved = self.moved(held, moves::moved(held.reason(), held.since_ms(), hold));
        let track = hold.and_then(|hold| hold.track);
        let rules = (moving || pin.is_some() || moved.is_some() || track.is_some())
            .then(|| Box::new(Rules { pin, moved, moving, track, ..Rules::default() }));
        Entry {
            parent: held.parent().cloned(),
            owner: builder.pod(running.unwrap_or(owner)),
            weight: self.weights.of(&target, self.now),
            target,
            rules,
        }
    }

    /// When a target was moved last, as long as that counts. An operator's own move counts for as many rounds as are promised,
    /// however far apart they are.
    fn moved(&self, held: Held<'_>, moved: Option<Moved>) -> Option<Moved> {
        let mut moved = moved?;
        if held.reason() == moves::MANUAL {
            let promised = u64::try_from((self.interval * ROUNDS).as_millis()).unwrap_or(u64::MAX);
            moved.at_ms += promised.saturating_sub(self.policy.cooldown_ms);
        }
        (moved.is_frozen(&self.policy) || moved.holds(&self.policy, self.now_ms)).then_some(moved)
    }
}
