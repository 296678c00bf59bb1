//! What is written along with the events of a group: the outbox' claims and outcomes, the count of duplicates that did not
//! have to wait for their turn, and what a connection to a platform has to remember.

use super::{
    decisions::{Decision, Undecided},
    gate::Said,
    group::{Abort, Group},
    mailbox::{SlotNo, Waiter},
    writer::Writer,
};
use crate::{
    meters::Verdict,
    ownership::Guard,
    replication::Acknowledge,
    store::{Claimed, Revived, Settled},
};
use shared::{PodId, event::Answer, lease::Use, wire::data::Decided, wire::quarantine::LateCall};
use tokio::sync::oneshot;

/// What is to be written beside events.
#[derive(Debug)]
pub(super) enum Job {
    Claim { guard: Guard, no: SlotNo, seq: u64, mode: Acknowledge, done: oneshot::Sender<Option<Claimed>> },
    Settle { guard: Guard, no: SlotNo, seq: u64, settled: Settled, done: oneshot::Sender<()> },
    Duplicate { guard: Guard, no: SlotNo, waiter: Waiter, answer: Answer, mode: Acknowledge },
    Decide { guard: Guard, no: SlotNo, decision: Box<Decision> },
    Told { guard: Guard, no: SlotNo, told: Box<Told>, done: oneshot::Sender<()> },
    Keep { guard: Guard, no: SlotNo, key: &'static str, value: String, done: oneshot::Sender<()> },
}

/// Calls that another pod has made, or may have made.
#[derive(Debug)]
pub(crate) struct Told {
    /// Which pod.
    pub(crate) from: PodId,
    /// The calls.
    pub(crate) calls: Vec<LateCall>,
}

/// A job that is written and not committed yet.
#[derive(Debug)]
pub(super) enum JobDone {
    Claimed(SlotNo, Acknowledge, Option<Claimed>, oneshot::Sender<Option<Claimed>>),
    Settled(oneshot::Sender<()>),
    Duplicate(Guard, SlotNo, Waiter, Answer, Acknowledge),
    Decided(SlotNo, Box<Decided>, Option<Revived>, oneshot::Sender<Result<Decided, Undecided>>),
    Told(oneshot::Sender<()>),
    Kept(oneshot::Sender<()>),
}

impl Writer {
    /// Writes what there is. What could not be begun stays for the next group.
    pub(super) fn write_jobs(&mut self, group: &mut Group) -> Result<(), Abort> {
        let mut jobs = std::mem::take(&mut self.jobs).into_iter();
        while let Some(job) = jobs.next() {
            if let Err(abort) = self.write_job(group, job) {
                self.jobs.extend(jobs);
                return Err(abort);
            }
        }
        Ok(())
    }

    fn write_job(&self, group: &mut Group, job: Job) -> Result<(), Abort> {
        let (Job::Claim { guard, no, .. }
        | Job::Settle { guard, no, .. }
        | Job::Duplicate { guard, no, .. }
        | Job::Decide { guard, no, .. }
        | Job::Told { guard, no, .. }
        | Job::Keep { guard, no, .. }) = &job;
        if let Err(denied) = self.ownership.check(guard, Use::Act) {
            let outcome = self.denied(guard, &denied);
            if let Job::Duplicate { waiter, .. } = job {
                // Whoever asked may be gone.
                let _ = waiter.reply.send(outcome);
            }
            return Ok(());
        }
        let local = self.boxes.slot(*no).local;
        match job {
            // A target that is being erased, or moves, makes no more calls.
            Job::Claim { .. } if !self.boxes.slot(*no).serving || self.boxes.slot(*no).freezing => {}
            Job::Claim { no, seq, mode, done, .. } => {
                group.begin(&self.store)?;
                group.jobs.push(JobDone::Claimed(no, mode, self.store.outbox_claim(local, seq)?, done));
            }
            Job::Settle { seq, settled, done, .. } => {
                group.begin(&self.store)?;
                self.store.outbox_settle(local, seq, &settled)?;
                group.jobs.push(JobDone::Settled(done));
            }
            Job::Duplicate { guard, no, waiter, answer, mode } => {
                group.delta(no).duplicates += 1;
                group.jobs.push(JobDone::Duplicate(guard, no, waiter, answer, mode));
                group.begin(&self.store)?;
            }
            Job::Decide { guard, no, decision } => self.write_decision(group, &guard, no, *decision)?,
            // What is being erased, or frozen, is not written to: nobody is told.
            Job::Keep { .. } if !self.boxes.slot(*no).serving || self.boxes.slot(*no).freezing => {}
            Job::Keep { key, value, done, .. } => {
                group.begin(&self.store)?;
                self.store.kv_set(local, key, &value, None)?;
                group.jobs.push(JobDone::Kept(done));
            }
            Job::Told { guard, no, told, done } => self.write_told(group, &guard, no, &told, done)?,
        }
        Ok(())
    }

    /// Writes down what another pod has called already; who asks is told once that is committed.
    fn write_told(
        &self,
        group: &mut Group,
        guard: &Guard,
        no: SlotNo,
        told: &Told,
        done: oneshot::Sender<()>,
    ) -> Result<(), Abort> {
        let slot = self.boxes.slot(no);
        // Nobody is told: it comes again.
        if !slot.serving || slot.freezing {
            return Ok(());
        }
        group.begin(&self.store)?;
        let now_ms = self.clock.wall_ms();
        for call in &told.calls {
            let may = if call.uncertain { "may have been made" } else { "was made" };
            let reason = format!("it {may} by {} before that pod was failed over", told.from);
            let seq = slot.outbox_seq + group.delta(no).outbox + 1;
            if self.store.outbox_told(slot.local, (seq, guard.epoch()), call, &reason, now_ms)? {
                group.delta(no).outbox += 1;
            }
        }
        group.jobs.push(JobDone::Told(done));
        Ok(())
    }

    /// Answers a duplicate of what was committed before. Whether that is in the replica is not known here: its answer waits
    /// for everything that is committed now.
    pub(super) fn acknowledge_duplicate(
        &mut self,
        guard: Guard,
        no: SlotNo,
        waiter: Waiter,
        answer: Answer,
        mode: Acknowledge,
    ) {
        let platform = guard.target().platform();
        self.meters.duplicate(platform);
        self.meters.event(platform, Verdict::Duplicate);
        self.let_answer_out(no, mode, Said { guard, waiters: vec![waiter], answer, duplicate: true, _permit: None });
    }
}
