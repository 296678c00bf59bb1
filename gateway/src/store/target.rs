//! The targets this database holds, and what is counted for each.

use super::{Store, StoreError, signed};
use rusqlite::{OptionalExtension, params};
use shared::{Epoch, Incarnation, Revision, TargetId, wire::quarantine::Why};

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

/// What the database says the pod owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The targets, by name, with their epochs.
    pub(crate) owned: Vec<(TargetId, Epoch)>,
    /// As of this revision of the log.
    pub(crate) revision: Revision,
    /// Of this cluster generation.
    pub(crate) generation: u32,
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
    /// Remembers that the pod owns `target` under `epoch`. The epoch in the row never gets lower. None when the rows here
    /// were given away or put aside: they count again only when they are given back, that is, when `kept` is their epoch. When
    /// it is 0 the target begins anew beside them: somebody has accepted the loss of what came after them.
    pub(crate) fn open_target(
        &self,
        target: &TargetId,
        epoch: Epoch,
        kept: Option<Epoch>,
    ) -> Result<Option<Opened>, StoreError> {
        if kept == Some(Epoch(0)) {
            self.leave_behind(target, epoch)?;
        }
        // Given back with rows that are not here: it must not begin empty.
        if kept.is_some_and(|epoch| epoch > Epoch(0)) && !self.knows(target)? {
            return Ok(None);
        }
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO target (name, epoch) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET
               epoch = max(epoch, excluded.epoch),
               state = CASE WHEN state = 'frozen' THEN state ELSE 'owned' END
             WHERE state IN ('owned', 'frozen') OR (state IN ('released', 'quarantined') AND epoch = ?3)
             RETURNING id, journal_seq, outbox_seq, erasing IS NOT NULL",
        )?;
        let kept = kept.map(|epoch| signed(epoch.0));
        let opened = insert.query_row(params![target.as_str(), signed(epoch.0), kept], |row| {
            Ok(Opened {
                local: LocalId(row.get(0)?),
                journal_seq: row.get(1)?,
                outbox_seq: row.get(2)?,
                erasing: row.get(3)?,
            })
        });
        let opened: Option<Opened> = opened.optional()?;
        if let Some(opened) = &opened {
            self.no_longer_aside(opened.local)?;
        }
        Ok(opened)
    }

    fn knows(&self, target: &TargetId) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM target WHERE name = ?1)")?;
        Ok(find.query_row([target.as_str()], |row| row.get(0))?)
    }

    /// Puts a target's rows aside: it was taken away without this pod's release. They are kept and never served. What a
    /// move has released stays released.
    pub(crate) fn put_aside(&self, target: &TargetId) -> Result<(), StoreError> {
        self.note_aside(Why::Taken, "state IN ('owned', 'frozen')", Some(target))?;
        let mut update = self.conn.prepare_cached(
            "UPDATE target SET state = 'quarantined' WHERE name = ?1 AND state IN ('owned', 'frozen')",
        )?;
        update.execute([target.as_str()])?;
        Ok(())
    }

    /// Takes its name from rows of a target that were given away or put aside: they stay, as nobody's. Not from those that were
    /// served under this very `epoch`: the target has begun with them already, in a life of the folder that is over, and they
    /// wait to be given back.
    fn leave_behind(&self, target: &TargetId, epoch: Epoch) -> Result<(), StoreError> {
        let mut find =
            self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM target WHERE name = ?1 AND epoch >= ?2)")?;
        if find.query_row(params![target.as_str(), signed(epoch.0)], |row| row.get(0))? {
            return Ok(());
        }
        self.note_aside(Why::Released, "state IN ('released', 'quarantined')", Some(target))?;
        let mut rename = self.conn.prepare_cached(
            "UPDATE target SET name = '~' || id || '~' || name WHERE name = ?1 AND state IN ('released', 'quarantined')",
        )?;
        rename.execute([target.as_str()])?;
        Ok(())
    }

    /// Remembers up to where the pod knows its assignments, in the log of which cluster generation.
    pub(crate) fn known_up_to(&self, revision: Revision, generation: u32) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached("UPDATE meta SET revision = ?1, generation = ?2")?;
        update.execute(params![signed(revision.0), generation])?;
        Ok(())
    }

    /// Returns the targets the pod owned when it was last told, with their epochs, and as of which revision.
    pub(crate) fn remembered(&self) -> Result<Remembered, StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT name, epoch FROM target WHERE state IN ('owned', 'frozen') ORDER BY name")?;
        let rows = find.query_map([], |row| Ok((row.get::<_, String>(0)?, Epoch(row.get(1)?))))?;
        let mut owned = Vec::new();
        for row in rows {
            let (name, epoch) = row?;
            owned.push((name.parse().map_err(|_| StoreError::Broken("target's name"))?, epoch));
        }
        let mut find = self.conn.prepare_cached("SELECT revision, generation FROM meta")?;
        let (revision, generation) = find.query_row([], |row| Ok((Revision(row.get(0)?), row.get(1)?)))?;
        Ok(Remembered { owned, revision, generation })
    }

    /// Returns how many targets' rows are put aside.
    pub(crate) fn aside(&self) -> Result<u64, StoreError> {
        let mut count = self.conn.prepare_cached("SELECT count(*) FROM target WHERE state = 'quarantined'")?;
        Ok(count.query_row([], |row| row.get(0))?)
    }

    /// Ends this life of the database and begins another, in one transaction: what it owned is put aside.
    pub(crate) fn begin_anew(&self, now_ms: u64) -> Result<Incarnation, StoreError> {
        self.begin()?;
        let fresh = super::life::another(&self.conn, now_ms)?;
        self.commit()?;
        Ok(fresh)
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
        let mut next =
            self.conn.prepare_cached("SELECT id FROM target WHERE id > ?1 AND state = 'owned' ORDER BY id LIMIT 1")?;
        Ok(next.query_row([after.map_or(0, |local| local.0)], |row| Ok(LocalId(row.get(0)?))).optional()?)
    }
}
