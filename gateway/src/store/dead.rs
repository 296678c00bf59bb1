//! What an operator has to decide about: events whose handler failed too often, calls that failed for good or whose outcome
//! nobody knows.

use super::{Reader, StoreError};
use rusqlite::params;

/// An event that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEvent {
    /// The target.
    pub target: String,
    /// Its place in the target's journal.
    pub seq: u64,
    /// Who sent it.
    pub source: String,
    /// The sender's id.
    pub event_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A call that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadCall {
    /// The target.
    pub target: String,
    /// Its place in the target's outbox.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// `dead` or `uncertain`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it is here.
    pub reason: String,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

impl Reader {
    /// Returns at most `most` events that were put aside, ordered by target and place.
    pub(crate) fn dead_events(&self, most: usize) -> Result<Vec<DeadEvent>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT target.name, seq, source, event_id, attempts, coalesce(reason, ''), at_ms
                 FROM target CROSS JOIN journal ON target_id = target.id
                 WHERE state = 'dead' ORDER BY target.id, seq LIMIT ?1",
            )?;
            let dead = |row: &rusqlite::Row<'_>| {
                Ok(DeadEvent {
                    target: row.get(0)?,
                    seq: row.get(1)?,
                    source: row.get(2)?,
                    event_id: row.get(3)?,
                    attempts: row.get(4)?,
                    reason: row.get(5)?,
                    at_ms: row.get(6)?,
                })
            };
            Ok(find.query_map(params![super::signed(most as u64)], dead)?.collect::<Result<_, _>>()?)
        })
    }

    /// Returns at most `most` calls that were put aside, ordered by target and place.
    pub(crate) fn dead_calls(&self, most: usize) -> Result<Vec<DeadCall>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT target.name, seq, outbox.id, state, attempts, coalesce(reason, ''), created_ms
                 FROM target CROSS JOIN outbox ON target_id = target.id
                 WHERE state IN ('uncertain', 'dead') ORDER BY target.id, seq LIMIT ?1",
            )?;
            let dead = |row: &rusqlite::Row<'_>| {
                Ok(DeadCall {
                    target: row.get(0)?,
                    seq: row.get(1)?,
                    id: row.get(2)?,
                    state: row.get(3)?,
                    attempts: row.get(4)?,
                    reason: row.get(5)?,
                    created_ms: row.get(6)?,
                })
            };
            Ok(find.query_map(params![super::signed(most as u64)], dead)?.collect::<Result<_, _>>()?)
        })
    }
}
