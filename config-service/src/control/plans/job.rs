//! The planner at work on a thread of its own, one plan at a time: a million targets take it longer than the leader's task may
//! be away. And its plans as they are written and shown.

use super::super::{ControlError, Reply};
use super::{draft::Draft, words};
use crate::{
    domain::By,
    planner::{self, Policy},
};
use serde::{Deserialize, de::IntoDeserializer, de::value::Error};
use shared::wire::admin::{
    MakePlan, Plan, PlanBasis, PlanCost, PlanHead, PlanKind, PlanProgress, PlanState, PlanSubject, PlannedMove,
};
use shared::{PlanId, PodId, Revision};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a plan is made for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// An operator asked for it.
    Make { make: MakePlan, by: By, dry_run: bool, reply: Reply<Plan>, drains: Vec<PodId> },
    /// An operator wants it carried out, if it still fits; else it is told how one made now differs.
    Apply { plan: Arc<Plan>, by: By, dry_run: bool, reply: Reply<PlanHead> },
    /// The leader looks by itself.
    Round { by: By },
    /// Pods are drained, and nobody has planned where their targets go.
    Empty { by: By, pods: Vec<PodId> },
}

impl Purpose {
    pub(super) fn refuse(self, why: ControlError) {
        match self {
            Self::Make { reply, .. } => drop(reply.send(Err(why))),
            Self::Apply { reply, .. } => drop(reply.send(Err(why))),
            Self::Round { .. } | Self::Empty { .. } => {}
        }
    }
}

/// What the planner has come to.
#[derive(Debug)]
pub(in crate::control) enum Came {
    /// This is to be done.
    Made(Box<planner::Plan>),
    /// The plan that it was asked about still fits.
    Fits,
    /// That plan fits no more: how one made now differs, as a sentence.
    Stale(String),
}

/// A plan that is being made.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) purpose: Purpose,
    thread: JoinHandle<Option<Came>>,
}

impl Job {
    pub(super) fn start(purpose: Purpose, draft: Draft, policy: Policy, now_ms: u64) -> Self {
        let old = match &purpose {
            Purpose::Apply { plan, .. } => Some(Arc::clone(plan)),
            _ => None,
        };
        let thread = tokio::task::spawn_blocking(move || {
            let (snapshot, old) = (draft.snapshot(), old.map(|plan| unwire(&plan)));
            if let Some(old) = &old
                && planner::is_stale(old, &snapshot, &policy, |_| false).is_empty()
            {
                return Some(Came::Fits);
            }
            let made = planner::plan(&snapshot, &policy, now_ms);
            let faults = planner::lint(&snapshot, &policy, now_ms, &made);
            let Some(fault) = faults.first() else {
                return Some(match old {
                    Some(old) => Came::Stale(words::difference(&planner::difference(&old, &made))),
                    None => Came::Made(Box::new(made)),
                });
            };
            tracing::error!(%fault, faults = faults.len(), "a plan breaks an invariant: it is refused");
            None
        });
        Self { purpose, thread }
    }

    /// Returns what the planner has come to; none when the planner has failed, or the plan breaks an invariant.
    pub(super) async fn made(&mut self) -> Option<Came> {
        (&mut self.thread).await.ok().flatten()
    }
}

/// A plan as it is written.
pub(super) struct Made {
    pub(super) head: PlanHead,
    pub(super) moves: Vec<PlannedMove>,
}

/// Puts the planner's plan into the form in which it is written. Targets without an owner get one another way.
pub(super) fn wire(made: planner::Plan, kind: PlanKind, by: &By) -> Made {
    let planner::Plan { revision, moves, skew, cost, warnings, pods, policy, .. } = made;
    let step = |step: planner::PlannedMove| {
        let planner::PlannedMove { target, from, to, reason, rank, bytes, seen, family } = step;
        let (reason, rank) = (words::word(reason), words::word(rank));
        Some(PlannedMove { target, from: from?, to, reason, rank, bytes, seen, family })
    };
    let moves: Vec<_> = moves.into_iter().filter_map(step).collect();
    let head = PlanHead {
        id: PlanId(0),
        kind,
        subject: PlanSubject::default(),
        state: PlanState::Proposed,
        made_from: revision,
        revision: Revision(0),
        basis: PlanBasis { pods, policy },
        drains: Vec::new(),
        actor: by.actor.clone(),
        reason: by.reason.clone(),
        made_ms: 0,
        applied_ms: None,
        ended_ms: None,
        cost: PlanCost {
            targets: cost.targets,
            bytes: cost.bytes,
            pause_ms: cost.pause_ms,
            moved: cost.moved,
            bound: cost.bound,
            skew_before: skew.before,
            skew_after: skew.after,
        },
        warnings: warnings.iter().map(words::warning).collect(),
        progress: PlanProgress { left: moves.len() as u64, ..PlanProgress::default() },
        verdict: None,
        detail: None,
    };
    Made { head, moves }
}

/// Returns as much of the planner's plan as tells whether it still fits, and how it differs from another.
fn unwire(plan: &Plan) -> planner::Plan {
    let cost = &plan.head.cost;
    let step = |step: &PlannedMove| planner::PlannedMove {
        target: step.target.clone(),
        from: Some(step.from.clone()),
        to: step.to.clone(),
        reason: named(&step.reason).unwrap_or(planner::Reason::Even),
        rank: named(&step.rank).unwrap_or(planner::Rank::Polish),
        bytes: step.bytes,
        seen: step.seen,
        family: step.family,
    };
    planner::Plan {
        id: String::new(),
        revision: plan.head.made_from,
        made_ms: plan.head.made_ms,
        moves: plan.moves.iter().map(step).collect(),
        skew: planner::Skew { before: cost.skew_before, after: cost.skew_after },
        cost: planner::Cost { targets: cost.targets, bytes: cost.bytes, ..planner::Cost::default() },
        warnings: Vec::new(),
        pods: plan.head.basis.pods.clone(),
        policy: plan.head.basis.policy,
    }
}

fn named<'a, T: Deserialize<'a>>(word: &'a str) -> Option<T> {
    let deserializer: serde::de::value::StrDeserializer<'a, Error> = word.into_deserializer();
    T::deserialize(deserializer).ok()
}
