//! Plans that are carried out: which of their moves begin next, what becomes of each, and when a plan is over. What is written
//! of a plan is how far it is; which of its moves are made is seen from who owns the targets, so that another leader goes on
//! where this one ended. A plan that empties pods leaves their moves to `drains`, and says only where each goes.

mod pauses;
mod run;

pub(crate) use run::Budget;

use super::{World, wishes::Begun};
use crate::{
    domain::{Batch, Change, Write},
    planner::Limits,
};
use run::Run;
use shared::wire::admin::{Plan, PlanHead, PlanState, PlannedMove};
use shared::wire::handoff::Move;
use shared::{Mono, PlanId, PodId, TargetId};
use std::{collections::BTreeMap, sync::Arc};

/// The plans of one term that run.
#[derive(Debug, Default)]
pub(super) struct Runs {
    budget: Budget,
    runs: BTreeMap<PlanId, Run>,
}

impl Runs {
    /// Goes on with the plans that the term before has left.
    pub(super) fn new(plans: Vec<Plan>, budget: Budget, now: Mono) -> Self {
        let runs = plans.into_iter().map(|Plan { head, moves }| (head.id, Run::new(head, moves.into(), now))).collect();
        Self { budget, runs }
    }

    /// Takes a plan that is applied from now on.
    pub(super) fn begin(&mut self, head: PlanHead, moves: Arc<[PlannedMove]>, now: Mono) {
        self.runs.insert(head.id, Run::new(head, moves, now));
    }

    /// Returns the plans that run, as they stand.
    pub(super) fn heads(&self, world: &World<'_>) -> Vec<PlanHead> {
        self.runs.values().map(|run| run.shown(world)).collect()
    }

    /// Returns the plans that run, as they were last written.
    pub(super) fn all(&self) -> impl Iterator<Item = &PlanHead> {
        self.runs.values().map(|run| &run.head)
    }

    /// Returns where a plan sends a target of a pod that is emptied: the newest that says so.
    pub(super) fn destination(&self, target: &TargetId) -> Option<(PlanId, &PodId)> {
        self.runs.values().rev().find_map(|run| Some((run.head.id, run.destination(target)?)))
    }

    /// Returns whether a move's plan wants it no more.
    pub(super) fn called_off(&self, entry: &Move) -> bool {
        entry.plan.is_some_and(|id| self.runs.get(&id).is_none_or(|run| run.head.state != PlanState::Applying))
    }

    /// A transaction is put together: adds moves that begin, and how far each plan is.
    pub(super) fn board(&mut self, world: &World<'_>, limits: &Limits, batch: &mut Batch, begun: &mut Begun) {
        let ended: Vec<_> = batch.writes.iter().filter_map(plan_of).collect();
        // What an operator says of a plan in this transaction stands; how far it is, is written the next time.
        for run in self.runs.values_mut().filter(|run| !ended.contains(&run.head.id)) {
            if run.head.state == PlanState::Applying {
                run.begin(world, limits, begun, batch.writes.len());
            }
            batch.writes.extend(run.further(world, &self.budget).map(|head| {
                let expected = Some(run.head.state);
                Write::Plan { head: Box::new(head), moves: None, expected }
            }));
        }
    }

    /// Notes what moves have become.
    pub(super) fn moved(&mut self, entry: &Move, now: Mono) {
        if let Some(run) = entry.plan.and_then(|id| self.runs.get_mut(&id)) {
            run.moved(entry, now);
        }
    }

    /// Takes committed changes of plans in.
    pub(super) fn committed(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::Plan { head } = change else { continue };
            if head.state.is_over() {
                self.runs.remove(&head.id);
                tell(head);
            } else if let Some(run) = self.runs.get_mut(&head.id) {
                run.head = PlanHead::clone(head);
            }
        }
    }

    /// Nothing of what was put together is committed, as far as is known.
    pub(super) fn failed(&mut self) {
        self.runs.values_mut().for_each(Run::failed);
    }
}

fn plan_of(write: &Write) -> Option<PlanId> {
    match write {
        Write::Plan { head, .. } => Some(head.id),
        _ => None,
    }
}

fn tell(head: &PlanHead) {
    let (id, kind, state, moved) = (head.id, head.kind.as_str(), head.state.as_str(), head.progress.moved);
    let pause_p99_ms = head.verdict.as_ref().map(|verdict| verdict.pause_p99_ms);
    match &head.detail {
        Some(why) => tracing::warn!(%id, kind, state, moved, pause_p99_ms, why, "a plan is over"),
        None => tracing::info!(%id, kind, state, moved, pause_p99_ms, "a plan is over"),
    }
}
