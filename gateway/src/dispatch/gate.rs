//! The output gate: what is committed and waits for the replica before anybody outside hears of it. Pure; knows no socket and
//! no lease. It keeps the order of the commits; what waits is bounded by the places of the events that it holds.
//!
//! ```text
//! COMMIT n ─┬─ local ───────────────────────────────▸ answered, called
//!           └─ replicated ─▸ held under n ─ n is replicated ─▸ answered, called: if the pod may still act for the target
//!                                 └─ its sender has given up, the target goes: answered "too late", its calls stay in their rows
//! ```

use super::{
    admission::Permit,
    decisions::Undecided,
    mailbox::{SlotNo, Waiter, answer},
};
use crate::{
    ownership::{Act, Guard},
    replication::Acknowledge,
    store::{Claimed, OpenCall},
};
use shared::{
    Mono,
    event::Answer,
    wire::{data::Decided, link::Outcome},
};
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

/// An answer that may not leave yet.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) guard: Guard,
    pub(super) waiters: Vec<Waiter>,
    pub(super) answer: Answer,
    pub(super) duplicate: bool,
    /// The event's place on the pod.
    pub(super) _permit: Option<Permit>,
}

impl Said {
    /// Tells everybody who waits what became of the event.
    pub(super) fn tell(mut self, outcome: &Outcome) {
        answer(&mut self.waiters, outcome);
    }

    /// Returns the outcome of an event that may be said to be committed.
    pub(super) fn committed(&self) -> Outcome {
        Outcome::Committed { answer: self.answer.clone(), duplicate: self.duplicate }
    }
}

/// What waits.
#[derive(Debug)]
pub(super) enum What {
    /// An answer.
    Said(Said),
    /// Calls to hand to the outbox, in order, and when it counts that one is being made.
    Calls(Acknowledge, Vec<OpenCall>),
    /// A call that is about to be made and must not be made twice.
    Claimed(Box<Claimed>, oneshot::Sender<Option<Claimed>>),
    /// What an operator decided.
    Decided(Box<Decided>, oneshot::Sender<Result<Decided, Undecided>>),
    /// Lines of the ownership log.
    Logged(Guard, Act),
    /// That a move's rows are served here.
    Arrived(oneshot::Sender<Mono>, Mono),
}

/// Something of one target that waits.
#[derive(Debug)]
pub(super) struct Held {
    seq: u64,
    pub(super) since: Mono,
    pub(super) no: SlotNo,
    pub(super) what: What,
}

/// The gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held: VecDeque<Held>,
    of_target: HashMap<SlotNo, Waits>,
    /// All that is not calls.
    answers: usize,
}

#[derive(Debug, Default)]
struct Waits {
    all: usize,
    calls: usize,
}

impl Gate {
    /// Holds something of a target until everything up to its commit is replicated.
    pub(super) fn hold(&mut self, seq: u64, since: Mono, no: SlotNo, what: What) {
        let waits = self.of_target.entry(no).or_default();
        waits.all += 1;
        let calls = usize::from(matches!(what, What::Calls(..)));
        waits.calls += calls;
        self.answers += 1 - calls;
        // Commits are numbered in their order; a number of an earlier one would only be released earlier than its place.
        let seq = self.held.back().map_or(seq, |last| last.seq.max(seq));
        self.held.push_back(Held { seq, since, no, what });
    }

    /// Returns what may go: everything up to this commit is replicated.
    pub(super) fn replicated(&mut self, seq: u64) -> Option<Held> {
        self.held.front().filter(|first| first.seq <= seq)?;
        let first = self.held.pop_front()?;
        self.gone(first.no, matches!(first.what, What::Calls(..)));
        Some(first)
    }

    /// Returns the last commit that something waits for.
    pub(super) fn last(&self) -> Option<u64> {
        self.held.back().map(|last| last.seq)
    }

    /// Returns whether an answer of the target waits.
    pub(super) fn waits(&self, no: SlotNo) -> bool {
        self.of_target.get(&no).is_some_and(|waits| waits.all > waits.calls)
    }

    /// Returns whether calls of the target wait: those that come later must not pass them.
    pub(super) fn holds_calls(&self, no: SlotNo) -> bool {
        self.of_target.get(&no).is_some_and(|waits| waits.calls > 0)
    }

    /// Forgets a target's calls: their rows stay, and are read again when it is served again.
    pub(super) fn forget_calls(&mut self, no: SlotNo) {
        if self.holds_calls(no) {
            self.take(|held| held.no == no && matches!(held.what, What::Calls(..)));
        }
    }

    /// Takes everything of a target out.
    pub(super) fn give_back(&mut self, no: SlotNo) -> Vec<Held> {
        if self.of_target.contains_key(&no) { self.take(|held| held.no == no) } else { Vec::new() }
    }

    /// Takes answers out whose senders have given up.
    pub(super) fn expired(&mut self, now: Mono) -> Vec<Held> {
        if self.held.is_empty() {
            return Vec::new();
        }
        self.take(|held| match &held.what {
            What::Said(said) => said.waiters.iter().all(|waiter| waiter.answer_by <= now || waiter.reply.is_closed()),
            _ => false,
        })
    }

    /// Returns how many answers and the like wait, and since when the oldest does.
    pub(super) fn waiting(&self) -> (usize, Option<Mono>) {
        if self.answers == 0 {
            return (0, None);
        }
        (self.answers, self.held.iter().find(|held| !matches!(held.what, What::Calls(..))).map(|held| held.since))
    }

    fn take(&mut self, mut wanted: impl FnMut(&Held) -> bool) -> Vec<Held> {
        let all = std::mem::take(&mut self.held);
        let (taken, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|held| wanted(held));
        self.held = kept.into();
        for held in &taken {
            self.gone(held.no, matches!(held.what, What::Calls(..)));
        }
        taken
    }

    fn gone(&mut self, no: SlotNo, calls: bool) {
        self.answers -= usize::from(!calls);
        if let Some(waits) = self.of_target.get_mut(&no) {
            waits.all -= 1;
            waits.calls -= usize::from(calls);
            if waits.all == 0 {
                self.of_target.remove(&no);
            }
        }
    }
}

#[cfg(test)]
mod tests;
