//! The end of a journal whose target others serve by now: what was acknowledged here, and what had been called. Decides
//! nothing about what of it is sent to whom.

use super::{LocalId, Reader, StoreError, headers_from, signed};
use rusqlite::{OptionalExtension, Row, params};
use shared::event::{EventKind, OutboxCall};
use shared::{TargetId, wire::quarantine::LateCall};

/// An event at the end of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailEvent {
    /// Its place.
    pub(crate) seq: u64,
    pub(crate) kind: EventKind,
    pub(crate) source: String,
    pub(crate) id: String,
    pub(crate) parent: Option<TargetId>,
    pub(crate) received_at: u64,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    pub(crate) headers: Vec<(String, String)>,
    /// Its payload; none when that has left.
    pub(crate) body: Option<Vec<u8>>,
}

impl Reader {
    /// Returns events of a journal behind the place `after`, in order, at most `most` and about `bytes` of payload.
    pub(crate) fn tail(
        &self,
        local: LocalId,
        after: u64,
        (most, bytes): (usize, usize),
    ) -> Result<Vec<TailEvent>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT seq, kind, source, event_id, parent, received_at, at_ms, headers, body FROM journal
                 WHERE target_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?;
            let mut rows = find.query(params![local.0, signed(after), signed(most as u64)])?;
            let (mut all, mut size): (Vec<TailEvent>, usize) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let event = tail_event(row)?;
                size += event.body.as_ref().map_or(0, Vec::len);
                // One that is larger than everything allowed goes alone.
                if size > bytes && !all.is_empty() {
                    break;
                }
                all.push(event);
            }
            Ok(all)
        })
    }

    /// Returns calls that were made, or may have been, behind the place `after`, in order, at most `most`: those that were
    /// asked for since `since_ms`. Each comes with its place.
    pub(crate) fn called(
        &self,
        local: LocalId,
        after: u64,
        since_ms: u64,
        most: usize,
    ) -> Result<Vec<(u64, LateCall)>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT seq, id, state, method, url, headers, body, idempotent FROM outbox
                 WHERE target_id = ?1 AND seq > ?2 AND created_ms >= ?3 AND state IN ('sent', 'sending', 'uncertain')
                 ORDER BY seq LIMIT ?4",
            )?;
            let mut rows = find.query(params![local.0, signed(after), signed(since_ms), signed(most as u64)])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push((row.get(0)?, late_call(row)?));
            }
            Ok(all)
        })
    }

    /// Returns when the last event up to the place `seq` was committed; none when there is no such event any more.
    pub(crate) fn committed_at(&self, local: LocalId, seq: u64) -> Result<Option<u64>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT at_ms FROM journal WHERE target_id = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
            )?;
            Ok(find.query_row(params![local.0, signed(seq)], |row| row.get(0)).optional()?)
        })
    }
}

fn tail_event(row: &Row<'_>) -> Result<TailEvent, StoreError> {
    let (kind, parent, headers): (String, Option<String>, Option<String>) = (row.get(1)?, row.get(4)?, row.get(7)?);
    let parent = parent.map(|parent| parent.parse().map_err(|_| StoreError::Broken("parent of an event")));
    Ok(TailEvent {
        seq: row.get(0)?,
        kind: EventKind::from_word(&kind).ok_or(StoreError::Broken("kind of an event"))?,
        source: row.get(2)?,
        id: row.get(3)?,
        parent: parent.transpose()?,
        received_at: row.get(5)?,
        at_ms: row.get(6)?,
        headers: headers_from(headers.as_deref())?,
        body: row.get(8)?,
    })
}

fn late_call(row: &Row<'_>) -> Result<LateCall, StoreError> {
    let (id, state, headers): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(5)?);
    let uncertain = state != "sent";
    let call = OutboxCall {
        id: id.clone(),
        method: row.get(3)?,
        url: row.get(4)?,
        headers: headers_from(Some(&headers))?,
        body: row.get(6)?,
    };
    Ok(LateCall { id, uncertain, call: uncertain.then_some(call), idempotent: row.get(7)? })
}
