//! What handlers kept in memory, over an orderly restart: written when a target is let go of, read once when it is taken up
//! again.

use super::{LocalId, Store, StoreError};
use rusqlite::{OptionalExtension, params};

impl Store {
    /// Keeps a target's state, in place of an older one.
    pub(crate) fn volatile_put(&self, target: LocalId, state: &[u8]) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO volatile (target_id, part, state) VALUES (?1, 0, ?2)
             ON CONFLICT DO UPDATE SET state = excluded.state",
        )?;
        put.execute(params![target.0, state])?;
        Ok(())
    }

    /// Returns a target's state and forgets it.
    pub(crate) fn volatile_take(&self, target: LocalId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut take =
            self.conn.prepare_cached("DELETE FROM volatile WHERE target_id = ?1 AND part = 0 RETURNING state")?;
        Ok(take.query_row([target.0], |row| row.get(0)).optional()?)
    }
}
