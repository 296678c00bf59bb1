//! What changes pods: their registrations, and an operator's word that data is lost (`loss`); and errands, which change
//! tokens or settings or only stand in the audit. They wait for the next transaction, ride in it, and are answered by its
//! outcome.

use super::{
    ControlError, Errand, Reply,
    burial::Burial,
    errand,
    fleet::Fleet,
    loss::{CHUNK, Loss, LossOf},
    recover::Recovery,
    registration::admit,
};
use crate::{
    domain::{Batch, By, Fencing, Model, Write},
    metrics::Metrics,
};
use shared::wire::Hello;
use shared::wire::admin::{DataLossAccepted, PodRecovery, TargetLossAccepted};
use shared::wire::control::{Register, Registered};
use shared::{Epoch, Mono, PodId, Revision, TargetId, lease::LeaseTerms};
use std::collections::{HashSet, VecDeque};

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
    AcceptLossOf(LossOf),
    Recover(Recovery),
    GiveUp(Burial),
    Errand(Errand, Reply<Revision>),
}

impl Mutation {
    /// What it changes.
    fn subject(&self) -> &str {
        match self {
            Self::Register(register, _) => register.pod.as_str(),
            Self::AcceptLoss(loss) => loss.pod.as_str(),
            Self::AcceptLossOf(loss) => loss.target.as_str(),
            Self::Recover(recovery) => recovery.pod.as_str(),
            Self::GiveUp(burial) => burial.pod.as_str(),
            Self::Errand(errand, _) => &errand.subject,
        }
    }

    fn refuse(self, why: ControlError) {
        // Whoever asked may be gone; so it is with every reply here.
        match self {
            Self::Register(_, reply) => drop(reply.send(Err(why))),
            Self::AcceptLoss(loss) => drop(loss.reply.send(Err(why))),
            Self::AcceptLossOf(loss) => drop(loss.reply.send(Err(why))),
            Self::Recover(recovery) => drop(recovery.reply.send(Err(why))),
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
        self.waiting.push_back(Mutation::AcceptLoss(Loss::new(pod, by, reply)));
    }

    /// Takes an operator's word on one target.
    pub(super) fn accept_loss_of(&mut self, target: TargetId, by: By, reply: Reply<TargetLossAccepted>) {
        self.waiting.push_back(Mutation::AcceptLossOf(LossOf { target, by, reply }));
    }

    /// Takes an operator's word that a dead pod's replica is restored.
    pub(super) fn recover(&mut self, pod: PodId, by: By, reply: Reply<PodRecovery>) {
        self.waiting.push_back(Mutation::Recover(Recovery::new(pod, by, reply)));
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
            if batch.writes.len() + CHUNK >= Batch::MAX_WRITES || !named.insert(mutation.subject().to_owned()) {
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
                Mutation::AcceptLoss(mut loss) => match loss.board(model, fleet, now, batch) {
                    Ok(()) => Ok(Mutation::AcceptLoss(loss)),
                    Err(why) => Err((Mutation::AcceptLoss(loss), why)),
                },
                Mutation::AcceptLossOf(loss) => match loss.board(model, batch) {
                    Ok(()) => Ok(Mutation::AcceptLossOf(loss)),
                    Err(why) => Err((Mutation::AcceptLossOf(loss), why)),
                },
                Mutation::Recover(mut recovery) => match recovery.board(model, batch) {
                    Ok(()) => Ok(Mutation::Recover(recovery)),
                    Err(why) => Err((Mutation::Recover(recovery), why)),
                },
                Mutation::GiveUp(burial) => {
                    if let Some(record) = model.pod(&burial.pod) {
                        // What it has to report stays due, should it come back: only that tells which life of it served last.
                        let (record, expected) = (record.clone(), Some(record.lease_id));
                        batch.writes.push(Write::Pod { record, expected, floor: Epoch(0) });
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
                Mutation::AcceptLoss(loss) if loss.goes_on() => self.waiting.push_front(Mutation::AcceptLoss(loss)),
                Mutation::AcceptLoss(loss) => loss.done(revision),
                Mutation::AcceptLossOf(loss) => loss.done(model, revision),
                Mutation::Recover(recovery) if recovery.goes_on() => {
                    self.waiting.push_front(Mutation::Recover(recovery));
                }
                Mutation::Recover(recovery) => recovery.done(model, revision),
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
