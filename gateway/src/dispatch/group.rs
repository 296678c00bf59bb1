//! A group commit: what many targets' events write becomes durable with one flush. Nothing is acknowledged before COMMIT
//! has returned and the lease has been looked at again (by what lets it out, [`super::gated`]); when the group fails, it is as if it had not been begun.

use super::{
    apply::Tried,
    gate::Said,
    jobs::{Job, JobDone},
    mailbox::{SlotNo, Stage, Waiting},
    writer::Writer,
};
use crate::{
    meters::Verdict,
    ownership::{Act, Guard, What},
    replication::Acknowledge,
    store::{Delta, OpenCall, Store, StoreError},
};
use shared::{
    Epoch, Mono,
    event::{Answer, EventKind},
    lease::Use,
    platform,
    telemetry::trace::TraceContext,
    wire::link::Outcome,
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// How long a group takes events in. Those that come later wait for the next.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How long what is durable already waits after the disk has failed.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Why a group came to nothing.
#[derive(Debug)]
pub(super) enum Abort {
    /// The database failed: nothing of the group is acknowledged.
    Disk(StoreError),
    /// One event spoiled it, or ownership has changed: the rest is done again at once.
    Redo,
}

impl From<StoreError> for Abort {
    fn from(why: StoreError) -> Self {
        Self::Disk(why)
    }
}

#[derive(Debug)]
struct Handled {
    no: SlotNo,
    waiting: Waiting,
    guard: Guard,
    answer: Answer,
    duplicate: bool,
}

/// What has been written and is not committed yet.
#[derive(Debug, Default)]
pub(super) struct Group {
    begun: bool,
    /// When the right to commit was last looked at.
    looked: Mono,
    deltas: HashMap<SlotNo, Delta>,
    handled: Vec<Handled>,
    pub(super) jobs: Vec<JobDone>,
    /// Events that were written down as accepted, by ticket.
    pub(super) accepted: Vec<(SlotNo, u64, Guard)>,
    /// Calls to hand to the outbox.
    pub(super) calls: Vec<(SlotNo, Acknowledge, Vec<OpenCall>)>,
    /// Questions to an asynchronous handler, by ticket, under an epoch: asked once what was written before is committed.
    pub(super) asks: Vec<(SlotNo, u64, Epoch)>,
    /// Targets whose timers have changed.
    pub(super) timers: Vec<SlotNo>,
}

impl Group {
    /// Begins the transaction, if that has not been done.
    pub(super) fn begin(&mut self, store: &Store) -> Result<(), Abort> {
        if !self.begun {
            self.begun = true;
            store.begin()?;
        }
        Ok(())
    }

    /// Returns what the group adds to a target's row.
    pub(super) fn delta(&mut self, no: SlotNo) -> &mut Delta {
        self.deltas.entry(no).or_default()
    }
}

impl Writer {
    /// Commits one group of what waits.
    pub(super) fn commit_group(&mut self) {
        let mut group = Group::default();
        let begun = self.clock.now();
        let written = self.write_group(&mut group, begun).and_then(|()| self.commit(&mut group));
        let gone = std::mem::take(&mut self.gone_timers);
        let asks = std::mem::take(&mut group.asks);
        match written {
            Ok(()) => {
                self.committed(group, begun);
                self.ask(asks);
            }
            Err(abort) => {
                self.undo(group, abort);
                self.do_not_ask(&asks);
            }
        }
        for no in gone {
            self.timer_over(no);
        }
    }

    fn write_group(&mut self, group: &mut Group, begun: Mono) -> Result<(), Abort> {
        self.write_jobs(group)?;
        let mut taken = 0;
        while taken < self.settings.group
            && let Some((no, waiting)) = self.boxes.next(self.clock.now())
        {
            taken += 1;
            self.try_event(group, no, waiting)?;
            if self.clock.now().since(begun) > GROUP_TIME {
                break;
            }
        }
        let now = self.clock.now();
        while let Some((no, ticket)) = self.boxes.next_deferred(now) {
            self.accept_up_to(group, no, ticket)?;
        }
        Ok(())
    }

    fn try_event(&mut self, group: &mut Group, no: SlotNo, mut waiting: Waiting) -> Result<(), Abort> {
        // What is logged about the event names its trace.
        let current = waiting.trace.context().map(TraceContext::enter);
        let tried = self.apply(group, no, &mut waiting);
        drop(current);
        match tried {
            Ok(Tried::Written { guard, answer, duplicate }) => {
                group.handled.push(Handled { no, waiting, guard, answer, duplicate });
            }
            Ok(Tried::Refused(outcome)) => self.refuse(waiting, &outcome),
            Ok(Tried::Gone) => self.gone_timers.push(no),
            Ok(Tried::Waits | Tried::Asked) => self.boxes.put_back(no, waiting),
            Err(abort) => {
                if let Some(waiting) = self.after(&abort, waiting) {
                    self.boxes.put_back(no, waiting);
                }
                self.boxes.turn_over(no);
                return Err(abort);
            }
        }
        self.boxes.turn_over(no);
        Ok(())
    }

    /// Writes down as accepted what has to be answered now, and whatever stands before it: acknowledged events keep the
    /// order of acceptance through a crash.
    fn accept_up_to(&mut self, group: &mut Group, no: SlotNo, ticket: u64) -> Result<(), Abort> {
        let mut queue = std::mem::take(&mut self.boxes.slot_mut(no).queue);
        let mut kept = std::collections::VecDeque::with_capacity(queue.len());
        let mut result = Ok(());
        while let Some(mut waiting) = queue.pop_front() {
            if waiting.ticket > ticket || waiting.stage != Stage::Fresh || result.is_err() {
                kept.push_back(waiting);
                continue;
            }
            match self.try_accept(group, no, &mut waiting) {
                Ok(Tried::Waits | Tried::Asked) => kept.push_back(waiting),
                Ok(Tried::Written { guard, answer, duplicate }) => {
                    group.handled.push(Handled { no, waiting, guard, answer, duplicate });
                }
                Ok(Tried::Refused(outcome)) => self.refuse(waiting, &outcome),
                Ok(Tried::Gone) => self.gone_timers.push(no),
                Err(abort) => {
                    kept.extend(self.after(&abort, waiting));
                    result = Err(abort);
                }
            }
        }
        self.boxes.slot_mut(no).queue = kept;
        // Its first event may be another now, one that does not have to wait.
        self.boxes.turn_over(no);
        result
    }

    fn try_accept(&self, group: &mut Group, no: SlotNo, waiting: &mut Waiting) -> Result<Tried, Abort> {
        let not_before = waiting.not_before;
        let right = self.right_to_act(no, waiting, self.clock.now());
        waiting.not_before = not_before;
        let guard = match right {
            Ok(guard) => guard,
            Err(tried) => return Ok(tried),
        };
        if !self.is_next(no, waiting)? {
            return Ok(Tried::Refused(super::apply::come_back()));
        }
        group.begin(&self.store)?;
        if let Some(answer) = self.known(group, no, waiting)? {
            return Ok(Tried::Written { guard, answer, duplicate: true });
        }
        if !self.use_timer_up(no, waiting)? {
            return Ok(Tried::Gone);
        }
        self.accept(group, no, waiting, guard)?;
        Ok(Tried::Waits)
    }

    fn commit(&mut self, group: &mut Group) -> Result<(), Abort> {
        if !group.begun {
            return Ok(());
        }
        for (no, delta) in &group.deltas {
            if *delta != Delta::default() {
                self.store.count(self.boxes.slot(*no).local, delta)?;
            }
        }
        // The last look before the point of no return: a handler may have outlasted the lease.
        group.looked = self.clock.now();
        let held = self.ownership.check_lease(Use::Act).is_ok()
            && group.handled.iter().all(|handled| self.ownership.check(&handled.guard, Use::Act).is_ok())
            && group.accepted.iter().all(|(_, _, guard)| self.ownership.check(guard, Use::Act).is_ok());
        let acts = !group.handled.is_empty() || !group.accepted.is_empty();
        if acts && !held {
            self.meters.fenced();
            return Err(Abort::Redo);
        }
        let others = group.handled.len();
        let traced = group.handled.iter().filter(|_| self.tracer.is_on());
        let _spans: Vec<_> = traced.map(|handled| handled.waiting.trace.commit(&self.tracer, others)).collect();
        self.shared.flush_began(self.clock.now());
        let flushed = self.store.commit();
        self.shared.flush_ended(self.clock.now());
        Ok(flushed?)
    }

    fn committed(&mut self, group: Group, begun: Mono) {
        if !group.begun {
            return;
        }
        self.is_writable(None);
        self.meters.group(group.handled.len(), self.clock.now().since(begun));
        let acts = self.log_applied(&group);
        for (no, delta) in group.deltas {
            let slot = self.boxes.slot_mut(no);
            slot.journal_seq += delta.journal;
            slot.outbox_seq += delta.outbox;
            self.busy.add(&slot.target, delta.applied);
            self.rate.add(delta.applied);
        }
        for (no, mode, calls) in group.calls {
            self.let_calls_out(no, mode, calls);
        }
        let waits = self.waits_of(&group.handled);
        self.log_acknowledged(acts, &waits);
        for Handled { no, mut waiting, guard, answer, duplicate } in group.handled {
            self.acknowledge(no, &mut waiting, guard, answer, duplicate);
            if waiting.event.kind == EventKind::Timer && waiting.stage == Stage::Fresh {
                self.timer_over(no);
            }
        }
        for (no, ticket, guard) in group.accepted {
            self.acknowledge_accepted(no, ticket, guard);
        }
        for job in group.jobs {
            match job {
                JobDone::Claimed(no, mode, claimed, done) => self.let_claim_out(no, mode, claimed, done),
                JobDone::Settled(done) | JobDone::Told(done) | JobDone::Kept(done) => {
                    // Whoever asked may be gone.
                    let _ = done.send(());
                }
                JobDone::Duplicate(guard, no, waiter, answer, mode) => {
                    self.acknowledge_duplicate(guard, no, waiter, answer, mode);
                }
                JobDone::Decided(no, decided, revived, done) => self.decided(no, *decided, revived, done),
            }
        }
        for no in group.timers {
            self.arm(no);
        }
        self.checkpoints.committed();
        self.tell_replication();
    }

    /// Returns the targets of which something in the group is acknowledged only once it is replicated.
    fn waits_of(&self, handled: &[Handled]) -> HashSet<SlotNo> {
        if !self.replication.is_on() || self.ownership.log().is_none() {
            return HashSet::new();
        }
        let waits = |handled: &&Handled| self.replication.mode(&handled.waiting.event) == Acknowledge::Replicated;
        handled.iter().filter(waits).map(|handled| handled.no).collect()
    }

    /// Writes down for which targets, and under which epochs, a group was committed; returns that.
    fn log_applied(&self, group: &Group) -> Vec<(SlotNo, Guard, Act)> {
        let Some(log) = self.ownership.log() else { return Vec::new() };
        let handled = group.handled.iter().map(|handled| (handled.no, &handled.guard));
        let accepted = group.accepted.iter().map(|(no, _, guard)| (*no, guard));
        let acting: HashMap<SlotNo, &Guard> = handled.chain(accepted).collect();
        let act = |(no, guard): (SlotNo, &Guard)| {
            let (last, new) = (self.boxes.slot(no).journal_seq, group.deltas.get(&no).map_or(0, |delta| delta.journal));
            let act = Act::new(group.looked, guard.target(), guard.epoch(), What::Apply);
            (no, guard.clone(), act.with(last + 1, last + new))
        };
        let acts: Vec<_> = acting.into_iter().map(act).collect();
        acts.iter().for_each(|(_, _, act)| log.note(act.clone()));
        acts
    }

    /// Writes down for which of them that may be said to whoever waits; for some of them only once it is replicated.
    fn log_acknowledged(&mut self, acts: Vec<(SlotNo, Guard, Act)>, waits: &HashSet<SlotNo>) {
        for (no, guard, act) in acts {
            let mode = if waits.contains(&no) { Acknowledge::Replicated } else { Acknowledge::Local };
            self.let_line_out(no, mode, guard, act);
        }
    }

    /// Answers those who wait for a committed event.
    fn acknowledge(&mut self, no: SlotNo, waiting: &mut Waiting, guard: Guard, answer: Answer, duplicate: bool) {
        let platform = waiting.event.platform;
        for _ in 0..waiting.joined() + u64::from(duplicate && waiting.event.kind != EventKind::Timer) {
            self.meters.duplicate(platform);
        }
        self.meters.event(platform, if duplicate { Verdict::Duplicate } else { Verdict::Applied });
        if waiting.waiters.is_empty() {
            return;
        }
        let (mode, waiters) = (self.replication.mode(&waiting.event), std::mem::take(&mut waiting.waiters));
        self.let_answer_out(no, mode, Said { guard, waiters, answer, duplicate, _permit: waiting._permit.take() });
    }

    /// Answers those who wait for an event that is written down as accepted. It keeps its place.
    fn acknowledge_accepted(&mut self, no: SlotNo, ticket: u64, guard: Guard) {
        let queue = &mut self.boxes.slot_mut(no).queue;
        let Ok(i) = queue.binary_search_by_key(&ticket, |waiting| waiting.ticket) else { return };
        let waiting = &mut queue[i];
        // From now on it runs under whatever epoch the pod holds the target by.
        waiting.guard = None;
        let (answer, mode) = (platform::deferred(waiting.event.kind), self.replication.mode(&waiting.event));
        let waiters = std::mem::take(&mut waiting.waiters);
        let (platform, timer) = (waiting.event.platform, waiting.event.kind == EventKind::Timer);
        if !waiters.is_empty() {
            self.let_answer_out(no, mode, Said { guard, waiters, answer, duplicate: false, _permit: None });
        }
        self.meters.event(platform, Verdict::Deferred);
        if timer {
            self.timer_over(no);
        }
    }

    pub(super) fn refuse(&self, mut waiting: Waiting, outcome: &Outcome) {
        self.meters.event(waiting.event.platform, Verdict::of(outcome));
        waiting.answer(outcome);
    }

    /// Says what becomes of an event whose group came to nothing. On a disk that fails, what is only in memory goes back
    /// to its sender and what is durable waits; otherwise it is tried again in its place.
    fn after(&self, abort: &Abort, mut waiting: Waiting) -> Option<Waiting> {
        if matches!(abort, Abort::Redo) {
            return Some(waiting);
        }
        if waiting.stage == Stage::Fresh && waiting.event.kind != EventKind::Timer {
            let detail = "the pod cannot write its database; the event is not stored".to_owned();
            self.refuse(waiting, &Outcome::NotCommitted { detail });
            return None;
        }
        waiting.not_before = waiting.not_before.max(self.clock.now().after(DISK_PAUSE));
        Some(waiting)
    }

    /// Makes a group undone.
    fn undo(&mut self, group: Group, abort: Abort) {
        self.store.rollback();
        let now = self.clock.now();
        for (no, ticket, _) in group.accepted {
            let queue = &mut self.boxes.slot_mut(no).queue;
            let Ok(i) = queue.binary_search_by_key(&ticket, |waiting| waiting.ticket) else { continue };
            queue[i].stage = Stage::Fresh;
            if matches!(abort, Abort::Redo) {
                self.boxes.defer(no, ticket, now);
            } else if let Some(waiting) = self.boxes.slot_mut(no).queue.remove(i)
                && let Some(waiting) = self.after(&abort, waiting)
            {
                self.boxes.slot_mut(no).queue.insert(i, waiting);
            }
            self.boxes.turn_over(no);
        }
        for job in group.jobs {
            // Calls are claimed and settled, dead letters decided, and late calls told, again by whoever asked; a duplicate is committed, only not counted yet.
            match job {
                JobDone::Duplicate(guard, no, waiter, answer, mode) if matches!(abort, Abort::Redo) => {
                    self.jobs.push(Job::Duplicate { guard, no, waiter, answer, mode });
                }
                JobDone::Duplicate(guard, no, waiter, answer, mode) => {
                    self.acknowledge_duplicate(guard, no, waiter, answer, mode);
                }
                JobDone::Claimed(..)
                | JobDone::Settled(_)
                | JobDone::Decided(..)
                | JobDone::Told(_)
                | JobDone::Kept(_) => {}
            }
        }
        for handled in group.handled.into_iter().rev() {
            if let Some(waiting) = self.after(&abort, handled.waiting) {
                self.boxes.put_back(handled.no, waiting);
            }
        }
        self.tell_replication();
        if let Abort::Disk(why) = abort {
            self.is_writable(Some(why));
        }
    }
}
