//! The mailboxes: what waits, for which target, in which order. Order is the order of acceptance and never changes; an
//! event that has to wait keeps its place and holds up only its own target; targets take turns. Knows no database: it is
//! told what became of what it hands out.

use super::{admission::Permit, asking::Asked, traced::Traced};
use crate::{ownership::Guard, store::LocalId};
use shared::{
    Epoch, Mono, TargetId,
    event::{Event, EventKey},
    wire::link::Outcome,
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
};
use tokio::sync::oneshot;

/// A target's place among the mailboxes; never reused for another target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotNo(usize);

/// Somebody who waits for an event's outcome.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: oneshot::Sender<Outcome>,
    pub(crate) answer_by: Mono,
    /// True when this one sent an id that waited already.
    pub(crate) joined: bool,
    /// Its place on the pod, given back when it is answered.
    pub(crate) _permit: Option<Permit>,
}

/// How durable a waiting event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Only in memory; whoever sent it waits.
    Fresh,
    /// In the journal at this place, and acknowledged.
    Accepted(u64),
}

/// An event in a mailbox.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: u64,
    pub(crate) event: Event,
    pub(crate) key: EventKey,
    pub(crate) payload_hash: [u8; 16],
    /// The event that has to be committed before it; what is acknowledged has its place already.
    pub(crate) behind: Option<EventKey>,
    /// Its trace.
    pub(crate) trace: Traced,
    /// The right it came with; what comes from the database gets one when it runs.
    pub(crate) guard: Option<Guard>,
    pub(crate) waiters: Vec<Waiter>,
    pub(crate) stage: Stage,
    pub(crate) attempts: u32,
    pub(crate) not_before: Mono,
    /// Where the question to an asynchronous handler stands.
    pub(crate) asked: Asked,
    /// Why its handler failed last.
    pub(crate) reason: Option<String>,
    /// Its place on the pod, given back when it is done.
    pub(crate) _permit: Option<Permit>,
}

impl Waiting {
    /// Returns until when anybody waits; `None` when nobody does.
    pub(crate) fn answer_by(&self) -> Option<Mono> {
        self.waiters.iter().map(|waiter| waiter.answer_by).max()
    }

    /// Returns how many sent it again while it waited.
    pub(crate) fn joined(&self) -> u64 {
        self.waiters.iter().filter(|waiter| waiter.joined).count() as u64
    }

    /// Returns whether it has to wait, for a time or for its handler, and holds up those behind it.
    pub(crate) fn is_held(&self, now: Mono) -> bool {
        self.not_before > now || matches!(self.asked, Asked::Out(_))
    }

    /// Tells everybody who waits.
    pub(crate) fn answer(&mut self, outcome: &Outcome) {
        answer(&mut self.waiters, outcome);
    }
}

/// Tells everybody who waits for an event.
pub(crate) fn answer(waiters: &mut Vec<Waiter>, outcome: &Outcome) {
    for waiter in waiters.drain(..) {
        let mut outcome = outcome.clone();
        if let Outcome::Committed { duplicate, .. } = &mut outcome {
            *duplicate |= waiter.joined;
        }
        // Nobody has to be there any more.
        let _ = waiter.reply.send(outcome);
    }
}

/// A target's mailbox.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) target: TargetId,
    pub(crate) local: LocalId,
    pub(crate) epoch: Epoch,
    pub(crate) serving: bool,
    /// It is about to be frozen: nothing new begins.
    pub(crate) freezing: bool,
    pub(crate) queue: VecDeque<Waiting>,
    pub(crate) journal_seq: u64,
    pub(crate) outbox_seq: u64,
    /// Whether a timer of the target is in the queue.
    pub(crate) timer_queued: bool,
    /// Whether an asynchronous handler has answered about the target since it was opened.
    pub(crate) introduced: bool,
    /// Whether it stands in `turns`.
    in_turn: bool,
    next_ticket: u64,
}

/// What a new event met.
#[derive(Debug)]
pub(crate) enum Entered {
    /// It waits.
    Queued,
    /// It joined the same id that waits already; `same` tells whether its payload is the same too.
    Joined {
        /// Whether the payloads agree.
        same: bool,
    },
    /// The same id has been acknowledged and waits to be applied.
    Acknowledged {
        /// Who waits for the answer.
        waiter: Waiter,
        /// Whether the payloads agree.
        same: bool,
    },
    /// The target's mailbox is full.
    Full(Waiter),
}

/// All mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    slots: Vec<Slot>,
    names: HashMap<TargetId, SlotNo>,
    turns: VecDeque<SlotNo>,
    wakes: BinaryHeap<Reverse<(Mono, SlotNo)>>,
    defers: BinaryHeap<Reverse<(Mono, SlotNo, u64)>>,
}

impl Mailboxes {
    /// Returns the place of a target, serving or not.
    pub(crate) fn find(&self, target: &TargetId) -> Option<SlotNo> {
        self.names.get(target).copied()
    }

    /// Returns the targets that are served.
    pub(crate) fn serving(&self) -> Vec<TargetId> {
        self.slots.iter().filter(|slot| slot.serving).map(|slot| slot.target.clone()).collect()
    }

    /// Returns a mailbox.
    pub(crate) fn slot(&self, no: SlotNo) -> &Slot {
        &self.slots[no.0]
    }

    /// Returns a mailbox.
    pub(crate) fn slot_mut(&mut self, no: SlotNo) -> &mut Slot {
        &mut self.slots[no.0]
    }

    /// Makes, or takes back into use, the mailbox of a target.
    pub(crate) fn open(&mut self, target: TargetId, local: LocalId, epoch: Epoch) -> SlotNo {
        let no = *self.names.entry(target.clone()).or_insert(SlotNo(self.slots.len()));
        if no.0 == self.slots.len() {
            self.slots.push(Slot {
                target,
                local,
                epoch,
                serving: true,
                freezing: false,
                queue: VecDeque::new(),
                journal_seq: 0,
                outbox_seq: 0,
                timer_queued: false,
                introduced: false,
                in_turn: false,
                next_ticket: 0,
            });
        }
        let slot = self.slot_mut(no);
        (slot.serving, slot.epoch, slot.local, slot.introduced) = (true, epoch, local, false);
        no
    }

    /// Takes a mailbox out of use and returns what waited in it.
    pub(crate) fn close(&mut self, no: SlotNo) -> VecDeque<Waiting> {
        let slot = self.slot_mut(no);
        (slot.serving, slot.timer_queued) = (false, false);
        std::mem::take(&mut slot.queue)
    }

    /// Lets a sender's event in, at the end of its target's queue of at most `most`.
    pub(crate) fn enter(&mut self, no: SlotNo, sent: Box<super::Submitted>, now: Mono, most: usize) -> Entered {
        let slot = &mut self.slots[no.0];
        let mut waiter = Waiter { reply: sent.reply, answer_by: sent.answer_by, joined: false, _permit: None };
        if let Some(same) = slot.queue.iter_mut().find(|waiting| waiting.key == sent.key) {
            if let Stage::Accepted(_) = same.stage {
                return Entered::Acknowledged { waiter, same: same.payload_hash == sent.payload_hash };
            }
            (waiter.joined, waiter._permit) = (true, Some(sent.permit));
            same.waiters.push(waiter);
            let ticket = same.ticket;
            let same = same.payload_hash == sent.payload_hash;
            self.defer(no, ticket, sent.defer_at);
            return Entered::Joined { same };
        }
        if slot.queue.len() >= most {
            return Entered::Full(waiter);
        }
        let ticket = slot.next_ticket;
        self.defer(no, ticket, sent.defer_at);
        self.push(
            no,
            Waiting {
                ticket,
                event: sent.event,
                key: sent.key,
                payload_hash: sent.payload_hash,
                behind: sent.behind,
                trace: sent.trace,
                guard: Some(sent.guard),
                waiters: vec![waiter],
                stage: Stage::Fresh,
                attempts: 0,
                not_before: now,
                asked: Asked::No,
                reason: None,
                _permit: Some(sent.permit),
            },
        );
        Entered::Queued
    }

    /// Appends an event that comes from the database, for which nobody waits.
    pub(crate) fn append(&mut self, no: SlotNo, event: Event, stage: Stage, attempts: u32, trace: Traced, now: Mono) {
        let (key, payload_hash) = (event.key(), event.payload_hash());
        let waiting = Waiting {
            ticket: 0,
            event,
            key,
            payload_hash,
            behind: None,
            trace,
            guard: None,
            waiters: Vec::new(),
            stage,
            attempts,
            not_before: now,
            asked: Asked::No,
            reason: None,
            _permit: None,
        };
        self.push(no, waiting);
    }

    fn push(&mut self, no: SlotNo, mut waiting: Waiting) {
        let slot = &mut self.slots[no.0];
        waiting.ticket = slot.next_ticket;
        slot.next_ticket += 1;
        slot.queue.push_back(waiting);
        // Behind another event it needs no turn: that one has it, or waits for it.
        if slot.queue.len() == 1 {
            self.turn_over(no);
        }
    }

    /// Returns the target whose turn it is and takes its first event out. The target gets its next turn by
    /// [`Mailboxes::turn_over`], so that its events stay in order.
    pub(crate) fn next(&mut self, now: Mono) -> Option<(SlotNo, Waiting)> {
        while let Some(no) = self.turns.pop_front() {
            let slot = &mut self.slots[no.0];
            slot.in_turn = false;
            match slot.queue.front() {
                // It gets its turn when its handler has answered.
                Some(first) if matches!(first.asked, Asked::Out(_)) => {}
                Some(first) if first.not_before <= now => return slot.queue.pop_front().map(|first| (no, first)),
                Some(first) => self.wakes.push(Reverse((first.not_before, no))),
                None => {}
            }
        }
        None
    }

    /// Puts an event back into its target's queue, where it stood: it keeps its place.
    pub(crate) fn put_back(&mut self, no: SlotNo, waiting: Waiting) {
        let queue = &mut self.slot_mut(no).queue;
        // Mostly in front; a duplicate that was found on the way to a later event may come from the middle.
        let place = queue.partition_point(|other| other.ticket < waiting.ticket);
        queue.insert(place, waiting);
        self.turn_over(no);
    }

    /// Lets a target take its next turn behind the others.
    pub(crate) fn turn_over(&mut self, no: SlotNo) {
        let slot = &mut self.slots[no.0];
        if !slot.queue.is_empty() && !std::mem::replace(&mut slot.in_turn, true) {
            self.turns.push_back(no);
        }
    }

    /// Gives targets their turn whose wait is over.
    pub(crate) fn wake(&mut self, now: Mono) {
        while let Some(Reverse((at, no))) = self.wakes.peek().copied()
            && at <= now
        {
            self.wakes.pop();
            self.turn_over(no);
        }
    }

    /// Returns an event that has to be answered by now: its target, and its ticket. Events that are gone are skipped.
    pub(crate) fn next_deferred(&mut self, now: Mono) -> Option<(SlotNo, u64)> {
        while let Some(Reverse((at, no, ticket))) = self.defers.peek().copied()
            && at <= now
        {
            self.defers.pop();
            let queue = &self.slots[no.0].queue;
            let waits = queue.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok();
            if waits.is_some_and(|i| queue[i].stage == Stage::Fresh) {
                return Some((no, ticket));
            }
        }
        None
    }

    /// Notes when an event has to be answered.
    pub(crate) fn defer(&mut self, no: SlotNo, ticket: u64, at: Mono) {
        self.defers.push(Reverse((at, no, ticket)));
    }

    /// Returns whether somebody's turn it may be.
    pub(crate) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Returns when something is to be looked at again.
    pub(crate) fn next_at(&self) -> Option<Mono> {
        let wake = self.wakes.peek().map(|Reverse((at, _))| *at);
        let defer = self.defers.peek().map(|Reverse((at, ..))| *at);
        wake.into_iter().chain(defer).min()
    }

    /// Takes everything that waits, of all targets.
    pub(crate) fn drain(&mut self) -> Vec<Waiting> {
        self.slots.iter_mut().flat_map(|slot| std::mem::take(&mut slot.queue)).collect()
    }
}

#[cfg(test)]
mod tests;
