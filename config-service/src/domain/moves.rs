//! Planned moves as the model has them: those that are not over, by number and by target; and what operators have said of
//! pods. Pure; what becomes of a move is `shared::protocol::handoff`'s to decide.

use serde::{Deserialize, Serialize};
use shared::wire::handoff::{Move, MoveState};
use shared::{MoveId, Revision, TargetId};
use std::collections::BTreeMap;

/// What operators have said of a pod. It outlives the pod's restarts and its incarnations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// It gets no new targets.
    #[serde(default)]
    pub cordoned: bool,
    /// Everything is moved away from it.
    #[serde(default)]
    pub draining: bool,
}

impl Marks {
    /// Returns whether the pod may be given targets.
    pub const fn open(self) -> bool {
        !self.cordoned && !self.draining
    }

    /// Returns the word for them.
    pub const fn word(self) -> &'static str {
        match (self.draining, self.cordoned) {
            (true, _) => "draining",
            (false, true) => "cordoned",
            (false, false) => "open",
        }
    }
}

/// Moves that are not over.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    by_id: BTreeMap<MoveId, Move>,
    /// The newest move of each target.
    by_target: BTreeMap<TargetId, MoveId>,
}

impl Running {
    /// Takes a move in as it stands; forgets it when it is over.
    pub(super) fn apply(&mut self, entry: Move) {
        if entry.state.is_over() {
            self.by_id.remove(&entry.id);
            if self.by_target.get(&entry.target) == Some(&entry.id) {
                self.by_target.remove(&entry.target);
            }
            return;
        }
        let newest = self.by_target.entry(entry.target.clone()).or_insert(entry.id);
        *newest = entry.id.max(*newest);
        self.by_id.insert(entry.id, entry);
    }

    pub(super) fn get(&self, id: MoveId) -> Option<&Move> {
        self.by_id.get(&id)
    }

    pub(super) fn of(&self, target: &TargetId) -> Option<&Move> {
        self.by_target.get(target).and_then(|id| self.by_id.get(id))
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Move> + DoubleEndedIterator {
        self.by_id.values()
    }
}

/// Returns a move as it is written at `revision`, at `now_ms` of the database's clock.
pub(super) fn stamped(entry: &Move, expected: Option<MoveState>, revision: Revision, now_ms: u64) -> Move {
    let mut entry = Move { revision, ..entry.clone() };
    if expected.is_none() {
        (entry.id, entry.started_ms) = (MoveId(revision.0), now_ms);
    }
    if entry.state == MoveState::Frozen {
        entry.frozen_ms.get_or_insert(now_ms);
    }
    if matches!(entry.state, MoveState::Committed | MoveState::Aborted) {
        entry.ended_ms.get_or_insert(now_ms);
    }
    entry
}
