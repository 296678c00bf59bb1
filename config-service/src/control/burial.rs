//! The proof that a pod is dead, by somebody who knows (OWNERSHIP.md, Leases 9): an operator who says so in so many words, or
//! the supervisor that reaped the process. It takes no witness. Pure.

use super::{ControlError, Reply, fleet::Fleet};
use crate::domain::{Audit, Batch, By, Model, PodRecord};
use shared::protocol::leader;
use shared::wire::admin::DeadDeclared;
use shared::{Incarnation, LeaseId, Mono, PodId, Revision};

/// A proof, while it is being carried out.
#[derive(Debug)]
pub(super) struct Burial {
    /// Who is dead.
    pub(super) pod: PodId,
    /// Who says so.
    pub(super) proof: Proof,
    /// Targets that get other owners.
    pub(super) targets: u64,
    /// Whoever waits for the answer.
    pub(super) reply: Reply<DeadDeclared>,
}

/// Who says that a pod is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// An operator.
    Declared(By),
    /// The supervisor that waited for the process that had this lease of this life of the pod.
    Reaped(Incarnation, LeaseId),
}

impl Proof {
    /// Returns the protocol's word for it.
    pub(super) fn word(&self) -> leader::Proof {
        match self {
            Self::Declared(_) => leader::Proof::Declared,
            Self::Reaped(..) => leader::Proof::Reaped,
        }
    }
}

impl Burial {
    /// Adds who says so, and the answer, to the transaction that buries the pod.
    pub(super) fn note(&self, model: &Model, batch: &mut Batch) {
        let targets = model.targets_of(&self.pod);
        match &self.proof {
            Proof::Declared(by) => {
                batch.audits.push(by.audit("declare-dead", self.pod.as_str()));
                let answer = DeadDeclared { pod: self.pod.clone(), targets, revision: Revision(0), dry_run: false };
                batch.kept.extend(by.keep(&answer));
            }
            Proof::Reaped(..) => batch.audits.push(Audit {
                actor: "supervisor".to_owned(),
                action: "reaped",
                subject: self.pod.to_string(),
                reason: "its process has ended, and none goes on under its lease".to_owned(),
                request_id: String::new(),
            }),
        }
    }

    /// It is committed: answers.
    pub(super) fn done(self, revision: Revision) {
        let Self { pod, targets, .. } = self;
        match &self.proof {
            Proof::Declared(By { actor, request_id, .. }) => {
                tracing::warn!(%pod, targets, actor, request_id, "an operator declared a pod dead");
            }
            Proof::Reaped(incarnation, _) => {
                tracing::warn!(%pod, targets, %incarnation, "a pod's process was reaped")
            }
        }
        // Whoever asked may be gone.
        let _ = self.reply.send(Ok(DeadDeclared { pod, targets, revision, dry_run: false }));
    }

    /// It cannot be.
    pub(super) fn refuse(self, why: ControlError) {
        let _ = self.reply.send(Err(why));
    }
}

/// Says what the death of a pod would mean, and changes nothing.
pub(super) fn would_bury(
    pod: &PodId,
    proof: &Proof,
    model: &Model,
    fleet: &Fleet,
    now: Mono,
) -> Result<DeadDeclared, ControlError> {
    may_bury(pod, proof, model, fleet, now)?;
    let (targets, revision) = (model.targets_of(pod), model.revision());
    Ok(DeadDeclared { pod: pod.clone(), targets, revision, dry_run: true })
}

/// An operator's word does not count while the pod's own heartbeats say otherwise.
pub(super) fn may_bury<'a>(
    pod: &PodId,
    proof: &Proof,
    model: &'a Model,
    fleet: &Fleet,
    now: Mono,
) -> Result<&'a PodRecord, ControlError> {
    let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
    match proof {
        _ if record.buried => Ok(record),
        Proof::Reaped(incarnation, _) if record.info.incarnation != *incarnation => {
            Err(ControlError::WrongIncarnation(pod.clone()))
        }
        // Another process has registered since: that this one has ended says nothing about it.
        Proof::Reaped(_, lease_id) if record.lease_id != *lease_id => Err(ControlError::LeaseSuperseded(pod.clone())),
        Proof::Reaped(..) => Ok(record),
        Proof::Declared(_) => {
            let remaining = fleet.may_act_for(pod, now);
            let held = ControlError::LeaseHeld { pod: pod.clone(), remaining };
            if remaining.is_zero() { Ok(record) } else { Err(held) }
        }
    }
}
