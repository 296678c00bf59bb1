//! The moves that were over last, so that a pod that reports on one again need not wait for the database.

use shared::MoveId;
use shared::wire::handoff::Move;
use std::collections::BTreeMap;

/// How many are remembered.
const REMEMBERED: usize = 4_096;

/// Moves that are over, by number.
#[derive(Debug, Default)]
pub(super) struct Recent(BTreeMap<MoveId, Move>);

impl Recent {
    /// Adds one; the oldest is forgotten when there are too many.
    pub(super) fn push(&mut self, entry: Move) {
        self.0.insert(entry.id, entry);
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
    }

    /// Returns one.
    pub(super) fn get(&self, id: MoveId) -> Option<&Move> {
        self.0.get(&id)
    }
}
