//! Sessions: JSON values that are gone when their time is over, by the wall clock. Each use lets the time begin anew. Its
//! callers decide what counts as a use.

use super::{LocalId, Store, StoreError, signed};
use rusqlite::{Connection, OptionalExtension, params};

/// The longest life of a session: a century. Beyond it times could not be added up.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// Returns a session's value, if it lives, by whichever connection.
pub(super) fn get(conn: &Connection, target: LocalId, id: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
    let mut find =
        conn.prepare_cached("SELECT value FROM session WHERE target_id = ?1 AND id = ?2 AND expires_ms > ?3")?;
    Ok(find.query_row(params![target.0, id, signed(now_ms)], |row| row.get(0)).optional()?)
}

impl Store {
    /// Returns a session's value, if it lives.
    pub(crate) fn session_get(&self, target: LocalId, id: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
        get(&self.conn, target, id, now_ms)
    }

    /// Sets a session's value. Without `ttl_ms` a session that lives keeps its own, a new one gets `default_ms`.
    pub(crate) fn session_set(
        &self,
        target: LocalId,
        id: &str,
        value: &str,
        ttl_ms: Option<u64>,
        default_ms: u64,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT ttl_ms FROM session WHERE target_id = ?1 AND id = ?2 AND expires_ms > ?3")?;
        let kept: Option<u64> = find.query_row(params![target.0, id, signed(now_ms)], |row| row.get(0)).optional()?;
        let ttl_ms = ttl_ms.or(kept).unwrap_or(default_ms).min(LONGEST_MS);
        let mut put = self.conn.prepare_cached(
            "INSERT INTO session (target_id, id, value, ttl_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET value = excluded.value, ttl_ms = excluded.ttl_ms,
               expires_ms = excluded.expires_ms",
        )?;
        let expires_ms = signed(now_ms.saturating_add(ttl_ms));
        put.execute(params![target.0, id, value, signed(ttl_ms), expires_ms])?;
        Ok(())
    }

    /// Lets a living session's time begin anew. Returns whether there is one.
    pub(crate) fn session_touch(&self, target: LocalId, id: &str, now_ms: u64) -> Result<bool, StoreError> {
        let mut touch = self.conn.prepare_cached(
            "UPDATE session SET expires_ms = ?3 + ttl_ms
             WHERE target_id = ?1 AND id = ?2 AND expires_ms > ?3",
        )?;
        Ok(touch.execute(params![target.0, id, signed(now_ms)])? > 0)
    }

    /// Ends a session. Returns whether it lived.
    pub(crate) fn session_delete(&self, target: LocalId, id: &str, now_ms: u64) -> Result<bool, StoreError> {
        let mut delete = self
            .conn
            .prepare_cached("DELETE FROM session WHERE target_id = ?1 AND id = ?2 RETURNING expires_ms > ?3")?;
        Ok(delete.query_row(params![target.0, id, signed(now_ms)], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Takes sessions away whose time is over, at most `most`. Returns how many.
    pub(super) fn sweep_sessions(&self, target: LocalId, now_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut delete = self.conn.prepare_cached(
            "DELETE FROM session WHERE target_id = ?1 AND id IN (
               SELECT id FROM session WHERE target_id = ?1 AND expires_ms <= ?2 LIMIT ?3)",
        )?;
        Ok(delete.execute(params![target.0, signed(now_ms), signed(most as u64)])?)
    }
}
