//! The targets this database holds, and what is counted for each.

use super::{Store, StoreError, signed};
use rusqlite::{OptionalExtension, params};
use shared::{Epoch, TargetId};

/// A target's number in this database; it means nothing elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LocalId(pub(super) i64);

#[cfg(test)]
impl LocalId {
    /// Makes a number up.
    pub(crate) const fn of_test(number: i64) -> Self {
        Self(number)
    }
}

/// A target as it was found, or made, when the pod began to serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Its number here.
    pub(crate) local: LocalId,
    /// The last journal row.
    pub(crate) journal_seq: u64,
    /// The last outbox row.
    pub(crate) outbox_seq: u64,
    /// Whether it is being erased, and must not be served before that is done.
    pub(crate) erasing: bool,
}

/// What a group commit adds to a target's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    /// Journal rows.
    pub(crate) journal: u64,
    /// Outbox rows.
    pub(crate) outbox: u64,
    /// Events applied.
    pub(crate) applied: u64,
    /// Duplicates that changed nothing.
    pub(crate) duplicates: u64,
    /// The last applied event's id, when one was applied.
    pub(crate) last_event_id: Option<String>,
}

impl Store {
    /// Remembers that the pod owns `target` under `epoch`. The epoch in the row never gets lower.
    pub(crate) fn open_target(&self, target: &TargetId, epoch: Epoch) -> Result<Opened, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO target (name, epoch) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET epoch = max(epoch, excluded.epoch)
             RETURNING id, journal_seq, outbox_seq, erasing IS NOT NULL",
        )?;
        Ok(insert.query_row(params![target.as_str(), signed(epoch.0)], |row| {
            Ok(Opened {
                local: LocalId(row.get(0)?),
                journal_seq: row.get(1)?,
                outbox_seq: row.get(2)?,
                erasing: row.get(3)?,
            })
        })?)
    }

    /// Adds what a group did for a target.
    pub(crate) fn count(&self, target: LocalId, delta: &Delta) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE target SET applied = applied + ?2, duplicates = duplicates + ?3, journal_seq = journal_seq + ?4,
             outbox_seq = outbox_seq + ?5, last_event_id = coalesce(?6, last_event_id) WHERE id = ?1",
        )?;
        update.execute(params![
            target.0,
            signed(delta.applied),
            signed(delta.duplicates),
            signed(delta.journal),
            signed(delta.outbox),
            delta.last_event_id,
        ])?;
        Ok(())
    }

    /// Returns the target that follows `after` in the order of local numbers, for going round all of them.
    pub(crate) fn target_after(&self, after: Option<LocalId>) -> Result<Option<LocalId>, StoreError> {
        let mut next = self.conn.prepare_cached("SELECT id FROM target WHERE id > ?1 ORDER BY id LIMIT 1")?;
        Ok(next.query_row([after.map_or(0, |local| local.0)], |row| Ok(LocalId(row.get(0)?))).optional()?)
    }
}
