//! The writer: the one thread that owns the mailboxes and writes the database. It takes commands, lets time pass, and
//! commits group after group of what there is to do.

use super::{
    Command, Submitted,
    aside::Asides,
    asking::Asking,
    erasure::Erasures,
    gate::Gate,
    jobs::Job,
    mailbox::{Entered, Mailboxes, SlotNo, Waiter},
    moving::{MOVING, Moving},
    settings::Settings,
    sweeper::Sweeper,
    timers::Timers,
};
use crate::{
    engine::{Busy, Rate, Shared},
    handlers::Bot,
    meters::{Meters, Verdict},
    outbox::{Allowed, Note},
    ownership::Ownership,
    replication::{Replication, ReplicationMeters},
    store::{Store, StoreError, checkpoint::Checkpointer, transfer::Importer},
};
use shared::{
    Clock, Mono,
    backoff::Rng,
    event::{Answer, Event},
    lease::Use,
    platform,
    telemetry::trace::Tracer,
    wire::link::Outcome,
};
use std::{
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
/// When a sender may come back to a full mailbox, in milliseconds.
const BUSY_MS: u32 = 1_000;

/// The writer's belongings.
pub(crate) struct Writer {
    pub(super) store: Store,
    pub(super) boxes: Mailboxes,
    pub(super) jobs: Vec<Job>,
    pub(super) gone_timers: Vec<SlotNo>,
    pub(super) bot: Bot,
    /// The way to an asynchronous handler, when the bot is one.
    pub(super) asking: Option<Asking>,
    pub(super) ownership: Ownership,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) allowed: Arc<Allowed>,
    pub(super) notes: UnboundedSender<Note>,
    pub(super) checkpoints: Checkpointer,
    pub(super) meters: Meters,
    pub(super) tracer: Tracer,
    pub(super) rate: Rate,
    pub(super) busy: Busy,
    pub(super) rng: Rng,
    pub(super) timers: Timers,
    pub(super) erasures: Erasures,
    pub(super) moving: Moving,
    pub(super) asides: Asides,
    pub(super) gate: Gate,
    pub(super) replication: Replication,
    pub(super) replicated: ReplicationMeters,
    commands: Receiver<Command>,
    pub(super) shared: Arc<Shared>,
    sweeper: Sweeper,
    next_probe: Mono,
    woken: Vec<oneshot::Sender<()>>,
}

impl Writer {
    /// Puts a writer together.
    #[expect(clippy::too_many_arguments, reason = "called once, where everything is put together")]
    pub(crate) fn new(
        store: Store,
        importer: Importer,
        checkpoints: Checkpointer,
        bot: Bot,
        asking: Option<Asking>,
        ownership: Ownership,
        settings: Settings,
        allowed: Arc<Allowed>,
        notes: UnboundedSender<Note>,
        commands: Receiver<Command>,
        meters: Meters,
        tracer: Tracer,
        shared: Arc<Shared>,
        replication: Replication,
        replicated: ReplicationMeters,
    ) -> Self {
        let clock = Arc::clone(ownership.clock());
        let now = clock.now();
        let asides = Asides::resumed(store.dropping().unwrap_or_else(|why| {
            tracing::error!(error = %why, "cannot read which rows are being dropped; the next start goes on with them");
            Vec::new()
        }));
        Self {
            store,
            boxes: Mailboxes::default(),
            jobs: Vec::new(),
            gone_timers: Vec::new(),
            bot,
            asking,
            ownership,
            settings,
            allowed,
            notes,
            checkpoints,
            meters,
            tracer,
            rate: Rate::new(now),
            busy: Busy::new(now),
            rng: Rng::seeded(clock.wall_ms()),
            timers: Timers::default(),
            erasures: Erasures::default(),
            moving: Moving::new(importer),
            asides,
            gate: Gate::default(),
            replication,
            replicated,
            commands,
            shared,
            sweeper: Sweeper::new(now, clock.wall_ms()),
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
            self.shared.turns(now);
            self.boxes.wake(now);
            self.fire_timers();
            self.commit_group();
            self.erase_on();
            self.drop_on();
            self.move_on();
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
        let erasure = self.erasures.next_at().map(|at| at.since(now));
        let moves = self.moving.next_at(now).map(|at| at.since(now));
        let drops = self.asides.next_at(now).map(|at| at.since(now));
        let sweep = self.sweeper.next_at().since(now);
        event
            .into_iter()
            .chain(timer)
            .chain(erasure)
            .chain(moves)
            .chain(drops)
            .fold(sweep, Duration::min)
            .clamp(SHORTEST, TICK)
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(sent) => self.submit(sent),
            Command::Follow { changes, known, done } => {
                // What moves have recorded before comes before.
                let followed = self.write_marks().and_then(|()| self.follow(changes, known));
                drop(done.send(followed));
            }
            Command::BeginAnew { done } => drop(done.send(self.begin_anew())),
            Command::Claim { guard, seq, mode, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Claim { guard, no, seq, mode, done });
                }
            }
            Command::Settle { guard, seq, settled, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Settle { guard, no, seq, settled, done });
                }
            }
            Command::Decide { guard, decision } => self.decide(guard, decision),
            Command::Told { guard, told, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Told { guard, no, told, done });
                }
            }
            Command::Keep { guard, key, value, done } => {
                if let Some(no) = self.boxes.find(guard.target()) {
                    self.jobs.push(Job::Keep { guard, no, key, value, done });
                }
            }
            Command::Erase { target, done } => self.erase(&target, done),
            Command::Returned(returned) => self.returned(*returned),
            Command::Aside(command) => self.aside(command),
            Command::Move(command) => self.moves(command),
            Command::Replicated(seq) => self.replicated(seq),
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
        if self.boxes.slot(no).freezing {
            return drop(sent.reply.send(Outcome::NotServing { detail: MOVING.to_owned() }));
        }
        let (guard, now) = (sent.guard.clone(), self.clock.now());
        let mode = self.replication.mode(&sent.event);
        if let Some(answer) = self.known_while_blocked(no, &sent, now) {
            let Submitted { reply, answer_by, permit, .. } = *sent;
            let waiter = Waiter { reply, answer_by, joined: true, _permit: Some(permit) };
            return self.jobs.push(Job::Duplicate { guard, no, waiter, answer, mode });
        }
        let (platform, kind) = (sent.event.platform, sent.event.kind);
        match self.boxes.enter(no, sent, now, self.settings.mailbox) {
            Entered::Queued | Entered::Joined { same: true } => {}
            Entered::Joined { same: false } => self.meters.altered(platform),
            Entered::Acknowledged { waiter, same } => {
                if !same {
                    self.meters.altered(platform);
                }
                self.jobs.push(Job::Duplicate { guard, no, waiter, answer: platform::deferred(kind), mode });
            }
            Entered::Full(waiter) => {
                self.meters.event(platform, Verdict::Busy);
                drop(waiter.reply.send(Outcome::Busy { retry_after_ms: BUSY_MS }));
            }
        }
    }

    /// Returns the stored answer of a duplicate when its target's first event is being retried or its handler is at work: what was committed long
    /// ago does not wait behind that.
    fn known_while_blocked(&self, no: SlotNo, sent: &Submitted, now: Mono) -> Option<Answer> {
        let slot = self.boxes.slot(no);
        slot.queue.front().filter(|first| first.is_held(now))?;
        if slot.queue.iter().any(|waiting| waiting.key == sent.key) {
            return None;
        }
        let seen = self.store.seen(slot.local, sent.key).ok().flatten()?;
        if seen.payload_hash != sent.payload_hash {
            self.alarm(&sent.event);
        }
        if sent.trace.is_recorded() {
            let first = self.store.first_trace(slot.local, sent.key).ok().flatten();
            sent.trace.duplicate(&self.tracer, first.as_ref());
        }
        Some(seen.answer)
    }

    /// Tells that a sender used one id for two payloads.
    pub(super) fn alarm(&self, event: &Event) {
        tracing::warn!(target = %event.target, source = event.source, "an id came again with another payload");
        self.meters.altered(event.platform);
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
        self.let_go_of_late(now);
        if !self.shared.is_writable() && now >= self.next_probe {
            let probe = self.store.begin().and_then(|()| self.store.commit());
            self.store.rollback();
            self.is_writable(probe.err());
        }
        if let Some(rate) = self.rate.tick(now) {
            self.shared.events_per_second(rate);
        }
        if let Some(weights) = self.busy.tick(now) {
            self.shared.weights(weights);
        }
        if !self.boxes.has_turns()
            && self.sweeper.is_due(now)
            && self.shared.is_writable()
            && self.ownership.check_lease(Use::Act).is_ok()
        {
            match self.sweeper.step(&self.store, now, self.clock.wall_ms(), &self.settings.retention) {
                Ok(()) => self.checkpoints.committed(),
                Err(why) => {
                    self.store.rollback();
                    self.is_writable(Some(why));
                }
            }
        }
    }

    fn stop(mut self, done: oneshot::Sender<()>, orderly: bool) {
        if orderly {
            let serving =
                |(target, _)| Some((self.boxes.find(&target).filter(|no| self.boxes.slot(*no).serving)?, target));
            let targets = self.ownership.targets().into_iter().filter_map(serving);
            let targets: Vec<_> = targets.map(|(no, target)| (target, no)).collect();
            self.keep_volatile(&targets);
        }
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
