//! What operators wish of plans, and how a plan is ended.

use super::super::{ControlError, Reply, moves::Moves};
use crate::domain::{By, Marks, Model, Write};
use shared::wire::admin::{MakePlan, Plan, PlanHead, PlanState};
use shared::{PlanId, Revision};

/// What an operator wishes.
#[derive(Debug)]
pub(crate) enum PlanWish {
    /// A plan is to be made.
    Make {
        /// What for.
        make: MakePlan,
        /// On whose word.
        by: By,
        /// Whether it is only to be shown.
        dry_run: bool,
        /// Answered with the plan.
        reply: Reply<Plan>,
    },
    /// Its moves are to be made.
    Apply {
        /// The plan, as it was read from the database.
        plan: Box<Plan>,
        /// The revision of it that the operator has seen.
        revision: Revision,
        /// On whose word.
        by: By,
        /// Whether it is only tried.
        dry_run: bool,
        /// Answered when its moves begin.
        reply: Reply<PlanHead>,
    },
    /// Nobody wants it any more.
    End {
        /// Which.
        id: PlanId,
        /// The plan, as it was read from the database.
        head: Option<Box<PlanHead>>,
        /// On whose word.
        by: By,
        /// Answered with how it stands.
        reply: Reply<PlanHead>,
    },
}

impl PlanWish {
    /// Answers that it cannot be.
    pub(in crate::control) fn refuse(self, why: ControlError) {
        // Whoever asked may be gone; so it is with every reply here.
        match self {
            Self::Make { reply, .. } => drop(reply.send(Err(why))),
            Self::Apply { reply, .. } | Self::End { reply, .. } => drop(reply.send(Err(why))),
        }
    }
}

/// Decides what becomes of a plan that somebody ends: how it is to be written, the state that replaces, and what that is
/// called. `read` may be older than what this leader has made of it, `known`.
///
/// # Errors
/// It is over, or about to be.
pub(super) fn ended(
    id: PlanId,
    read: Option<PlanHead>,
    known: Option<PlanState>,
    moves: &Moves,
) -> Result<(PlanHead, PlanState, &'static str), ControlError> {
    let running = moves.plans().find(|head| head.id == id).cloned();
    let head = running.or(read).ok_or(ControlError::UnknownPlan(id))?;
    let state = known.unwrap_or(head.state);
    match state {
        PlanState::Proposed => Ok((PlanHead { state: PlanState::Discarded, ..head }, state, "discard-plan")),
        PlanState::Applying => Ok((PlanHead { state: PlanState::Cancelling, ..head }, state, "cancel-plan")),
        state => Err(ControlError::PlanDecided { id, state }),
    }
}

/// The writes that end the drains of a plan that is called off.
pub(super) fn undrained(head: &PlanHead, model: &Model) -> Vec<Write> {
    if head.state != PlanState::Cancelling {
        return Vec::new();
    }
    let marked = head.drains.iter().filter_map(|pod| model.pod(pod)).filter(|record| record.marks.draining);
    let write = |marks| Marks { draining: false, ..marks };
    marked.map(|record| Write::Mark { pod: record.info.pod.clone(), marks: write(record.marks) }).collect()
}
