//! What changes pods: their registrations, and an operator's word that a pod's data is lost; and errands, which change
//! tokens or settings or only stand in the audit. They wait for the next transaction, ride in it, and are answered by its
//! outcome.

use super::{ControlError, Errand, Reply, burial::Burial, errand, fleet::Fleet, registration::admit};
use crate::{
    domain::{Batch, By, Fencing, Model, PodRecord, Write},
    metrics::Metrics,
};
use shared::wire::Hello;
use shared::wire::admin::DataLossAccepted;
use shared::wire::control::{Assignment, AssignmentState, Register, Registered};
use shared::{Epoch, Mono, PodId, Revision, TargetId, lease::LeaseTerms};
use std::collections::{HashSet, VecDeque};

/// How many assignments of a pod get a new epoch in one transaction when its data is lost.
const LOSS_CHUNK: usize = 1_000;

/// The mutations of one term.
#[derive(Debug)]
pub(super) struct Mutations {
    terms: LeaseTerms,
    max_tokens: usize,
    metrics: Metrics,
    waiting: VecDeque<Mutation>,
    riding: Vec<Mutation>,
}

#[derive(Debug)]
enum Mutation {
    Register(Register, Reply<Registered>),
    AcceptLoss(Loss),
    GiveUp(Burial),
    Errand(Errand, Reply<Revision>),
}

/// An operator's word that a pod's data is lost, while it is being carried out.
#[derive(Debug)]
struct Loss {
    pod: PodId,
    by: By,
    /// Targets that still need a new epoch; none before the first transaction.
    left: Option<VecDeque<TargetId>>,
    done: u64,
    reply: Reply<DataLossAccepted>,
}

impl Mutation {
    /// What it changes.
    fn subject(&self) -> &str {
        match self {
            Self::Register(register, _) => register.pod.as_str(),
            Self::AcceptLoss(loss) => loss.pod.as_str(),
            Self::GiveUp(burial) => burial.pod.as_str(),
            Self::Errand(errand, _) => &errand.subject,
        }
    }

    fn refuse(self, why: ControlError) {
        // Whoever asked may be gone; so it is with every reply here.
        match self {
            Self::Register(_, reply) => drop(reply.send(Err(why))),
            Self::AcceptLoss(loss) => drop(loss.reply.send(Err(why))),
            Self::GiveUp(burial) => burial.refuse(why),
            Self::Errand(_, reply) => drop(reply.send(Err(why))),
        }
    }
}

impl Mutations {
    /// Makes an empty set.
    pub(super) fn new(terms: LeaseTerms, max_tokens: usize, metrics: Metrics) -> Self {
        Self { terms, max_tokens, metrics, waiting: VecDeque::new(), riding: Vec::new() }
    }

    /// Takes a registration.
    pub(super) fn register(&mut self, register: Register, reply: Reply<Registered>) {
        self.waiting.push_back(Mutation::Register(register, reply));
    }

    /// Takes an operator's word.
    pub(super) fn accept_loss(&mut self, pod: PodId, by: By, reply: Reply<DataLossAccepted>) {
        self.waiting.push_back(Mutation::AcceptLoss(Loss { pod, by, left: None, done: 0, reply }));
    }

    /// Takes somebody's word that a buried pod will not say any more what it holds.
    pub(super) fn give_up(&mut self, burial: Burial) {
        self.waiting.push_back(Mutation::GiveUp(burial));
    }

    /// Takes an errand.
    pub(super) fn errand(&mut self, errand: Errand, reply: Reply<Revision>) {
        self.waiting.push_back(Mutation::Errand(errand, reply));
    }

    /// A transaction is put together: adds what fits, and refuses what may not be.
    pub(super) fn board(&mut self, model: &Model, fleet: &Fleet, now: Mono, batch: &mut Batch) {
        let mut named = HashSet::new();
        for mutation in std::mem::take(&mut self.waiting) {
            // One change per subject and transaction: the second is decided on what the first has made true.
            if batch.writes.len() + LOSS_CHUNK >= Batch::MAX_WRITES || !named.insert(mutation.subject().to_owned()) {
                self.waiting.push_back(mutation);
                continue;
            }
            let decided = match mutation {
                Mutation::Register(register, reply) => match admit(model, fleet, &register, now) {
                    Ok(write) => {
                        batch.writes.push(write);
                        Ok(Mutation::Register(register, reply))
                    }
                    Err(why) => Err((Mutation::Register(register, reply), why)),
                },
                Mutation::AcceptLoss(mut loss) => match lose(&mut loss, model, fleet, now, batch) {
                    Ok(()) => Ok(Mutation::AcceptLoss(loss)),
                    Err(why) => Err((Mutation::AcceptLoss(loss), why)),
                },
                Mutation::GiveUp(burial) => {
                    if let Some(record) = model.pod(&burial.pod) {
                        let (given_up, expected) =
                            (PodRecord { report: false, ..record.clone() }, Some(record.lease_id));
                        batch.writes.push(Write::Pod { record: given_up, expected, floor: Epoch(0) });
                    }
                    burial.note(model, batch);
                    Ok(Mutation::GiveUp(burial))
                }
                Mutation::Errand(errand, reply) => match errand::check(&errand, model, batch, self.max_tokens) {
                    Ok(()) => {
                        errand.board(model, batch);
                        Ok(Mutation::Errand(errand, reply))
                    }
                    Err(why) => Err((Mutation::Errand(errand, reply), why)),
                },
            };
            match decided {
                Ok(mutation) => self.riding.push(mutation),
                Err((mutation, why)) => {
                    tracing::warn!(subject = mutation.subject(), reason = %why, "refused a change");
                    if matches!(mutation, Mutation::Register(..)) {
                        self.metrics.registration("refused");
                    }
                    mutation.refuse(why);
                }
            }
        }
    }

    /// The transaction is committed, `model` has it: answers.
    pub(super) fn committed(&mut self, model: &Model, fleet: &mut Fleet, revision: Revision) {
        for mutation in std::mem::take(&mut self.riding) {
            match mutation {
                Mutation::Register(register, reply) => self.registered(&register, reply, model, fleet),
                Mutation::AcceptLoss(loss) if loss.left.as_ref().is_some_and(|left| !left.is_empty()) => {
                    self.waiting.push_front(Mutation::AcceptLoss(loss));
                }
                Mutation::AcceptLoss(Loss { pod, by, done: targets, reply, .. }) => {
                    let By { actor, request_id, .. } = &by;
                    tracing::warn!(%pod, targets, actor, request_id, "the loss of a pod's data was accepted by an operator");
                    let _ = reply.send(Ok(DataLossAccepted { pod, targets, revision, dry_run: false }));
                }
                Mutation::GiveUp(burial) => burial.done(revision),
                Mutation::Errand(Errand { action, subject, by, .. }, reply) => {
                    let By { actor, request_id, .. } = &by;
                    tracing::info!(action, subject, actor, request_id, "an operator made a change");
                    let _ = reply.send(Ok(revision));
                }
            }
        }
    }

    /// The transaction is not committed, as far as is known: answers that.
    pub(super) fn failed(&mut self) {
        for mutation in std::mem::take(&mut self.riding) {
            mutation.refuse(ControlError::Store);
        }
    }

    /// Answers all that waits with an error.
    pub(super) fn turn_away(&mut self, why: &ControlError) {
        self.waiting.drain(..).for_each(|mutation| mutation.refuse(why.clone()));
    }

    fn registered(&self, register: &Register, reply: Reply<Registered>, model: &Model, fleet: &mut Fleet) {
        let pod = &register.pod;
        let Some(record) = model.pod(pod) else { return };
        fleet.joined(pod);
        self.metrics.registration("ok");
        let (lease, targets) = (record.lease_id, model.targets_of(pod));
        tracing::info!(
            %pod, incarnation = %register.incarnation, address = register.address, %lease, targets,
            highest_epoch = %register.highest_epoch, "a pod registered"
        );
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let _ = reply.send(Ok(Registered {
            version: Hello::CURRENT.agree(register.hello).unwrap_or_default(),
            lease_id: lease,
            generation: model.epoch().generation(),
            heartbeat_ms: millis(self.terms.heartbeat),
            lease_ms: millis(self.terms.duration),
            fenced: model.fencing().map(Fencing::mark).collect(),
            report: record.report,
        }));
    }
}

/// Adds the next piece of an accepted loss: new epochs for the pod's targets, at last the mark that lets another
/// incarnation in. Cut off in the middle it is asked for again, and only issues some epochs more.
fn lose(loss: &mut Loss, model: &Model, fleet: &Fleet, now: Mono, batch: &mut Batch) -> Result<(), ControlError> {
    let pod = &loss.pod;
    let record = may_lose(pod, model, fleet, now)?;
    let left = loss.left.get_or_insert_with(|| lost(pod, model).map(|assignment| assignment.target.clone()).collect());
    for target in left.drain(..left.len().min(LOSS_CHUNK)) {
        let Some(assignment) = model.assignment(&target) else { continue };
        batch.writes.push(Write::Assign {
            target,
            parent: assignment.parent.clone(),
            pod: assignment.pod.clone(),
            expected: Some((assignment.pod.clone(), assignment.epoch)),
            reason: "data-loss-accepted",
            state: AssignmentState::Serving,
            data: None,
        });
        loss.done += 1;
    }
    if left.is_empty() {
        let mut accepted = record.clone();
        accepted.loss_accepted = true;
        batch.writes.push(Write::Pod { record: accepted, expected: Some(record.lease_id), floor: Epoch(0) });
        batch.audits.push(loss.by.audit("accept-data-loss", pod.as_str()));
        let answer = DataLossAccepted { pod: pod.clone(), targets: loss.done, revision: Revision(0), dry_run: false };
        batch.kept.extend(loss.by.keep(&answer));
    }
    Ok(())
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

/// Returns the targets whose data is lost with a pod's: those it serves, and those that wait for its copy elsewhere.
fn lost<'a>(pod: &'a PodId, model: &'a Model) -> impl Iterator<Item = &'a Assignment> {
    let own = model.assignments_of(pod, None).filter(|one| one.state == AssignmentState::Serving);
    own.chain(model.quarantined(None).filter(|one| one.data.as_ref().is_some_and(|data| data.pod == *pod)))
}

fn may_lose<'a>(pod: &PodId, model: &'a Model, fleet: &Fleet, now: Mono) -> Result<&'a PodRecord, ControlError> {
    let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
    let remaining = fleet.may_act_for(pod, now);
    if remaining.is_zero() { Ok(record) } else { Err(ControlError::LeaseHeld { pod: pod.clone(), remaining }) }
}
