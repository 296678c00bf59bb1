//! One event in the writer's transaction: is it known already, does this pod still own its target, what does the handler
//! say, what is written. All of it happens in the event's own savepoint, so that an event that fails leaves nothing.

use super::{
    asking::Asked,
    group::{Abort, Group},
    mailbox::{SlotNo, Stage, Waiting},
    traced::tell,
    writer::Writer,
};
use crate::{
    handlers::{
        Effects, HandlerError, Reply, Target, Timer, Way, bounded,
        guild::{self, Changes, GUILD_KEY, STANDING_KEY},
        kept,
    },
    meters::Verdict,
    ownership::{Denied, Guard},
    store::{Entry, LocalId, NewCall, OpenCall, State},
};
use shared::{
    Mono,
    backoff::nominal,
    event::{Answer, Event, EventKind},
    lease::Use,
    platform,
    telemetry::trace::{Span, SpanKind, TraceContext},
    wire::link::Outcome,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// What somebody is told whose event could not be handled.
const FAILED_TEXT: &str = "This did not work. Nothing was changed.";
/// How long what nobody waits for stays put when this pod may not act.
const PAUSE: Duration = Duration::from_millis(200);
/// When an event comes back that arrived before the one it has to stand behind, in milliseconds.
const BEHIND_MS: u32 = 20;
/// The longest wait between two attempts, in first waits.
const LONGEST_RETRY: u32 = 60;

/// What became of an event that was tried.
#[derive(Debug)]
pub(super) enum Tried {
    /// Its rows are written; the answer is due after the commit.
    Written {
        /// The right it was written under.
        guard: Guard,
        /// The answer.
        answer: Answer,
        /// True when it had been committed before.
        duplicate: bool,
    },
    /// It was taken back before it ran: a timer that was cancelled.
    Gone,
    /// Nothing was done and nothing will be.
    Refused(Outcome),
    /// Nothing was done; it stays first until its time.
    Waits,
    /// Nothing was done; its handler is to be asked, and it stays first until that has answered.
    Asked,
}

/// Returns the outcome of an event that arrived before the one it has to stand behind.
pub(super) const fn come_back() -> Outcome {
    Outcome::Busy { retry_after_ms: BEHIND_MS }
}

impl Writer {
    /// Tries an event. What it writes belongs to the group.
    pub(super) fn apply(&mut self, group: &mut Group, no: SlotNo, waiting: &mut Waiting) -> Result<Tried, Abort> {
        let now = self.clock.now();
        let guard = match self.right_to_act(no, waiting, now) {
            Ok(guard) => guard,
            Err(tried) => return Ok(tried),
        };
        if !self.is_next(no, waiting)? {
            return Ok(Tried::Refused(come_back()));
        }
        if self.asking.is_some()
            && let Some(tried) = self.ask_first(group, no, waiting, &guard)?
        {
            return Ok(tried);
        }
        group.begin(&self.store)?;
        if waiting.stage == Stage::Fresh
            && let Some(answer) = self.known(group, no, waiting)?
        {
            return Ok(Tried::Written { guard, answer, duplicate: true });
        }
        if waiting.attempts >= self.settings.attempts {
            return self.put_aside(group, no, waiting, guard, State::Dead);
        }
        self.store.savepoint()?;
        if waiting.stage == Stage::Fresh && !self.use_timer_up(no, waiting)? {
            self.store.undo()?;
            return Ok(Tried::Gone);
        }
        let (said, effects) = self.call_handler(group, no, waiting, &guard);
        if let Some(fault) = effects.fault {
            return Err(Abort::Disk(fault));
        }
        let failed = match said.and_then(|reply| bounded(reply.render(&waiting.event), self.settings.max_reply)) {
            Ok(answer) => return self.keep(group, no, waiting, guard, answer, effects.calls, effects.timers),
            Err(why) => why,
        };
        if !self.store.in_transaction() {
            // The interrupt has taken the whole group along: the others are done again, this one waits.
            self.note_failure(waiting, &failed, now);
            return Err(Abort::Redo);
        }
        self.store.undo()?;
        if failed == HandlerError::Ignore {
            return self.ignore(group, no, waiting, guard);
        }
        self.note_failure(waiting, &failed, now);
        if matches!(failed, HandlerError::Permanent(_)) {
            return self.put_aside(group, no, waiting, guard, State::Failed);
        }
        let hopeless = self.asking.is_none() && matches!(failed, HandlerError::Refused(_));
        if hopeless || waiting.attempts >= self.settings.attempts {
            return self.put_aside(group, no, waiting, guard, State::Dead);
        }
        match waiting.stage {
            Stage::Accepted(seq) => {
                let local = self.boxes.slot(no).local;
                let reason = waiting.reason.as_deref();
                self.store.journal_became(local, seq, State::Accepted, waiting.attempts, reason)?;
            }
            // Nobody waits for a timer: from its first failure on the journal counts its attempts.
            Stage::Fresh if waiting.event.kind == EventKind::Timer => {
                self.use_timer_up(no, waiting)?;
                self.accept(group, no, waiting, guard)?;
            }
            Stage::Fresh => {}
        }
        self.meters.event(waiting.event.platform, Verdict::Retried);
        Ok(Tried::Waits)
    }

    /// Returns the guard an event may be written under, or what becomes of it without one.
    pub(super) fn right_to_act(&self, no: SlotNo, waiting: &mut Waiting, now: Mono) -> Result<Guard, Tried> {
        let slot = self.boxes.slot(no);
        let Some(guard) = &waiting.guard else {
            // It came from the database, and stays there: it runs when the pod may act for the target.
            let right =
                if slot.freezing { self.ownership.finishing(&slot.target) } else { self.ownership.guard(&slot.target) };
            let guard = right.ok().filter(|guard| guard.epoch() == slot.epoch);
            return guard.ok_or_else(|| {
                waiting.not_before = now.after(PAUSE);
                Tried::Waits
            });
        };
        if let Err(denied) = self.ownership.check(guard, Use::Act) {
            return Err(Tried::Refused(self.denied(guard, &denied)));
        }
        // Who sent it has been told that nothing was done.
        if waiting.answer_by().is_some_and(|at| now >= at) {
            return Err(Tried::Refused(Outcome::Late));
        }
        Ok(guard.clone())
    }

    /// Returns whether what an event has to stand behind is committed, or will be by the same transaction.
    pub(super) fn is_next(&self, no: SlotNo, waiting: &Waiting) -> Result<bool, Abort> {
        let before = waiting.behind.filter(|_| waiting.stage == Stage::Fresh);
        before.map_or(Ok(true), |before| self.store.has_seen(self.boxes.slot(no).local, before).map_err(Abort::from))
    }

    /// Returns the outcome for an event that the pod may not act on.
    pub(super) fn denied(&self, guard: &Guard, denied: &Denied) -> Outcome {
        match denied {
            Denied::NotOwner { epoch } => {
                self.meters.fenced();
                Outcome::NotOwner { owner: self.ownership.owner(guard.target()), epoch: *epoch }
            }
            Denied::NotServing(_) | Denied::Quarantined | Denied::Moving => {
                Outcome::NotServing { detail: denied.to_string() }
            }
        }
    }

    /// Returns the stored answer of an event that has been committed before, and counts it. A timer is never known: its row
    /// is used up in the transaction of its event, and one that is set again, be it for the same time, is a new one.
    pub(super) fn known(&self, group: &mut Group, no: SlotNo, waiting: &Waiting) -> Result<Option<Answer>, Abort> {
        let slot = self.boxes.slot(no);
        if waiting.event.kind == EventKind::Timer {
            return Ok(None);
        }
        let Some(seen) = self.store.seen(slot.local, waiting.key)? else { return Ok(None) };
        if seen.payload_hash != waiting.payload_hash {
            self.alarm(&waiting.event);
        }
        if waiting.trace.is_recorded() {
            let first = self.store.first_trace(slot.local, waiting.key)?;
            waiting.trace.duplicate(&self.tracer, first.as_ref());
        }
        group.delta(no).duplicates += waiting.waiters.len() as u64;
        Ok(Some(seen.answer))
    }

    /// Uses up the timer an event stands for. Returns false when it was taken back or set anew; true for other events.
    pub(super) fn use_timer_up(&self, no: SlotNo, waiting: &Waiting) -> Result<bool, Abort> {
        match timer_of(waiting) {
            Some(timer) => Ok(self.store.timer_take(self.boxes.slot(no).local, &timer.id, timer.due_ms)?),
            None => Ok(true),
        }
    }

    /// Writes an event down as accepted: acknowledged, to be applied in its place. It is so once the group is committed.
    pub(super) fn accept(
        &self,
        group: &mut Group,
        no: SlotNo,
        waiting: &mut Waiting,
        guard: Guard,
    ) -> Result<(), Abort> {
        let answer = platform::deferred(waiting.event.kind);
        let seq = self.write_down(group, no, waiting, State::Accepted, &answer)?;
        group.delta(no).duplicates += waiting.joined();
        group.accepted.push((no, waiting.ticket, guard));
        waiting.stage = Stage::Accepted(seq);
        Ok(())
    }

    /// Keeps what the handler did.
    #[expect(clippy::too_many_arguments, reason = "the parts of one call, each used once")]
    fn keep(
        &mut self,
        group: &mut Group,
        no: SlotNo,
        waiting: &Waiting,
        guard: Guard,
        answer: Answer,
        mut calls: Vec<OpenCall>,
        timers: bool,
    ) -> Result<Tried, Abort> {
        match waiting.stage {
            Stage::Fresh => {
                self.write_down(group, no, waiting, State::Done, &answer)?;
                if waiting.event.kind == EventKind::DiscordDispatch {
                    // Whoever told of it waits for no answer.
                    calls.extend(self.late_reply(group, no, waiting, &guard, &answer, calls.len())?);
                }
            }
            Stage::Accepted(seq) => {
                let local = self.boxes.slot(no).local;
                self.store.journal_became(local, seq, State::Done, waiting.attempts, None)?;
                calls.extend(self.late_reply(group, no, waiting, &guard, &answer, calls.len())?);
            }
        }
        self.store.release()?;
        let delta = group.delta(no);
        delta.applied += 1;
        delta.outbox += calls.len() as u64;
        delta.last_event_id = Some(waiting.event.id.clone());
        if waiting.stage == Stage::Fresh {
            delta.duplicates += waiting.joined();
        }
        if !calls.is_empty() {
            group.calls.push((no, self.replication.mode(&waiting.event), calls));
        }
        if timers {
            group.timers.push(no);
        }
        Ok(Tried::Written { guard, answer, duplicate: false })
    }

    /// Lets an event count as handled that the handler does not want.
    fn ignore(&mut self, group: &mut Group, no: SlotNo, waiting: &Waiting, guard: Guard) -> Result<Tried, Abort> {
        let timer = waiting.event.kind == EventKind::Timer;
        self.store.savepoint()?;
        if waiting.stage == Stage::Fresh {
            self.use_timer_up(no, waiting)?;
        }
        self.keep(group, no, waiting, guard, platform::acknowledged(waiting.event.kind), Vec::new(), timer)
    }

    /// Puts an event aside whose handler will not do it: the reason stays, the sender is acknowledged.
    fn put_aside(
        &mut self,
        group: &mut Group,
        no: SlotNo,
        waiting: &Waiting,
        guard: Guard,
        state: State,
    ) -> Result<Tried, Abort> {
        let answer = platform::message(waiting.event.kind, FAILED_TEXT, true);
        let reason = waiting.reason.as_deref().unwrap_or_default();
        tracing::warn!(target = %guard.target(), kind = %waiting.event.kind, attempts = waiting.attempts, reason,
            dead = state == State::Dead, "event put aside");
        match waiting.stage {
            Stage::Fresh => {
                self.use_timer_up(no, waiting)?;
                self.write_down(group, no, waiting, state, &answer)?;
                group.delta(no).duplicates += waiting.joined();
            }
            Stage::Accepted(seq) => {
                let local = self.boxes.slot(no).local;
                self.store.journal_became(local, seq, state, waiting.attempts, Some(reason))?;
                // In a channel everybody would read of it.
                let calls = match waiting.event.kind {
                    EventKind::DiscordDispatch => Vec::new(),
                    _ => self.late_reply(group, no, waiting, &guard, &answer, 0)?,
                };
                group.delta(no).outbox += calls.len() as u64;
                if !calls.is_empty() {
                    group.calls.push((no, self.replication.mode(&waiting.event), calls));
                }
            }
        }
        if state == State::Failed {
            group.delta(no).applied += 1;
            group.delta(no).last_event_id = Some(waiting.event.id.clone());
        }
        self.meters.put_aside(state == State::Dead);
        Ok(Tried::Written { guard, answer, duplicate: false })
    }

    /// Writes the inbox row and the journal row of a fresh event; a timer needs none in the inbox. Returns its place.
    fn write_down(
        &self,
        group: &mut Group,
        no: SlotNo,
        waiting: &Waiting,
        state: State,
        answer: &Answer,
    ) -> Result<u64, Abort> {
        let slot = self.boxes.slot(no);
        let delta = group.delta(no);
        let seq = slot.journal_seq + delta.journal + 1;
        let entry = Entry {
            seq,
            key: waiting.key,
            event: &waiting.event,
            state,
            attempts: waiting.attempts,
            reason: waiting.reason.as_deref(),
            at_ms: self.clock.wall_ms(),
            trace: waiting.trace.context(),
        };
        let most = self.settings.max_stored_reply;
        if waiting.event.kind != EventKind::Timer {
            self.store.remember(slot.local, waiting.key, &waiting.payload_hash, seq, answer, most)?;
        }
        self.store.journal(slot.local, &entry)?;
        delta.journal += 1;
        self.keep_guild(slot.local, &waiting.event)?;
        Ok(seq)
    }

    /// Keeps what Discord's gateway tells of a guild as a whole, whatever its handler makes of that.
    fn keep_guild(&self, local: LocalId, event: &Event) -> Result<(), Abort> {
        let rows = || kept(&self.store, local, self.clock.wall_ms());
        let Changes { guild, standing } = guild::changes(event, self.settings.guild_most, rows)?;
        for (key, row) in [(GUILD_KEY, guild), (STANDING_KEY, standing)] {
            if let Some(row) = row {
                self.store.kv_set(local, key, &row, None)?;
            }
        }
        Ok(())
    }

    /// Lets the answer of an event nobody waits at leave through the outbox, where its platform has a way.
    fn late_reply(
        &self,
        group: &mut Group,
        no: SlotNo,
        waiting: &Waiting,
        guard: &Guard,
        answer: &Answer,
        before: usize,
    ) -> Result<Vec<OpenCall>, Abort> {
        // Whoever asked was answered by another pod, or has given up.
        if waiting.event.is_late() {
            return Ok(Vec::new());
        }
        let Some(call) = platform::late_reply(&waiting.event, answer, &self.settings.discord_api) else {
            return Ok(Vec::new());
        };
        if let Err(why) = self.allowed.check_call(&call) {
            tracing::warn!(target = %guard.target(), reason = %why, "a late reply has no way out");
            return Ok(Vec::new());
        }
        let slot = self.boxes.slot(no);
        let seq = slot.outbox_seq + group.delta(no).outbox + before as u64 + 1;
        let idempotent = call.method != "POST";
        let (epoch, now_ms) = (guard.epoch(), self.clock.wall_ms());
        let new = NewCall { seq, call: &call, idempotent, epoch, now_ms, trace: waiting.trace.caller() };
        let added = self.store.outbox_add(slot.local, &new)?;
        let open = OpenCall::new(seq, &call, idempotent);
        Ok(added.then_some(open).into_iter().collect())
    }

    fn call_handler(
        &self,
        group: &mut Group,
        no: SlotNo,
        waiting: &mut Waiting,
        guard: &Guard,
    ) -> (Result<Reply, HandlerError>, Effects) {
        let slot = self.boxes.slot(no);
        let begun = self.clock.now();
        self.shared.turns(begun);
        let until = begun.after(self.settings.timeout);
        let mut target = Target {
            id: &slot.target,
            local: slot.local,
            epoch: guard.epoch(),
            now_ms: self.clock.wall_ms(),
            store: &self.store,
            clock: &*self.clock,
            until,
            allowed: &self.allowed,
            outbox_seq: slot.outbox_seq + group.delta(no).outbox,
            session_ttl: self.settings.session_ttl,
            effects: Effects::default(),
        };
        self.store.limit(Some(until));
        // An asynchronous handler has had its attempt already, when it was asked.
        let mut span = match self.asking {
            None => waiting.trace.attempt(&self.tracer, SpanKind::Internal, &waiting.event, waiting.attempts),
            Some(_) => Span::default(),
        };
        let current = waiting.trace.caller().map(TraceContext::enter);
        let said = catch_unwind(AssertUnwindSafe(|| match (&self.bot.way, timer_of(waiting)) {
            (Way::Sync(handler), Some(timer)) => handler.on_timer(&timer, &mut target).map(|()| Reply::none()),
            (Way::Sync(handler), None) => handler.handle(&waiting.event, &mut target),
            (Way::Async(_), _) => waiting.asked.apply(&mut target),
        }));
        drop(current);
        self.store.limit(None);
        let took = self.clock.now().since(begun);
        if self.asking.is_none() {
            self.meters.handler(took);
        }
        let late = target.effects.late || took > self.settings.timeout;
        let said = match said {
            Err(_) => Err(HandlerError::Retry("the handler panicked".to_owned())),
            Ok(Err(why @ (HandlerError::Permanent(_) | HandlerError::Refused(_) | HandlerError::Ignore))) => Err(why),
            Ok(_) if late => {
                Err(HandlerError::Retry(format!("the handler took longer than {:?}", self.settings.timeout)))
            }
            Ok(said) => said,
        };
        tell(&mut span, &said);
        (said, target.effects)
    }

    fn note_failure(&mut self, waiting: &mut Waiting, why: &HandlerError, now: Mono) {
        waiting.asked = Asked::No;
        waiting.reason = Some(why.to_string());
        waiting.attempts += 1;
        let wait = nominal(self.settings.retry, self.settings.retry * LONGEST_RETRY, waiting.attempts - 1);
        waiting.not_before = now.after(wait.mul_f64(0.75 + 0.25 * self.rng.next_f64()));
    }
}

/// Returns the timer that an event stands for.
pub(super) fn timer_of(waiting: &Waiting) -> Option<Timer> {
    let event = &waiting.event;
    if event.kind != EventKind::Timer {
        return None;
    }
    let (id, due) = event.id.rsplit_once(':')?;
    let payload = String::from_utf8_lossy(&event.body).into_owned();
    Some(Timer { id: id.to_owned(), due_ms: due.parse().ok()?, payload })
}
