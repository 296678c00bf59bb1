//! An operator's word that what a dead pod had is restored from its replica now, whatever the setting says and however the last
//! attempt ended. Decides which of the targets that wait for it have an owner who can. Pure.

use super::{
    ControlError, Reply,
    heirs::{can_restore, to_restore},
    loss::CHUNK,
};
use crate::domain::{Batch, By, Model};
use shared::wire::admin::{HeirShare, PodRecovery};
use shared::wire::control::{Assignment, DataAt};
use shared::{PodId, Revision, TargetId};
use std::collections::{BTreeMap, VecDeque};

/// A recovery, while it is being begun.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Whose data.
    pub(super) pod: PodId,
    by: By,
    /// Targets that are still to be marked; none before the first transaction.
    left: Option<VecDeque<TargetId>>,
    /// Whoever waits for the answer.
    pub(super) reply: Reply<PodRecovery>,
}

impl Recovery {
    /// Takes an operator's word.
    pub(super) fn new(pod: PodId, by: By, reply: Reply<PodRecovery>) -> Self {
        Self { pod, by, left: None, reply }
    }

    /// Adds the next piece. Cut off in the middle it is asked for again.
    pub(super) fn board(&mut self, model: &Model, batch: &mut Batch) -> Result<(), ControlError> {
        if self.left.is_none() {
            let answer = would_recover(&self.pod, model)?;
            batch.audits.push(self.by.audit("recover", self.pod.as_str()));
            batch.kept.extend(self.by.keep(&PodRecovery { revision: Revision(0), dry_run: false, ..answer }));
        }
        let still = || waiting(&self.pod, model).filter(|(_, data)| !data.restoring);
        let left = self.left.get_or_insert_with(|| still().map(|(one, _)| one.target).collect());
        for target in left.drain(..left.len().min(CHUNK)) {
            let Some(assignment) = model.assignment(&target) else { continue };
            let Some(data) = assignment.data.as_ref().filter(|data| data.pod == self.pod) else { continue };
            if can_restore(model, &assignment.pod, data) {
                batch.writes.push(to_restore(&assignment, data).write(model));
            }
        }
        Ok(())
    }

    /// Returns whether another transaction is needed.
    pub(super) fn goes_on(&self) -> bool {
        self.left.as_ref().is_some_and(|left| !left.is_empty())
    }

    /// It is committed, `model` has it: answers.
    pub(super) fn done(self, model: &Model, revision: Revision) {
        let Self { pod, by: By { actor, request_id, .. }, reply, .. } = self;
        let answer = recovery(&pod, model);
        let targets = answer.targets;
        tracing::warn!(%pod, targets, actor, request_id, "an operator has a dead pod's replica restored");
        // Whoever asked may be gone.
        let _ = reply.send(Ok(PodRecovery { revision, dry_run: false, ..answer }));
    }
}

/// Says what restoring a pod's replica would mean, and changes nothing.
///
/// # Errors
/// Nobody knows the pod, or no target waits for what it had.
pub(super) fn would_recover(pod: &PodId, model: &Model) -> Result<PodRecovery, ControlError> {
    model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
    if waiting(pod, model).next().is_none() {
        return Err(ControlError::NothingToRecover(pod.clone()));
    }
    Ok(recovery(pod, model))
}

fn recovery(pod: &PodId, model: &Model) -> PodRecovery {
    let (mut heirs, mut unable) = (BTreeMap::<PodId, u64>::new(), 0);
    for (assignment, data) in waiting(pod, model) {
        match can_restore(model, &assignment.pod, &data) {
            true => *heirs.entry(assignment.pod).or_default() += 1,
            false => unable += 1,
        }
    }
    let targets = heirs.values().sum();
    let heirs = heirs.into_iter().map(|(pod, targets)| HeirShare { pod, targets }).collect();
    PodRecovery { pod: pod.clone(), targets, unable, heirs, revision: model.revision(), dry_run: true }
}

/// Returns the targets that wait for what a pod had.
fn waiting<'a>(pod: &'a PodId, model: &'a Model) -> impl Iterator<Item = (Assignment, DataAt)> + use<'a> {
    let found = model.quarantined(None).filter_map(|one| one.data.clone().map(|data| (one, data)));
    found.filter(move |(_, data)| data.pod == *pod)
}
