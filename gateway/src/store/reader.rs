//! Reading beside the writer, on a connection of its own. Calls block; async callers hand them to a thread.

use super::{Store, StoreError, kv, open_reader, own::Sandboxes, session};
use crate::{
    engine::TargetRow,
    handlers::sql::{Params, Rows},
    schema::Map,
    store::StatementError,
};
use rusqlite::{Connection, OptionalExtension};
use shared::{Epoch, Incarnation, TargetId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A target whose rows are in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptRow {
    /// The target.
    pub(crate) target: TargetId,
    /// The highest epoch it was owned under here.
    pub(crate) epoch: Epoch,
    /// Whether the rows are what an owner had, and were not released by a move.
    pub(crate) whole: bool,
}

/// Reads the database.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Mutex<Connection>,
    file: PathBuf,
    sandboxes: Sandboxes,
}

impl Reader {
    /// Opens the database in `folder`, which `writer` has made.
    pub(crate) fn open(folder: &Path, writer: &Store) -> Result<Self, StoreError> {
        let (clock, map) = (Arc::clone(&writer.limit.clock), Arc::clone(writer.map()));
        let sandboxes = Sandboxes::new(folder.to_owned(), clock, map, writer.limits);
        Ok(Self { conn: Mutex::new(open_reader(folder)?), file: folder.join(super::FILE), sandboxes })
    }

    /// Returns whose the rows of the bot's own tables are.
    pub(crate) fn map(&self) -> &Arc<Map> {
        self.sandboxes.map()
    }

    /// Runs a bot's query for a target: it sees the target's rows of the bot's own tables, as last committed. It may read
    /// nothing else and change nothing.
    pub(crate) fn query(&self, target: &TargetId, statement: &str, params: &Params) -> Result<Rows, StatementError> {
        self.sandboxes.query(target, statement, params)
    }

    /// Returns the value of a target's session, as JSON, as last committed. Its time goes on as if nobody had looked: who
    /// uses it says so to the writer.
    pub(crate) fn session_get(&self, target: &TargetId, id: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
        self.with(|conn| {
            let local = kv::local(conn, target)?;
            local.map_or(Ok(None), |local| session::get(conn, local, id, now_ms))
        })
    }

    /// Returns what is held of a target.
    pub(crate) fn target(&self, target: &TargetId) -> Result<Option<TargetRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT epoch, applied, duplicates, last_event_id, journal_seq FROM target WHERE name = ?1",
            )?;
            let row = find.query_row([target.as_str()], |row| {
                Ok(TargetRow {
                    target: target.clone(),
                    epoch: Epoch(row.get(0)?),
                    applied: row.get(1)?,
                    duplicates: row.get(2)?,
                    last_event_id: row.get(3)?,
                    journal_seq: row.get(4)?,
                })
            });
            Ok(row.optional()?)
        })
    }

    /// Returns the number of the last group that was committed.
    pub(crate) fn commit_seq(&self) -> Result<u64, StoreError> {
        self.with(|conn| Ok(conn.query_row("SELECT commit_seq FROM meta", [], |row| row.get(0))?))
    }

    /// Returns the highest epoch seen, over all targets.
    pub(crate) fn highest_epoch(&self) -> Result<Epoch, StoreError> {
        self.with(|conn| Ok(Epoch(conn.query_row("SELECT coalesce(max(epoch), 0) FROM target", [], |row| row.get(0))?)))
    }

    /// Returns the lives of this database that were failed over, the last one first, at most `most`.
    pub(crate) fn past_incarnations(&self, most: usize) -> Result<Vec<Incarnation>, StoreError> {
        self.with(|conn| {
            // In the order in which they were written down: a wall clock may have been set back meanwhile.
            let find = "SELECT incarnation FROM berth_past_incarnation ORDER BY rowid DESC LIMIT ?1";
            let mut find = conn.prepare_cached(find)?;
            let rows = find.query_map([super::signed(most as u64)], |row| row.get::<_, String>(0))?;
            rows.map(|text| text?.parse().map_err(|_| StoreError::Broken("incarnation"))).collect()
        })
    }

    /// Returns what is here of one target, of which nobody else writes.
    pub(crate) fn kept_of(&self, target: &TargetId) -> Result<Option<KeptRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT epoch, state <> 'released' FROM target WHERE name = ?1 AND state <> 'incoming'",
            )?;
            let row = find.query_row([target.as_str()], |row| {
                Ok(KeptRow { target: target.clone(), epoch: Epoch(row.get(0)?), whole: row.get(1)? })
            });
            Ok(row.optional()?)
        })
    }

    /// Returns some of the targets whose rows are here, by name, after `after`, at most `most`: with what was restored for
    /// them and waits to be theirs. Only those in `state` when that is given.
    pub(crate) fn kept(
        &self,
        state: Option<&str>,
        after: Option<&TargetId>,
        most: usize,
    ) -> Result<Vec<KeptRow>, StoreError> {
        let mut kept = self.kept_in(state, after, most)?;
        if state.is_none() {
            let restored = self.restored_after(after)?;
            if !restored.is_empty() {
                // Of two copies the one of the higher epoch is the newer one.
                let newest = kept.into_iter().chain(restored).map(|row| ((row.target.clone(), row.epoch), row));
                let newest: BTreeMap<_, _> = newest.collect();
                let newest: BTreeMap<_, _> = newest.into_values().map(|row| (row.target.clone(), row)).collect();
                kept = newest.into_values().take(most).collect();
            }
        }
        Ok(kept)
    }

    fn kept_in(&self, state: Option<&str>, after: Option<&TargetId>, most: usize) -> Result<Vec<KeptRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT name, epoch, state FROM target
                 WHERE (?1 IS NULL OR state = ?1) AND state <> 'incoming' AND name NOT LIKE '~%' AND name > ?2 ORDER BY name LIMIT ?3",
            )?;
            let after = after.map_or("", TargetId::as_str);
            let rows = find.query_map(rusqlite::params![state, after, super::signed(most as u64)], |row| {
                Ok((row.get::<_, String>(0)?, Epoch(row.get(1)?), row.get::<_, String>(2)? != "released"))
            })?;
            let kept = rows.map(|row| {
                let (name, epoch, whole) = row?;
                let target = name.parse().map_err(|_| StoreError::Broken("target's name"))?;
                Ok(KeptRow { target, epoch, whole })
            });
            kept.collect()
        })
    }

    /// Returns how many bytes targets of this pod store, by name: keys with their values, and events. At most `most` of those
    /// after `after`. The lengths stand in the rows' heads: what is longer than a page is not read for it.
    pub(crate) fn stored(&self, after: Option<&TargetId>, most: usize) -> Result<Vec<(TargetId, u64)>, StoreError> {
        self.with(|conn| {
            let mut sum = conn.prepare_cached(
                "SELECT name,
                    (SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM kv WHERE target_id = target.id)
                    + (SELECT coalesce(sum(coalesce(octet_length(headers), 0) + coalesce(octet_length(body), 0)), 0)
                       FROM journal WHERE target_id = target.id)
                 FROM target WHERE state = 'owned' AND name > ?1 ORDER BY name LIMIT ?2",
            )?;
            let after = after.map_or("", TargetId::as_str);
            let rows = sum.query_map(rusqlite::params![after, super::signed(most as u64)], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
            })?;
            let stored = rows.map(|row| {
                let (name, bytes) = row?;
                let target = name.parse().map_err(|_| StoreError::Broken("target's name"))?;
                Ok((target, bytes.unsigned_abs()))
            });
            stored.collect()
        })
    }

    /// Returns the size of the database's file in bytes.
    pub(crate) fn size(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Returns the sizes of the database's file and of its WAL, in bytes.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        let mut wal = self.file.clone().into_os_string();
        wal.push("-wal");
        (self.size(), std::fs::metadata(wal).map_or(0, |wal| wal.len()))
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        read(&self.conn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
