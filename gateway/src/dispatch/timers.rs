//! When each served target's earliest timer is due. Only the earliest: the rest stays in the database. Pure.

use super::mailbox::SlotNo;
use std::collections::{BTreeSet, HashMap};

/// The agenda.
#[derive(Debug, Default)]
pub(super) struct Timers {
    agenda: BTreeSet<(u64, SlotNo)>,
    due: HashMap<SlotNo, u64>,
}

impl Timers {
    /// Notes when a target's earliest timer is due, in milliseconds since the Unix epoch; `None` when it has none.
    pub(super) fn set(&mut self, no: SlotNo, due_ms: Option<u64>) {
        let before = match due_ms {
            Some(due_ms) => self.due.insert(no, due_ms),
            None => self.due.remove(&no),
        };
        if let Some(before) = before {
            self.agenda.remove(&(before, no));
        }
        if let Some(due_ms) = due_ms {
            self.agenda.insert((due_ms, no));
        }
    }

    /// Takes a target out whose timer is due.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Option<SlotNo> {
        let (_, no) = self.agenda.first().copied().filter(|(due_ms, _)| *due_ms <= now_ms)?;
        self.set(no, None);
        Some(no)
    }

    /// Returns when the next one is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.agenda.first().map(|(due_ms, _)| *due_ms)
    }
}
