//! What operators decide about dead letters, written like everything else: under the guard, in a group, by the writer. A
//! retried event stands behind what waits for its target already; its old place is another's. Decides nothing about who may.

use super::{
    group::{Abort, Group},
    jobs::{Job, JobDone},
    mailbox::SlotNo,
    writer::Writer,
};
use crate::{ownership::Guard, store::Revived};
use serde_json::json;
use shared::wire::data::{Decided, LetterKind, OnBehalf, Verb};
use tokio::sync::oneshot;

/// A decision about one dead letter.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Event or call.
    pub(crate) kind: LetterKind,
    /// Its place.
    pub(crate) seq: u64,
    /// What is to become of it.
    pub(crate) verb: Verb,
    /// Who decided, and why.
    pub(crate) by: OnBehalf,
    /// Told after the commit. Dropped: nothing was done.
    pub(crate) done: oneshot::Sender<Result<Decided, Undecided>>,
}

/// Why a decision was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecided {
    /// The pod does not serve the target now.
    #[error("this pod does not serve the target now")]
    NotServing,
    /// There is no such dead letter.
    #[error("there is no such dead letter; it was decided already, or its payload is gone")]
    Unknown,
    /// The target's mailbox is full.
    #[error("the target's mailbox is full")]
    Full,
}

impl Writer {
    /// Takes a decision in for the next group.
    pub(super) fn decide(&mut self, guard: Guard, decision: Box<Decision>) {
        match self.boxes.find(guard.target()).filter(|no| self.boxes.slot(*no).serving) {
            Some(no) => self.jobs.push(Job::Decide { guard, no, decision }),
            None => {
                // Whoever asked may be gone.
                let _ = decision.done.send(Err(Undecided::NotServing));
            }
        }
    }

    /// Writes a decision.
    pub(super) fn write_decision(
        &self,
        group: &mut Group,
        guard: &Guard,
        no: SlotNo,
        decision: Decision,
    ) -> Result<(), Abort> {
        let (slot, Decision { kind, seq, verb, by, done }) = (self.boxes.slot(no), decision);
        let refuse = |done: oneshot::Sender<_>, why| {
            // Whoever asked may be gone.
            let _ = done.send(Err(why));
            Ok(())
        };
        if !slot.serving {
            return refuse(done, Undecided::NotServing);
        }
        if kind == LetterKind::Event && verb == Verb::Retry && slot.queue.len() >= self.settings.mailbox {
            return refuse(done, Undecided::Full);
        }
        group.begin(&self.store)?;
        let now_ms = self.clock.wall_ms();
        let (id, state, note, revived) = match verb {
            Verb::Drop => {
                let note = json!({
                    "actor": by.actor, "reason": by.reason, "request_id": by.request_id, "at_ms": now_ms,
                });
                match self.store.drop_letter(slot.local, kind, seq, &note.to_string())? {
                    Some(id) => (id, "dropped", "", None),
                    None => return refuse(done, Undecided::Unknown),
                }
            }
            Verb::Retry => match self.store.revive(slot.local, &slot.target, kind, seq, guard.epoch(), now_ms)? {
                Some(Revived::Event(resumed)) => {
                    let id = resumed.event.id.clone();
                    (id, "accepted", "it stands behind what waits for its target", Some(Revived::Event(resumed)))
                }
                Some(Revived::Call(id, call)) => {
                    let note = "it is made again, also when it was made before";
                    (id.clone(), "pending", note, Some(Revived::Call(id, call)))
                }
                None => return refuse(done, Undecided::Unknown),
            },
        };
        tracing::info!(target = %slot.target, %kind, seq, verb = verb.word(), actor = by.actor,
            request_id = by.request_id, "dead letter decided");
        let target = slot.target.clone();
        let decided = Decided { target, kind, seq, id, state: state.to_owned(), note: note.to_owned() };
        group.jobs.push(JobDone::Decided(no, Box::new(decided), revived, done));
        Ok(())
    }

    /// Lets go what was revived, and says so.
    pub(super) fn decided(
        &mut self,
        no: SlotNo,
        decided: Decided,
        revived: Option<Revived>,
        done: oneshot::Sender<Result<Decided, Undecided>>,
    ) {
        match revived {
            Some(Revived::Event(resumed)) => {
                let now = self.clock.now();
                self.resume(no, *resumed, now);
            }
            Some(Revived::Call(_, call)) => {
                self.let_calls_out(no, self.replication.mode_of_own(), vec![call]);
            }
            None => {}
        }
        self.let_decision_out(no, Box::new(decided), done);
    }
}
