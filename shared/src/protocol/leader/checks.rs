//! Heartbeats on their way to a grant (OWNERSHIP.md, Leases 2): each waits for a check of the term that began after it had
//! arrived. Decides when a check is due and which heartbeats it is good for; not what is granted.

use crate::wire::control::Heartbeat;
use crate::{Incarnation, LeaseId, Mono, PodId};
use std::time::Duration;

/// A heartbeat that waits: what a grant depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    pub(super) pod: PodId,
    pub(super) incarnation: Incarnation,
    pub(super) lease_id: LeaseId,
    pub(super) nonce: u64,
    pub(super) witnesses: u64,
    pub(super) leaving: bool,
    arrived: Mono,
}

impl Waiting {
    pub(super) fn new(pod: PodId, heartbeat: Heartbeat, arrived: Mono) -> Self {
        let Heartbeat { incarnation, lease_id, nonce, witnesses, leaving, .. } = heartbeat;
        Self { pod, incarnation, lease_id, nonce, witnesses, leaving, arrived }
    }
}

/// The checks of one term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Checks {
    /// For the next check.
    waiting: Vec<Waiting>,
    /// For the one under way.
    riding: Vec<Waiting>,
    /// When the one under way was asked for.
    under_way: Option<Mono>,
    /// No check begins before this.
    next: Mono,
}

impl Checks {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Returns when a check is due.
    pub(super) fn due_at(&self) -> Option<Mono> {
        (self.under_way.is_none() && !self.waiting.is_empty()).then_some(self.next)
    }

    /// Begins a check when one is due: what has arrived until now rides on it.
    pub(super) fn begin(&mut self, now: Mono, apart: Duration) -> bool {
        let due = self.due_at().is_some_and(|at| at <= now);
        if due {
            (self.under_way, self.next) = (Some(now), now.after(apart));
            self.riding.append(&mut self.waiting);
        }
        due
    }

    /// A check that began at `began` has succeeded: returns what it is good for. One that the shell made for its own ends
    /// counts as well, for whatever had arrived before.
    pub(super) fn succeeded(&mut self, began: Mono) -> Vec<Waiting> {
        let mut good = Vec::new();
        if self.under_way.is_some_and(|asked| asked <= began) {
            self.under_way = None;
            good.append(&mut self.riding);
        }
        for queue in [&mut self.riding, &mut self.waiting] {
            let (before, after) = std::mem::take(queue).into_iter().partition(|waiting| waiting.arrived < began);
            *queue = after;
            good.extend::<Vec<_>>(before);
        }
        good
    }

    /// A check has failed: returns what rode on it.
    pub(super) fn failed(&mut self, began: Mono) -> Vec<Waiting> {
        if self.under_way.is_some_and(|asked| asked <= began) {
            self.under_way = None;
            return std::mem::take(&mut self.riding);
        }
        Vec::new()
    }

    /// Returns all that waits.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        let mut all = std::mem::take(&mut self.riding);
        all.append(&mut self.waiting);
        all
    }
}
