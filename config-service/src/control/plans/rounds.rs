//! When the leader looks by itself for an even share, why it does not, and what its last look came to. Pure.

use super::super::moves::Moves;
use super::{Shape, in_ms};
use crate::{
    domain::{By, Model, PodRecord},
    planner::{EVEN, skew},
};
use shared::wire::admin::{PlanHead, RebalanceStatus, Round};
use shared::wire::control::PodState;
use shared::{Mono, PodId};
use std::{collections::BTreeSet, time::Duration};

/// Who makes such plans.
pub(crate) const ACTOR: &str = "rebalancer";

/// How soon it looks when pods came or went; at once would be before the others of them.
const SOON: Duration = Duration::from_secs(5);

/// What holds the leader from looking, as it knows beside the model.
pub(in crate::control) struct Stand {
    /// Who has paused it, and why.
    pub(in crate::control) paused: Option<(String, String)>,
    /// Why nothing is placed either.
    pub(in crate::control) stopped: Option<String>,
}

/// The looks of one term.
#[derive(Debug, Default)]
pub(in crate::control) struct Rounds {
    next: Option<Mono>,
    /// The pods that could be given targets when it last looked.
    pods: BTreeSet<PodId>,
    rounds: u64,
    last: Option<Round>,
    /// When a plan was last carried out.
    moved: Mono,
    why_not: Option<String>,
}

impl Rounds {
    /// Says on whose word a plan is to be made now; none when it is not time, or may not be.
    pub(super) fn due(&mut self, shape: &Shape<'_>, moves: &Moves, stand: &Stand, free: bool) -> Option<By> {
        self.why_not = why_not(shape, moves, stand);
        if shape.interval.is_zero() {
            self.next = None;
            return None;
        }
        let open = open(shape);
        let first = *self.next.get_or_insert_with(|| shape.now.after(shape.interval));
        if open != self.pods {
            // A new pod is filled soon, not in its turn.
            self.next = Some(first.min(shape.now.after(SOON.min(shape.interval))));
            self.pods = open;
        }
        if moves.plans().next().is_some() {
            self.moved(shape.now);
        }
        let due = self.next.is_some_and(|at| at <= shape.now);
        if !due || !free || self.why_not.is_some() {
            return None;
        }
        // What targets did before they moved is known of their pods of before: by that too much would move.
        if let Some(pod) = shape.fleet.untold(shape.model, self.moved, shape.now) {
            self.why_not = Some(format!("{pod} has not told yet what its targets do"));
            return None;
        }
        self.next = Some(shape.now.after(shape.interval));
        self.rounds += 1;
        let word = |text: &str| text.to_owned();
        Some(By { actor: word(ACTOR), reason: word("an even share"), request_id: String::new(), key: None })
    }

    /// Notes that a plan is carried out.
    pub(super) fn moved(&mut self, now: Mono) {
        self.moved = now;
    }

    /// Notes what a look came to.
    pub(super) fn came_to(&mut self, head: &PlanHead, model: &Model, now_ms: u64) {
        let shares: Vec<_> = model
            .pods()
            .filter(|record| !record.buried && record.marks.open())
            .map(|record| (model.targets_of(&record.info.pod), record.info.capacity))
            .collect();
        let skew = if shares.is_empty() { EVEN } else { skew(&shares).max(head.cost.skew_before) };
        let (targets, notes) = (head.cost.targets, head.warnings.clone());
        self.last = Some(Round { at_ms: now_ms, plan: None, targets, skew, notes });
    }

    /// Notes the plan of a look, now that it has a number.
    pub(super) fn began(&mut self, head: &PlanHead) {
        if let Some(last) = &mut self.last {
            last.plan = Some(head.id);
        }
        tracing::info!(plan = %head.id, targets = head.cost.targets, "targets move for an even share");
    }

    /// Returns how it stands.
    pub(in crate::control) fn status(&self, shape: &Shape<'_>, running: Vec<PlanHead>) -> RebalanceStatus {
        RebalanceStatus {
            active: self.why_not.is_none(),
            why_not: self.why_not.clone(),
            interval_ms: u64::try_from(shape.interval.as_millis()).unwrap_or(u64::MAX),
            next_ms: in_ms(self.next, shape.now),
            rounds: self.rounds,
            last: self.last.clone(),
            running,
        }
    }
}

/// The pods that may be given targets.
fn open(shape: &Shape<'_>) -> BTreeSet<PodId> {
    let open = shape.fleet.states(shape.model, shape.now);
    let takes = |record: &PodRecord| record.marks.open() && shape.fleet.in_range(&record.info.pod);
    let open = open.filter(|(record, state)| *state == PodState::Ready && takes(record));
    open.map(|(record, _)| record.info.pod.clone()).collect()
}

/// Says why nothing is moved for an even share.
fn why_not(shape: &Shape<'_>, moves: &Moves, stand: &Stand) -> Option<String> {
    if shape.interval.is_zero() {
        return Some("no interval is set".to_owned());
    }
    if let Some((who, why)) = &stand.paused {
        return Some(format!("{who} has paused it: {why}"));
    }
    if let Some(why) = &stand.stopped {
        return Some(why.clone());
    }
    if let Some(running) = moves.plans().next() {
        return Some(format!("plan {} is carried out", running.id));
    }
    for (record, state) in shape.fleet.states(shape.model, shape.now) {
        let (pod, targets) = (&record.info.pod, shape.model.targets_of(&record.info.pod));
        if record.marks.draining && targets > 0 && !record.buried {
            return Some(format!("{pod} is being drained"));
        }
        if targets > 0 && !shape.fleet.in_range(pod) {
            return Some(format!("{pod} is not to run any more, and {targets} targets are there"));
        }
        if state != PodState::Ready && targets > 0 {
            return Some(format!("{pod} is {}, and {targets} targets are there", state.as_str()));
        }
    }
    (open(shape).len() < 2).then(|| "fewer than two pods take targets".to_owned())
}
