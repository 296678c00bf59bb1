//! The writer: the one thread that owns the mailboxes and writes the database. It takes commands, lets time pass, and
//! commits group after group of what there is to do.

use super::{
    Command, Submitted,
    group::Job,
    mailbox::{Entered, Mailboxes, SlotNo, Stage, Waiter},
    timers::Timers,
};
use crate::{
    Options,
    engine::{Rate, Shared},
    handlers::Handler,
    meters::{Meters, Verdict},
    outbox::{Allowed, Note},
    ownership::Ownership,
    store::{LocalId, Retention, Store, StoreError, checkpoint::Checkpointer},
};
use shared::{
    Clock, Epoch, Mono, TargetId,
    backoff::Rng,
    event::{Answer, Event, EventKind},
    lease::Use,
    platform,
    wire::link::Outcome,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

/// The longest the writer sleeps: what depends on the wall clock or the disk is looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// The shortest sleep.
const SHORTEST: Duration = Duration::from_millis(1);
/// Most commands taken in between two groups.
const COMMANDS: usize = 8_192;
/// Rows of each table that one step of the sweep takes away.
const SWEEP_ROWS: usize = 200;
/// How often a sweep over all targets begins.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// When a sender may come back to a full mailbox, in milliseconds.
const BUSY_MS: u32 = 1_000;

/// What the writer goes by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) retry: Duration,
    pub(super) mailbox: usize,
    pub(super) group: usize,
    pub(super) max_stored_reply: usize,
    pub(super) discord_api: String,
    pub(super) retention: Retention,
}

impl Settings {
    /// Takes from the options what the writer needs.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            timeout: options.handler_timeout,
            attempts: options.handler_attempts.max(1),
            retry: options.handler_retry,
            mailbox: options.mailbox,
            group: options.group_commit.max(1),
            max_stored_reply: options.max_stored_reply,
            discord_api: options.discord_api.clone(),
            retention: Retention {
                inbox: options.inbox_retention,
                payload: options.journal_retention,
                chunk: SWEEP_ROWS,
            },
        }
    }
}

/// The writer's belongings.
pub(crate) struct Writer {
    pub(super) store: Store,
    pub(super) boxes: Mailboxes,
    pub(super) jobs: Vec<Job>,
    pub(super) gone_timers: Vec<SlotNo>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) ownership: Ownership,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) allowed: Arc<Allowed>,
    pub(super) notes: UnboundedSender<Note>,
    pub(super) checkpoints: Checkpointer,
    pub(super) meters: Meters,
    pub(super) rate: Rate,
    pub(super) rng: Rng,
    timers: Timers,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    sweep: Sweep,
    next_probe: Mono,
    woken: Vec<oneshot::Sender<()>>,
}

/// How far the sweep has come.
#[derive(Debug, Default)]
struct Sweep {
    at: Option<LocalId>,
    begins: Mono,
    under_way: bool,
}

impl Writer {
    /// Puts a writer together.
    #[expect(clippy::too_many_arguments, reason = "called once, where everything is put together")]
    pub(crate) fn new(
        store: Store,
        checkpoints: Checkpointer,
        handler: Arc<dyn Handler>,
        ownership: Ownership,
        settings: Settings,
        allowed: Arc<Allowed>,
        notes: UnboundedSender<Note>,
        commands: Receiver<Command>,
        meters: Meters,
        shared: Arc<Shared>,
    ) -> Self {
        let clock = Arc::clone(ownership.clock());
        let now = clock.now();
        Self {
            store,
            boxes: Mailboxes::default(),
            jobs: Vec::new(),
            gone_timers: Vec::new(),
            handler,
            ownership,
            settings,
            allowed,
            notes,
            checkpoints,
            meters,
            rate: Rate::new(now),
            rng: Rng::seeded(clock.wall_ms()),
            timers: Timers::default(),
            commands,
            shared,
            sweep: Sweep { begins: now.after(SWEEP_EVERY / 10), ..Sweep::default() },
            next_probe: now,
            woken: Vec::new(),
            clock,
        }
    }

    /// Works until it is told to stop, or nobody is left who could tell it anything.
    pub(crate) fn run(mut self) {
        loop {
            match self.commands.recv_timeout(self.sleep()) {
                Ok(Command::Stop { done }) => return self.stop(done, true),
                Ok(Command::Abandon { done }) => return self.stop(done, false),
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for _ in 0..COMMANDS {
                match self.commands.try_recv() {
                    Ok(Command::Stop { done }) => return self.stop(done, true),
                    Ok(Command::Abandon { done }) => return self.stop(done, false),
                    Ok(command) => self.take(command),
                    Err(_) => break,
                }
            }
            let now = self.clock.now();
            self.boxes.wake(now);
            self.fire_timers();
            self.commit_group();
            self.housekeeping(now);
            for done in self.woken.drain(..) {
                // Whoever asked may be gone.
                let _ = done.send(());
            }
        }
    }

    fn sleep(&self) -> Duration {
        if self.boxes.has_turns() || !self.jobs.is_empty() {
            return Duration::ZERO;
        }
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let event = self.boxes.next_at().map(|at| at.since(now));
        let timer = self.timers.next_ms().map(|due| Duration::from_millis(due.saturating_sub(wall_ms)));
        let sweep = self.sweep.under_way.then_some(Duration::from_millis(20));
        event.into_iter().chain(timer).chain(sweep).min().unwrap_or(TICK).clamp(SHORTEST, TICK)
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(sent) => self.submit(sent),
            Command::Acquire { targets, done } => drop(done.send(self.acquire(targets))),
            Command::Release { targets, done } => {
                targets.iter().for_each(|target| self.release(target));
                let _ = done.send(());
            }
            Command::Claim { guard, seq, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Claim { guard, no, seq, done });
                }
            }
            Command::Settle { guard, seq, settled, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Settle { guard, no, seq, settled, done });
                }
            }
            Command::Wake { done } => self.woken.push(done),
            Command::Stop { .. } | Command::Abandon { .. } => {}
            #[cfg(test)]
            Command::Meddle(meddle, done) => {
                meddle(&self.store);
                let _ = done.send(());
            }
        }
    }

    fn submit(&mut self, sent: Box<Submitted>) {
        let target = sent.guard.target();
        let Some(no) = self.boxes.find(target).filter(|no| self.boxes.slot(*no).serving) else {
            let detail = "this pod has not loaded the target yet".to_owned();
            return drop(sent.reply.send(Outcome::NotServing { detail }));
        };
        let (guard, now) = (sent.guard.clone(), self.clock.now());
        if let Some(answer) = self.known_while_blocked(no, &sent, now) {
            let Submitted { reply, answer_by, permit, .. } = *sent;
            let waiter = Waiter { reply, answer_by, joined: true, _permit: Some(permit) };
            return self.jobs.push(Job::Duplicate { guard, no, waiter, answer });
        }
        let (platform, kind) = (sent.event.platform, sent.event.kind);
        match self.boxes.enter(no, sent, now, self.settings.mailbox) {
            Entered::Queued | Entered::Joined { same: true } => {}
            Entered::Joined { same: false } => self.meters.altered(platform),
            Entered::Acknowledged(waiter) => {
                self.jobs.push(Job::Duplicate { guard, no, waiter, answer: platform::deferred(kind) });
            }
            Entered::Full(waiter) => {
                self.meters.event(platform, Verdict::Busy);
                drop(waiter.reply.send(Outcome::Busy { retry_after_ms: BUSY_MS }));
            }
        }
    }

    /// Returns the stored answer of a duplicate when its target's first event is being retried: what was committed long
    /// ago does not wait behind that.
    fn known_while_blocked(&self, no: SlotNo, sent: &Submitted, now: Mono) -> Option<Answer> {
        let slot = self.boxes.slot(no);
        slot.queue.front().filter(|first| first.not_before > now)?;
        if slot.queue.iter().any(|waiting| waiting.key == sent.key) {
            return None;
        }
        let seen = self.store.seen(slot.local, sent.key).ok().flatten()?;
        if seen.payload_hash != sent.payload_hash {
            self.alarm(&sent.event);
        }
        Some(seen.answer)
    }

    /// Tells that a sender used one id for two payloads.
    pub(super) fn alarm(&self, event: &Event) {
        tracing::warn!(target = %event.target, source = event.source, "an id came again with another payload");
        self.meters.altered(event.platform);
    }

    fn acquire(&mut self, targets: Vec<(TargetId, Epoch)>) -> Result<(), StoreError> {
        if targets.is_empty() {
            return Ok(());
        }
        let opened = self.open_all(&targets);
        if opened.is_err() {
            self.store.rollback();
        }
        let now = self.clock.now();
        for ((target, epoch), opened) in targets.into_iter().zip(opened?) {
            if let Some(no) = self.boxes.find(&target).filter(|no| self.boxes.slot(*no).serving) {
                self.boxes.slot_mut(no).epoch = epoch;
                continue;
            }
            // Read before the mailbox opens: a target whose rows cannot be read is not served.
            let unfinished = self.store.unfinished(opened.local, &target)?;
            let calls = self.store.outbox_open(opened.local)?;
            let no = self.boxes.open(target.clone(), opened.local, epoch);
            let slot = self.boxes.slot_mut(no);
            (slot.journal_seq, slot.outbox_seq) = (opened.journal_seq, opened.outbox_seq);
            for resumed in unfinished {
                self.boxes.append(no, resumed.event, Stage::Accepted(resumed.seq), resumed.attempts, now);
            }
            if !calls.is_empty() {
                // The outbox ends before the writer only when the pod stops.
                let _ = self.notes.send(Note::Open { target: target.clone(), calls });
            }
            self.arm(no);
            if catch_unwind(AssertUnwindSafe(|| self.handler.on_acquire(&target))).is_err() {
                tracing::error!(%target, "the handler panicked in on_acquire");
            }
        }
        Ok(())
    }

    fn open_all(&self, targets: &[(TargetId, Epoch)]) -> Result<Vec<crate::store::Opened>, StoreError> {
        self.store.begin()?;
        let opened = targets.iter().map(|(target, epoch)| self.store.open_target(target, *epoch)).collect();
        self.store.commit()?;
        opened
    }

    fn release(&mut self, target: &TargetId) {
        let Some(no) = self.boxes.find(target).filter(|no| self.boxes.slot(*no).serving) else { return };
        let outcome = Outcome::NotOwner { owner: self.ownership.owner(target), epoch: self.boxes.slot(no).epoch };
        for waiting in self.boxes.close(no) {
            self.refuse(waiting, &outcome);
        }
        self.timers.set(no, None);
        let _ = self.notes.send(Note::Closed { target: target.clone() });
        if catch_unwind(AssertUnwindSafe(|| self.handler.on_release(target))).is_err() {
            tracing::error!(%target, "the handler panicked in on_release");
        }
    }

    /// Lets timers that are due enter their targets' mailboxes, one of a target at a time.
    fn fire_timers(&mut self) {
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
                    self.timers.set(no, Some(wall_ms + 1_000));
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
            self.boxes.append(no, event, Stage::Fresh, 0, now);
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
        if slot.timer_queued || !slot.serving {
            return;
        }
        match self.store.timer_next(slot.local) {
            Ok(timer) => self.timers.set(no, timer.map(|timer| timer.due_ms)),
            Err(why) => {
                tracing::error!(error = %why, "cannot read timers");
                self.timers.set(no, Some(self.clock.wall_ms() + 1_000));
            }
        }
    }

    /// Notes whether the last commit succeeded.
    pub(super) fn is_writable(&mut self, fault: Option<StoreError>) {
        let was = self.shared.writable(fault.is_none());
        match fault {
            Some(why) if was => tracing::error!(error = %why, "the database cannot be written"),
            None if !was => tracing::info!("the database can be written again"),
            _ => {}
        }
        self.next_probe = self.clock.now().after(TICK);
    }

    fn housekeeping(&mut self, now: Mono) {
        if !self.shared.is_writable() && now >= self.next_probe {
            let probe = self.store.begin().and_then(|()| self.store.commit());
            self.store.rollback();
            self.is_writable(probe.err());
        }
        if let Some(rate) = self.rate.tick(now) {
            self.shared.events_per_second(rate);
        }
        if !self.sweep.under_way && now >= self.sweep.begins {
            self.sweep = Sweep { at: None, begins: now.after(SWEEP_EVERY), under_way: true };
        }
        let idle = !self.boxes.has_turns() && self.shared.is_writable();
        if self.sweep.under_way && idle && self.ownership.check_lease(Use::Act).is_ok() {
            let swept = self.sweep_some();
            if let Err(why) = swept {
                self.store.rollback();
                self.is_writable(Some(why));
            }
        }
    }

    fn sweep_some(&mut self) -> Result<(), StoreError> {
        let Some(target) = self.store.target_after(self.sweep.at)? else {
            self.sweep.under_way = false;
            return Ok(());
        };
        self.store.begin()?;
        let swept = self.store.sweep(target, self.clock.wall_ms(), &self.settings.retention)?;
        if swept.rows > 0 {
            self.store.commit()?;
            self.checkpoints.committed();
        } else {
            self.store.rollback();
        }
        if !swept.more {
            self.sweep.at = Some(target);
        }
        Ok(())
    }

    fn stop(mut self, done: oneshot::Sender<()>, orderly: bool) {
        for waiting in self.boxes.drain() {
            if orderly {
                self.refuse(waiting, &Outcome::NotServing { detail: "this pod is stopping".to_owned() });
            }
        }
        drop(self);
        // The last checkpoint is done. Nobody has to wait for it.
        let _ = done.send(());
    }
}
