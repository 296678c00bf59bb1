//! What has been committed already, and what was answered then.

use super::{LocalId, Store, StoreError, headers_from, headers_text, signed};
use rusqlite::{OptionalExtension, params};
use shared::event::{Answer, EventKey};
use shared::telemetry::trace::TraceContext;

/// An event the inbox knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The hash of the payload that was committed.
    pub(crate) payload_hash: [u8; 16],
    /// What was answered; without body when it was too large to keep.
    pub(crate) answer: Answer,
}

impl Store {
    /// Returns what is known of an event, if it has been committed.
    pub(crate) fn seen(&self, target: LocalId, key: EventKey) -> Result<Option<Seen>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT payload_hash, status, headers, body FROM inbox WHERE target_id = ?1 AND key = ?2",
        )?;
        let row = find
            .query_row(params![target.0, key.0], |row| {
                let headers: Option<String> = row.get(2)?;
                let body: Option<Vec<u8>> = row.get(3)?;
                Ok((row.get(0)?, row.get::<_, u16>(1)?, headers, body))
            })
            .optional()?;
        row.map(|(payload_hash, status, headers, body)| {
            let headers = headers_from(headers.as_deref())?;
            Ok(Seen { payload_hash, answer: Answer { status, headers, body: body.unwrap_or_default().into() } })
        })
        .transpose()
    }

    /// Returns whether the inbox knows an event.
    pub(crate) fn has_seen(&self, target: LocalId, key: EventKey) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT 1 FROM inbox WHERE target_id = ?1 AND key = ?2")?;
        Ok(find.exists(params![target.0, key.0])?)
    }

    /// Returns the span that belongs to an event the inbox knows.
    pub(crate) fn first_trace(&self, target: LocalId, key: EventKey) -> Result<Option<TraceContext>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT journal.trace FROM inbox JOIN journal USING (target_id, seq)
             WHERE inbox.target_id = ?1 AND inbox.key = ?2",
        )?;
        let trace: Option<Option<Vec<u8>>> = find.query_row(params![target.0, key.0], |row| row.get(0)).optional()?;
        Ok(trace.flatten().as_deref().and_then(TraceContext::from_bytes))
    }

    /// Remembers an event with its answer. Of an answer larger than `most` bytes only the status is kept.
    pub(crate) fn remember(
        &self,
        target: LocalId,
        key: EventKey,
        payload_hash: &[u8; 16],
        seq: u64,
        answer: &Answer,
        most: usize,
    ) -> Result<(), StoreError> {
        let size =
            answer.body.len() + answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let (headers, body) = if size <= most {
            (headers_text(&answer.headers), Some(&answer.body[..]).filter(|body| !body.is_empty()))
        } else {
            (None, None)
        };
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO inbox (target_id, key, payload_hash, seq, status, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![target.0, key.0, payload_hash, signed(seq), answer.status, headers, body])?;
        Ok(())
    }
}
