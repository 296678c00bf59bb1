//! Which targets the writer serves, and what comes out of the database for them: unfinished events, open calls, timers.

use super::{
    Known,
    mailbox::{SlotNo, Stage},
    traced::Traced,
    writer::Writer,
};
use crate::{
    handlers,
    outbox::Note,
    ownership::{Acquired, Act, Changes, What},
    store::{Opened, Resumed, StoreError},
};
use shared::{
    Epoch, Incarnation, Mono, TargetId,
    event::{Event, EventKind},
    wire::link::Outcome,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// When timers are read again after the database could not be read, in milliseconds.
const READ_AGAIN_MS: u64 = 1_000;

/// A target's row, and what its handler's memory was when it was let go of.
type Taken = (Opened, Option<Vec<u8>>);

impl Writer {
    /// Follows a change of the pod's assignments: what is lost ends, what is new begins, and the database remembers both in
    /// one transaction. Returns the targets that are the pod's and cannot be served, since the rows here are not the newest.
    pub(super) fn follow(&mut self, changes: Changes, known: Option<Known>) -> Result<Vec<TargetId>, StoreError> {
        changes.released.iter().for_each(|target| self.release(target));
        let taken = self.remember(&changes, known);
        if taken.is_err() {
            self.store.rollback();
        }
        let mut unfit = Vec::new();
        for (Acquired { target, epoch, .. }, taken) in changes.acquired.into_iter().zip(taken?) {
            match taken {
                Some(taken) => {
                    self.serve(target.clone(), epoch, taken)?;
                    self.switched(&target);
                    if let Some(log) = self.ownership.log().filter(|_| known.is_some()) {
                        log.note(Act::new(self.clock.now(), &target, epoch, What::Acquire));
                    }
                }
                None => {
                    self.release(&target);
                    unfit.push(target);
                }
            }
        }
        self.count_aside();
        self.tell_replication();
        Ok(unfit)
    }

    /// Writes down what changed. Returns the rows of what was acquired, in order, where they may be served.
    fn remember(&self, changes: &Changes, known: Option<Known>) -> Result<Vec<Option<Taken>>, StoreError> {
        let open = |acquired: &Acquired| {
            let Acquired { target, epoch, kept } = acquired;
            if let Some(id) = self.settled(target) {
                self.store.switch(id, target, *epoch)?;
            } else if let Some((id, copy)) = self.store.restored(target)? {
                // Restored for exactly this, or not wanted: somebody has decided otherwise meanwhile.
                if *kept == Some(copy) && self.store.switch(id, target, *epoch)? {
                    self.store.restored_settled(id)?;
                } else {
                    self.store.import_leaves(id)?;
                }
            } else if self.store.is_unsettled(target)? {
                return Err(StoreError::Unsettled);
            }
            self.store.take_release_back(target, *kept)?;
            self.store.take_fence_down(target)?;
            let opened = self.store.open_target(target, *epoch, *kept)?;
            opened.map(|opened| Ok::<Taken, StoreError>((opened, self.store.volatile_take(opened.local)?))).transpose()
        };
        if changes.is_empty() && known.is_none() {
            return Ok(Vec::new());
        }
        self.store.begin()?;
        changes.released.iter().try_for_each(|target| self.store.put_aside(target))?;
        let taken = changes.acquired.iter().map(open).collect::<Result<_, _>>()?;
        known.map_or(Ok(()), |known| self.store.known_up_to(known.revision, known.generation))?;
        self.store.commit()?;
        Ok(taken)
    }

    /// Takes a target back into service that this pod has owned all along.
    pub(super) fn take_back(&mut self, target: &TargetId, epoch: Epoch) -> Result<(), StoreError> {
        let acquired = vec![Acquired::new(target.clone(), epoch)];
        self.follow(Changes { acquired, released: Vec::new() }, None).map(drop)
    }

    /// Begins to serve a target. One that is served already only gets its new epoch.
    fn serve(&mut self, target: TargetId, epoch: Epoch, (opened, kept): Taken) -> Result<(), StoreError> {
        if let Some(no) = self.boxes.find(&target).filter(|no| self.boxes.slot(*no).serving) {
            self.boxes.slot_mut(no).epoch = epoch;
            return Ok(());
        }
        if self.store.is_frozen(&target)? {
            self.ownership.freeze(&target);
            return Ok(());
        }
        if opened.erasing {
            self.resume_erasing(&target, opened.local, epoch);
            return Ok(());
        }
        // Read before the mailbox opens: a target whose rows cannot be read is not served.
        let unfinished = self.store.unfinished(opened.local, &target)?;
        let calls = self.store.outbox_open(opened.local)?;
        let now = self.clock.now();
        let no = self.boxes.open(target.clone(), opened.local, epoch);
        let slot = self.boxes.slot_mut(no);
        (slot.journal_seq, slot.outbox_seq) = (opened.journal_seq, opened.outbox_seq);
        for resumed in unfinished {
            self.resume(no, resumed, now);
        }
        if !calls.is_empty() {
            // Whether their commits are in the replica is not known: they wait for what is committed now.
            self.let_calls_out(no, self.replication.mode_of_own(), calls);
        }
        self.arm(no);
        let now_ms = self.clock.wall_ms();
        let begun = handlers::Acquired { target: &target, local: opened.local, epoch, now_ms, store: &self.store };
        if catch_unwind(AssertUnwindSafe(|| self.bot.on_acquire(&begun))).is_err() {
            tracing::error!(%target, "the handler panicked in on_acquire");
        }
        if let Some(state) = kept {
            self.give_back_volatile(&target, &state);
        }
        Ok(())
    }

    /// Ends this life of the database and begins another: nothing is served any more, and all that was owned is put aside.
    pub(super) fn begin_anew(&mut self) -> Result<Incarnation, StoreError> {
        for target in self.boxes.serving() {
            self.release(&target);
        }
        let begun = self.store.begin_anew(self.clock.wall_ms());
        if begun.is_err() {
            self.store.rollback();
        }
        self.count_aside();
        begun
    }

    pub(super) fn count_aside(&self) {
        match self.store.aside() {
            Ok(count) => self.meters.aside(count),
            Err(why) => tracing::error!(error = %why, "cannot count the targets that are put aside"),
        }
    }

    /// Lets an accepted event enter its mailbox again.
    pub(super) fn resume(&mut self, no: SlotNo, resumed: Resumed, now: Mono) {
        let (stage, trace) = (Stage::Accepted(resumed.seq), Traced::resumed(resumed.trace));
        self.boxes.append(no, resumed.event, stage, resumed.attempts, trace, now);
    }

    /// Stops serving a target. Its rows stay.
    pub(super) fn release(&mut self, target: &TargetId) {
        self.erasures.released(target);
        self.ownership.thaw(target);
        let Some(no) = self.boxes.find(target).filter(|no| self.boxes.slot(*no).serving) else { return };
        self.keep_volatile(&[(target.clone(), no)]);
        if let Some(log) = self.ownership.log() {
            log.note(Act::new(self.clock.now(), target, self.boxes.slot(no).epoch, What::Release));
        }
        let outcome = Outcome::NotOwner { owner: self.ownership.owner(target), epoch: self.boxes.slot(no).epoch };
        for waiting in self.boxes.close(no) {
            self.refuse(waiting, &outcome);
        }
        self.give_back_held(no);
        self.timers.set(no, None);
        let _ = self.notes.send(Note::Closed { target: target.clone() });
        self.left(target);
    }

    /// Tells the handler that a target is served no longer.
    pub(super) fn left(&self, target: &TargetId) {
        if catch_unwind(AssertUnwindSafe(|| self.bot.on_release(target))).is_err() {
            tracing::error!(%target, "the handler panicked in on_release");
        }
    }

    /// Lets timers that are due enter their targets' mailboxes, one of a target at a time.
    pub(super) fn fire_timers(&mut self) {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        while let Some(no) = self.timers.take_due(wall_ms) {
            let slot = self.boxes.slot(no);
            let timer = match self.store.timer_next(slot.local) {
                Ok(Some(timer)) if timer.due_ms <= wall_ms => timer,
                Ok(other) => {
                    self.timers.set(no, other.map(|timer| timer.due_ms));
                    continue;
                }
                Err(why) => {
                    tracing::error!(error = %why, "cannot read timers");
                    self.timers.set(no, Some(wall_ms + READ_AGAIN_MS));
                    return;
                }
            };
            let event = Event {
                target: slot.target.clone(),
                parent: None,
                platform: slot.target.platform(),
                kind: EventKind::Timer,
                source: "timer".to_owned(),
                id: format!("{}:{}", timer.id, timer.due_ms),
                received_at: wall_ms,
                headers: Vec::new(),
                body: timer.payload.into(),
            };
            self.boxes.append(no, event, Stage::Fresh, 0, Traced::default(), now);
            self.boxes.slot_mut(no).timer_queued = true;
        }
    }

    /// Says that a target's timer has left the mailbox, or stands in the journal now.
    pub(super) fn timer_over(&mut self, no: SlotNo) {
        self.boxes.slot_mut(no).timer_queued = false;
        self.arm(no);
    }

    /// Finds out when a target's next timer is due.
    pub(super) fn arm(&mut self, no: SlotNo) {
        let slot = self.boxes.slot(no);
        if slot.timer_queued || !slot.serving || slot.freezing {
            return;
        }
        match self.store.timer_next(slot.local) {
            Ok(timer) => self.timers.set(no, timer.map(|timer| timer.due_ms)),
            Err(why) => {
                tracing::error!(error = %why, "cannot read timers");
                self.timers.set(no, Some(self.clock.wall_ms() + READ_AGAIN_MS));
            }
        }
    }
}
