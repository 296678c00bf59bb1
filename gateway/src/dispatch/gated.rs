//! What leaves the writer after a commit, at once or when it is in the replica: answers, calls, decisions, and that a move has
//! arrived. Ownership is looked at again when it leaves, not when it is held. Decides nothing about modes.

use super::{
    decisions::Undecided,
    gate::{Held, Said, What},
    mailbox::SlotNo,
    writer::Writer,
};
use crate::{
    outbox::Note,
    ownership::{Act, Guard, What as Done},
    replication::Acknowledge,
    store::{Claimed, OpenCall},
};
use shared::{
    Mono, TargetId,
    lease::Use,
    wire::{data::Decided, link::Outcome, replication::Standing},
};
use std::time::Duration;
use tokio::sync::oneshot;

impl Writer {
    /// Answers those who wait for what is committed. Without a lease nothing is said to be done: they send it again.
    pub(super) fn let_answer_out(&mut self, no: SlotNo, mode: Acknowledge, said: Said) {
        if self.holds(mode) {
            self.hold(no, What::Said(said));
        } else {
            self.say(said, Acknowledge::Local, Duration::ZERO);
        }
    }

    /// Hands calls of a target to the outbox, behind those of it that wait.
    pub(super) fn let_calls_out(&mut self, no: SlotNo, mode: Acknowledge, calls: Vec<OpenCall>) {
        if self.holds(mode) || self.gate.holds_calls(no) {
            self.hold(no, What::Calls(mode, calls));
        } else {
            self.call(no, mode, calls);
        }
    }

    /// Hands a call to whoever makes it. One that must not be made twice waits until the replica knows that it is being made: an
    /// heir that finds it there as one to make would make it again (OWNERSHIP.md, Epochs).
    pub(super) fn let_claim_out(
        &mut self,
        no: SlotNo,
        mode: Acknowledge,
        claimed: Option<Claimed>,
        done: oneshot::Sender<Option<Claimed>>,
    ) {
        match claimed {
            Some(claimed) if !claimed.idempotent && self.holds(mode) => {
                self.hold(no, What::Claimed(Box::new(claimed), done));
            }
            // Whoever asked may be gone.
            claimed => drop(done.send(claimed)),
        }
    }

    /// Tells an operator that a decision is carried out.
    pub(super) fn let_decision_out(
        &mut self,
        no: SlotNo,
        decided: Box<Decided>,
        done: oneshot::Sender<Result<Decided, Undecided>>,
    ) {
        if self.holds(self.replication.mode_of_own()) {
            self.hold(no, What::Decided(decided, done));
        } else {
            // Whoever asked may be gone.
            let _ = done.send(Ok(*decided));
        }
    }

    /// Says that the rows a move has brought are served here.
    pub(super) fn let_arrival_out(&mut self, target: &TargetId, done: oneshot::Sender<Mono>) {
        let now = self.clock.now();
        match self.boxes.find(target) {
            Some(no) if self.holds(self.replication.mode_of_own()) => self.hold(no, What::Arrived(done, now)),
            // Whoever asked may be gone.
            _ => drop(done.send(now)),
        }
    }

    /// Writes an acknowledgement into the ownership log.
    pub(super) fn let_line_out(&mut self, no: SlotNo, mode: Acknowledge, guard: Guard, act: Act) {
        if self.holds(mode) {
            self.hold(no, What::Logged(guard, act));
        } else {
            self.note_acknowledged(&guard, act);
        }
    }

    /// Lets out what waited for a commit that is in the replica now.
    pub(super) fn replicated(&mut self, seq: u64) {
        self.store.replicated(seq);
        while let Some(held) = self.gate.replicated(seq) {
            self.let_out(held);
        }
        self.tell_replication();
    }

    /// Gives back what waits of a target that goes: whoever waits sends it again, to whoever serves the target then, and is
    /// answered from the inbox that went with it. Calls stay in their rows.
    pub(super) fn give_back_held(&mut self, no: SlotNo) {
        for held in self.gate.give_back(no) {
            if let What::Said(said) = held.what {
                said.tell(&Outcome::Late);
            }
        }
    }

    /// Lets go of answers whose senders have given up.
    pub(super) fn let_go_of_late(&mut self, now: Mono) {
        let late = self.gate.expired(now);
        if !late.is_empty() {
            for held in late {
                if let What::Said(said) = held.what {
                    said.tell(&Outcome::Late);
                }
            }
            self.tell_replication();
        }
    }

    /// Tells the replication what waits, and up to which commit.
    pub(super) fn tell_replication(&self) {
        if self.replication.is_on() {
            let (count, oldest) = self.gate.waiting();
            self.replication.waits(count, oldest);
            self.replication.committed(self.gate.last());
        }
    }

    /// Returns whether what is committed up to now has to wait.
    fn holds(&self, mode: Acknowledge) -> bool {
        mode == Acknowledge::Replicated && self.replication.status().replicated_seq < self.store.commits().seq()
    }

    fn hold(&mut self, no: SlotNo, what: What) {
        self.gate.hold(self.store.commits().seq(), self.clock.now(), no, what);
    }

    fn let_out(&mut self, held: Held) {
        let waited = self.clock.now().since(held.since);
        match held.what {
            What::Said(said) => self.say(said, Acknowledge::Replicated, waited),
            What::Calls(mode, calls) => self.call(held.no, mode, calls),
            What::Claimed(claimed, done) => drop(done.send(Some(*claimed))),
            // Whoever asked may be gone.
            What::Decided(decided, done) => drop(done.send(Ok(*decided))),
            What::Logged(guard, act) => self.note_acknowledged(&guard, act),
            What::Arrived(done, at) => drop(done.send(at)),
        }
    }

    fn say(&self, said: Said, mode: Acknowledge, waited: Duration) {
        let sealed = self.replication.status().stands == Standing::Sealed;
        if sealed || self.ownership.check(&said.guard, Use::Act).is_err() {
            return said.tell(&Outcome::Late);
        }
        if self.replication.is_on() {
            self.replicated.acknowledged(mode, waited);
        }
        let outcome = said.committed();
        said.tell(&outcome);
    }

    fn call(&self, no: SlotNo, mode: Acknowledge, calls: Vec<OpenCall>) {
        let target = self.boxes.slot(no).target.clone();
        // The outbox ends before the writer only when the pod stops; the rows stay.
        let _ = self.notes.send(Note::Open { target, mode, calls });
    }

    fn note_acknowledged(&self, guard: &Guard, act: Act) {
        let (Some(log), looked) = (self.ownership.log(), self.clock.now()) else { return };
        if self.ownership.check(guard, Use::Act).is_ok() {
            log.note(Act { at_ns: looked.as_nanos(), what: Done::Ack, ..act });
        }
    }
}
