//! An operator's word that data is lost: a pod's with everything in its folder, or one target's. What waits for it begins
//! empty, under a new epoch, so that a copy that turns up later is not taken for it (OWNERSHIP.md, Data 5). Pure.

use super::{ControlError, Reply, fleet::Fleet, heirs::begins};
use crate::domain::{Batch, By, Model, PodRecord, Write};
use shared::wire::admin::{DataLossAccepted, TargetLossAccepted};
use shared::wire::control::{Assignment, AssignmentState};
use shared::{Epoch, Mono, PodId, Revision, TargetId};
use std::collections::VecDeque;

/// How many assignments of a pod get a new epoch in one transaction when its data is lost.
pub(super) const CHUNK: usize = 1_000;

/// The loss of a pod's data, while it is being accepted.
#[derive(Debug)]
pub(super) struct Loss {
    /// The pod.
    pub(super) pod: PodId,
    by: By,
    /// Targets that still need a new epoch; none before the first transaction.
    left: Option<VecDeque<TargetId>>,
    done: u64,
    /// Whoever waits for the answer.
    pub(super) reply: Reply<DataLossAccepted>,
}

/// The loss of one target's data, while it is being accepted.
#[derive(Debug)]
pub(super) struct LossOf {
    /// The target.
    pub(super) target: TargetId,
    /// On whose word.
    pub(super) by: By,
    /// Whoever waits for the answer.
    pub(super) reply: Reply<TargetLossAccepted>,
}

impl Loss {
    /// Takes an operator's word.
    pub(super) fn new(pod: PodId, by: By, reply: Reply<DataLossAccepted>) -> Self {
        Self { pod, by, left: None, done: 0, reply }
    }

    /// Adds the next piece: new epochs for the pod's targets, at last the mark that lets another incarnation in. Cut off in
    /// the middle it is asked for again, and only issues some epochs more.
    pub(super) fn board(
        &mut self,
        model: &Model,
        fleet: &Fleet,
        now: Mono,
        batch: &mut Batch,
    ) -> Result<(), ControlError> {
        let record = may_lose(&self.pod, model, fleet, now)?;
        let all = || lost(&self.pod, model).map(|assignment| assignment.target).collect();
        let left = self.left.get_or_insert_with(all);
        for target in left.drain(..left.len().min(CHUNK)) {
            let Some(assignment) = model.assignment(&target) else { continue };
            batch.writes.push(begins_empty(model, &assignment));
            self.done += 1;
        }
        if left.is_empty() {
            let mut accepted = record.clone();
            accepted.loss_accepted = true;
            batch.writes.push(Write::Pod { record: accepted, expected: Some(record.lease_id), floor: Epoch(0) });
            batch.audits.push(self.by.audit("accept-data-loss", self.pod.as_str()));
            let (pod, targets) = (self.pod.clone(), self.done);
            let answer = DataLossAccepted { pod, targets, revision: Revision(0), dry_run: false };
            batch.kept.extend(self.by.keep(&answer));
        }
        Ok(())
    }

    /// Returns whether another transaction is needed.
    pub(super) fn goes_on(&self) -> bool {
        self.left.as_ref().is_some_and(|left| !left.is_empty())
    }

    /// It is committed: answers.
    pub(super) fn done(self, revision: Revision) {
        let Self { pod, by: By { actor, request_id, .. }, done: targets, reply, .. } = self;
        tracing::warn!(%pod, targets, actor, request_id, "the loss of a pod's data was accepted by an operator");
        // Whoever asked may be gone.
        let _ = reply.send(Ok(DataLossAccepted { pod, targets, revision, dry_run: false }));
    }
}

impl LossOf {
    /// Adds the new epoch.
    pub(super) fn board(&self, model: &Model, batch: &mut Batch) -> Result<(), ControlError> {
        let assignment = may_lose_of(&self.target, model)?;
        batch.writes.push(begins_empty(model, &assignment));
        batch.audits.push(self.by.audit("accept-data-loss", self.target.as_str()));
        let (target, pod) = (self.target.clone(), assignment.pod.clone());
        let answer = TargetLossAccepted { target, pod, revision: Revision(0), dry_run: false };
        batch.kept.extend(self.by.keep(&answer));
        Ok(())
    }

    /// It is committed, `model` has it: answers.
    pub(super) fn done(self, model: &Model, revision: Revision) {
        let Self { target, by: By { actor, request_id, .. }, reply } = self;
        tracing::warn!(%target, actor, request_id, "the loss of a target's data was accepted by an operator");
        let Some(pod) = model.assignment(&target).map(|assignment| assignment.pod) else { return };
        // As above.
        let _ = reply.send(Ok(TargetLossAccepted { target, pod, revision, dry_run: false }));
    }
}

/// Says what a pod's loss would mean, and changes nothing.
pub(super) fn would_lose(
    pod: &PodId,
    model: &Model,
    fleet: &Fleet,
    now: Mono,
) -> Result<DataLossAccepted, ControlError> {
    may_lose(pod, model, fleet, now)?;
    let (targets, revision) = (lost(pod, model).count() as u64, model.revision());
    Ok(DataLossAccepted { pod: pod.clone(), targets, revision, dry_run: true })
}

/// Says what one target's loss would mean, and changes nothing.
pub(super) fn would_lose_of(target: &TargetId, model: &Model) -> Result<TargetLossAccepted, ControlError> {
    let pod = may_lose_of(target, model)?.pod;
    Ok(TargetLossAccepted { target: target.clone(), pod, revision: model.revision(), dry_run: true })
}

/// What waits for its data begins where it waits, beside any older rows there. What the lost pod served itself begins in its
/// next folder; should the old one come back after all, its rows are the target's still.
fn begins_empty(model: &Model, assignment: &Assignment) -> Write {
    let Assignment { target, parent, pod, epoch, state: was, .. } = assignment.clone();
    let data = begins(model, &pod).filter(|_| was == AssignmentState::Quarantined);
    let expected = Some((pod.clone(), epoch));
    let (reason, state) = ("data-loss-accepted", AssignmentState::Serving);
    Write::Assign { target, parent, pod, expected, reason, state, data }
}

/// Returns the targets whose data is lost with a pod's: those it serves, and those that wait for its copy elsewhere.
fn lost<'a>(pod: &'a PodId, model: &'a Model) -> impl Iterator<Item = Assignment> + use<'a> {
    let own = model.assignments_of(pod, None).filter(|one| one.state == AssignmentState::Serving);
    own.chain(model.quarantined(None).filter(|one| one.data.as_ref().is_some_and(|data| data.pod == *pod)))
}

fn may_lose<'a>(pod: &PodId, model: &'a Model, fleet: &Fleet, now: Mono) -> Result<&'a PodRecord, ControlError> {
    let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
    let remaining = fleet.may_act_for(pod, now);
    if remaining.is_zero() { Ok(record) } else { Err(ControlError::LeaseHeld { pod: pod.clone(), remaining }) }
}

/// Only what waits for its data can begin empty, and only at a pod that lives: a dead one has heirs first.
fn may_lose_of(target: &TargetId, model: &Model) -> Result<Assignment, ControlError> {
    let found = model.assignment(target).ok_or_else(|| ControlError::UnknownTarget(target.clone()))?;
    if found.state != AssignmentState::Quarantined {
        return Err(ControlError::TargetNotQuarantined(target.clone()));
    }
    match model.pod(&found.pod) {
        Some(record) if !record.buried => Ok(found),
        _ => Err(ControlError::PodNotReady(found.pod.clone())),
    }
}
