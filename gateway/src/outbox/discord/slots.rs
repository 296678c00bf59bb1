//! One bot's slots in this pod (docs/adr/0032). A request takes one when it leaves, and it is free again a second after its answer:
//! whenever the requests arrive, no second sees more of them than there are slots. Also who is next, and how many the pod could use.
//! Pure: the time comes in.

use shared::{Mono, wire::rest::RestSlice};
use std::{collections::VecDeque, time::Duration};

/// How long a slot rests after its request was answered: Discord counts by the second.
const SECOND: Duration = Duration::from_secs(1);

/// Nobody is told to come back later than this: by then there may be more slots.
const HORIZON: Duration = Duration::from_secs(1);

/// The wait for a slot whose request is out.
const LOOK: Duration = Duration::from_millis(10);

/// The most that clocks differ in how fast they go: one in so many.
const DRIFT: u32 = 100;

/// When to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Then.
    pub(crate) at: Mono,
    /// Whether a place in the line is kept.
    pub(crate) kept: bool,
}

/// What was given.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    version: u64,
    slots: u32,
    floor: u32,
    /// Until when more than the floor is given.
    until: Mono,
}

/// What the pod says of them when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) version: u64,
    pub(super) slots: u32,
    pub(super) floor: u32,
    pub(super) wants: u32,
}

/// The slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    slice: Slice,
    /// How many requests are out.
    out: u32,
    /// When the slots of those that were answered are free, in order.
    resting: VecDeque<Mono>,
    /// The last place in the line that is kept for somebody.
    line: Mono,
    /// How many were in use at most since the pod asked last, and how many came for nothing.
    peak: u32,
    missed: u32,
    /// How many it could use.
    wants: u32,
}

impl Slots {
    /// How many may be in use.
    pub(super) fn may_use(&self, now: Mono) -> u32 {
        if now < self.slice.until { self.slice.slots } else { self.slice.floor }
    }

    /// How many are in use.
    pub(super) fn used(&self, now: Mono) -> u32 {
        let resting = self.resting.iter().filter(|free| **free > now).count();
        self.out.saturating_add(u32::try_from(resting).unwrap_or(u32::MAX))
    }

    /// Says when to come back, unless a request may leave now. `kept`: whether whoever comes was given a place in the line.
    pub(super) fn closed(&mut self, kept: bool, now: Mono) -> Option<Turn> {
        while self.resting.front().is_some_and(|free| *free <= now) {
            self.resting.pop_front();
        }
        let (may_use, used) = (self.may_use(now), self.used(now));
        if used < may_use && (kept || self.line <= now) {
            return None;
        }
        let free = self.resting.front().copied().unwrap_or_else(|| now.after(LOOK));
        if kept {
            return Some(Turn { at: free.max(now.after(LOOK / 2)), kept: may_use > 0 });
        }
        self.missed = self.missed.saturating_add(1);
        let most = now.after(HORIZON);
        let at = if may_use == 0 { most } else { free.max(self.line.after(SECOND / may_use)) };
        if at >= most {
            return Some(Turn { at: most, kept: false });
        }
        self.line = at;
        Some(Turn { at, kept: true })
    }

    /// A request leaves.
    pub(super) fn take(&mut self, now: Mono) {
        self.out += 1;
        self.peak = self.peak.max(self.used(now));
    }

    /// A request has ended; `sent`: it may have arrived.
    pub(super) fn ended(&mut self, sent: bool, now: Mono) {
        self.out = self.out.saturating_sub(1);
        if sent {
            self.resting.push_back(now.after(SECOND));
        }
    }

    /// Says what it keeps, and keeps to that: what it has not used for a while it gives back.
    pub(super) fn claim(&mut self, now: Mono) -> Claim {
        let wanted = self.peak.saturating_add(self.missed);
        self.wants = wanted.max(self.wants - self.wants.div_ceil(8));
        let (used, slots) = (self.used(now), self.may_use(now));
        (self.peak, self.missed) = (used, 0);
        self.slice.slots = self.wants.max(self.slice.floor).max(used).min(slots);
        let Slice { version, slots, floor, .. } = self.slice;
        // What is out is out, also when it is more than was given since.
        Claim { version, slots: slots.max(used), floor, wants: self.wants }
    }

    /// Whether asking would change something soon.
    pub(super) fn is_asking(&self, now: Mono) -> bool {
        self.missed > 0 || self.peak > 0 || self.wants > self.may_use(now) || self.used(now) > 0
    }

    /// Hears what it has, to a question asked at `asked`. `settle`: how long before the end of the term the last request leaves.
    pub(super) fn hear(&mut self, slice: &RestSlice, asked: Mono, settle: Duration) {
        let term = Duration::from_millis(slice.term_ms);
        let until = asked.after((term - term / DRIFT).saturating_sub(settle));
        self.slice = Slice { version: slice.version, slots: slice.slots, floor: slice.floor, until };
    }
}

#[cfg(test)]
mod tests;
