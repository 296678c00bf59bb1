//! Takes away what has outlived its use, a little at a time, so that no commit waits long for it. The journal is in the
//! order of time, so its oldest rows are found without an index; the inbox row of an event leaves with its journal row.

use super::{LocalId, Store, StoreError, signed};
use rusqlite::params;
use std::time::Duration;

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Inbox rows with their stored replies, calls that were sent, and dead letters that were dropped.
    pub(crate) inbox: Duration,
    /// The payloads in the journal.
    pub(crate) payload: Duration,
    /// Most rows at a time, of each table.
    pub(crate) chunk: usize,
}

/// What a sweep of one target found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    /// Rows that went, or lost their payload.
    pub(crate) rows: usize,
    /// Up to which journal row the payloads have been looked at.
    pub(crate) payloads: u64,
    /// True when there is more of this target.
    pub(crate) more: bool,
}

impl Store {
    /// Sweeps one target, at most a chunk of each table. Payloads are looked at behind the journal row `from`.
    pub(crate) fn sweep(&self, target: LocalId, from: u64, now_ms: u64, keep: &Retention) -> Result<Swept, StoreError> {
        let before = |kept: Duration| now_ms.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
        let (looked_at, dropped, payloads) = self.sweep_payloads(target, from, before(keep.payload), keep.chunk)?;
        let counts = [
            self.sweep_inbox(target, before(keep.inbox), keep.chunk)?,
            self.sweep_calls(target, before(keep.inbox), keep.chunk)?,
            self.sweep_kv(target, now_ms, keep.chunk)?,
            self.sweep_sessions(target, now_ms, keep.chunk)?,
            self.sweep_own(target, now_ms, keep.chunk)?,
        ];
        let more = looked_at >= keep.chunk || counts.iter().any(|count| *count >= keep.chunk);
        Ok(Swept { rows: counts.iter().sum::<usize>() + dropped, payloads, more })
    }

    fn sweep_inbox(&self, target: LocalId, before_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT seq, key, at_ms, state IN ('done', 'failed') OR dropped IS NOT NULL FROM journal
             WHERE target_id = ?1 ORDER BY seq",
        )?;
        let mut rows = find.query([target.0])?;
        let mut old: Vec<(i64, [u8; 16])> = Vec::new();
        while old.len() < most
            && let Some(row) = rows.next()?
        {
            if row.get::<_, u64>(2)? >= before_ms {
                break;
            }
            // What is not applied, or waits for an operator, stays.
            if row.get(3)? {
                old.push((row.get(0)?, row.get(1)?));
            }
        }
        drop(rows);
        let mut inbox = self.conn.prepare_cached("DELETE FROM inbox WHERE target_id = ?1 AND key = ?2")?;
        let mut journal = self.conn.prepare_cached("DELETE FROM journal WHERE target_id = ?1 AND seq = ?2")?;
        for (seq, key) in &old {
            inbox.execute(params![target.0, key])?;
            journal.execute(params![target.0, seq])?;
        }
        Ok(old.len())
    }

    /// Returns how many rows were looked at, how many lost their payload, and up to which row that went.
    fn sweep_payloads(
        &self,
        target: LocalId,
        from: u64,
        before_ms: u64,
        most: usize,
    ) -> Result<(usize, usize, u64), StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT seq, at_ms FROM journal WHERE target_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")?;
        let mut rows = find.query(params![target.0, signed(from), signed(most as u64)])?;
        let (mut looked_at, mut to) = (0, from);
        while let Some(row) = rows.next()? {
            if row.get::<_, u64>(1)? >= before_ms {
                break;
            }
            (looked_at, to) = (looked_at + 1, row.get(0)?);
        }
        let mut update = self.conn.prepare_cached(
            "UPDATE journal SET body = NULL, headers = NULL WHERE target_id = ?1 AND seq > ?2 AND seq <= ?3
             AND body IS NOT NULL AND (state IN ('done', 'failed') OR dropped IS NOT NULL)",
        )?;
        Ok((looked_at, update.execute(params![target.0, signed(from), signed(to)])?, to))
    }

    fn sweep_calls(&self, target: LocalId, before_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT seq, created_ms, state = 'sent' OR dropped IS NOT NULL FROM outbox WHERE target_id = ?1 ORDER BY seq",
        )?;
        let mut rows = find.query([target.0])?;
        let mut old: Vec<i64> = Vec::new();
        while old.len() < most
            && let Some(row) = rows.next()?
        {
            if row.get::<_, u64>(1)? >= before_ms {
                break;
            }
            if row.get(2)? {
                old.push(row.get(0)?);
            }
        }
        drop(rows);
        let mut delete = self.conn.prepare_cached("DELETE FROM outbox WHERE target_id = ?1 AND seq = ?2")?;
        for seq in &old {
            delete.execute(params![target.0, seq])?;
        }
        Ok(old.len())
    }

    fn sweep_kv(&self, target: LocalId, now_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut delete = self.conn.prepare_cached(
            "DELETE FROM kv WHERE target_id = ?1 AND key IN (
               SELECT key FROM kv WHERE target_id = ?1 AND expires_ms <= ?2 LIMIT ?3)",
        )?;
        Ok(delete.execute(params![target.0, signed(now_ms), signed(most as u64)])?)
    }
}
