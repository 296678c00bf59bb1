//! Reading beside the writer, on a connection of its own. Calls block; async callers hand them to a thread.

use super::{StoreError, open_reader};
use crate::engine::TargetRow;
use rusqlite::{Connection, OptionalExtension};
use shared::{Epoch, TargetId};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Reads the database.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Mutex<Connection>,
    file: PathBuf,
}

impl Reader {
    /// Opens the database in `folder`, which the writer has made.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self { conn: Mutex::new(open_reader(folder)?), file: folder.join(super::FILE) })
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

    /// Returns the highest epoch seen, over all targets.
    pub(crate) fn highest_epoch(&self) -> Result<Epoch, StoreError> {
        self.with(|conn| Ok(Epoch(conn.query_row("SELECT coalesce(max(epoch), 0) FROM target", [], |row| row.get(0))?)))
    }

    /// Returns the size of the database's file in bytes.
    pub(crate) fn size(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        read(&self.conn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
