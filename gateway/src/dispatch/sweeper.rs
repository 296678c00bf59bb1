//! Goes round all targets and takes away what is old, one small step at a time, when there is nothing better to do.

use crate::store::{LocalId, Retention, Store, StoreError};
use shared::Mono;
use std::{collections::HashMap, time::Duration};

/// How often a round begins.
const EVERY: Duration = Duration::from_secs(600);
/// When the first one begins.
const FIRST: Duration = Duration::from_secs(60);
/// The time between two steps: they must not be felt.
const BETWEEN: Duration = Duration::from_millis(20);

/// How far it has come.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// When it was made: by the boot clock, and by the wall clock in milliseconds since the Unix epoch.
    begun: (Mono, u64),
    at: Option<LocalId>,
    next: Mono,
    round_begins: Mono,
    /// Up to which journal row each target's payloads have been looked at. Lost with the process: then it looks again.
    payloads: HashMap<LocalId, u64>,
}

impl Sweeper {
    /// Makes one that begins its first round soon.
    pub(super) fn new(now: Mono, wall_ms: u64) -> Self {
        let first = now.after(FIRST);
        Self { begun: (now, wall_ms), at: None, next: first, round_begins: first, payloads: HashMap::new() }
    }

    /// Returns when the next step is due.
    pub(super) fn next_at(&self) -> Mono {
        self.next
    }

    /// Returns whether a step is due.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        now >= self.next
    }

    /// Takes one step, in a transaction of its own. A wall clock that leaps ahead makes nothing older: an inbox that forgot
    /// what its senders still repeat would apply it again.
    pub(super) fn step(&mut self, store: &Store, now: Mono, wall_ms: u64, keep: &Retention) -> Result<(), StoreError> {
        let passed = u64::try_from(now.since(self.begun.0).as_millis()).unwrap_or(u64::MAX);
        let wall_ms = wall_ms.min(self.begun.1.saturating_add(passed));
        self.next = now.after(BETWEEN);
        let Some(target) = store.target_after(self.at)? else {
            store.begin()?;
            let went = store.sweep_pods_own(wall_ms, keep.chunk)?;
            if went > 0 {
                store.commit()?;
            } else {
                store.rollback();
            }
            if went >= keep.chunk {
                return Ok(());
            }
            (self.at, self.round_begins) = (None, self.round_begins.after(EVERY).max(now));
            self.next = self.next.max(self.round_begins);
            return Ok(());
        };
        let from = self.payloads.get(&target).copied().unwrap_or(0);
        store.begin()?;
        let swept = store.sweep(target, from, wall_ms, keep)?;
        if swept.rows > 0 {
            store.commit()?;
        } else {
            store.rollback();
        }
        if swept.payloads > 0 {
            self.payloads.insert(target, swept.payloads);
        }
        if !swept.more {
            self.at = Some(target);
        }
        Ok(())
    }
}
