//! Timers: when something is to happen to a target.

use super::{LocalId, Store, StoreError, signed};
use crate::handlers::Timer;
use rusqlite::{OptionalExtension, params};

impl Store {
    /// Sets a timer; one of the same id is replaced.
    pub(crate) fn timer_set(&self, target: LocalId, timer: &Timer) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO timer (target_id, id, due_ms, payload) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET due_ms = excluded.due_ms, payload = excluded.payload",
        )?;
        put.execute(params![target.0, timer.id, signed(timer.due_ms), timer.payload])?;
        Ok(())
    }

    /// Takes a timer back. Returns whether there was one.
    pub(crate) fn timer_cancel(&self, target: LocalId, id: &str) -> Result<bool, StoreError> {
        let mut delete = self.conn.prepare_cached("DELETE FROM timer WHERE target_id = ?1 AND id = ?2")?;
        Ok(delete.execute(params![target.0, id])? > 0)
    }

    /// Uses a timer up, when it still stands as it was due. Returns whether it did.
    pub(crate) fn timer_take(&self, target: LocalId, id: &str, due_ms: u64) -> Result<bool, StoreError> {
        let mut delete =
            self.conn.prepare_cached("DELETE FROM timer WHERE target_id = ?1 AND id = ?2 AND due_ms = ?3")?;
        Ok(delete.execute(params![target.0, id, signed(due_ms)])? > 0)
    }

    /// Returns whether a timer still stands as it was due.
    pub(crate) fn timer_stands(&self, target: LocalId, id: &str, due_ms: u64) -> Result<bool, StoreError> {
        let mut find =
            self.conn.prepare_cached("SELECT 1 FROM timer WHERE target_id = ?1 AND id = ?2 AND due_ms = ?3")?;
        Ok(find.exists(params![target.0, id, signed(due_ms)])?)
    }

    /// Returns the target's earliest timer.
    pub(crate) fn timer_next(&self, target: LocalId) -> Result<Option<Timer>, StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT id, due_ms, payload FROM timer WHERE target_id = ?1 ORDER BY due_ms, id LIMIT 1")?;
        let timer = |row: &rusqlite::Row<'_>| Ok(Timer { id: row.get(0)?, due_ms: row.get(1)?, payload: row.get(2)? });
        Ok(find.query_row([target.0], timer).optional()?)
    }
}
