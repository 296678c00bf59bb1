//! Calls to the outside, written with the event that asked for them. A row is `sending` before its bytes leave, so that a
//! call whose outcome a crash took away is known as such.

use super::{LocalId, Store, StoreError, headers_from, signed};
use rusqlite::{OptionalExtension, params};
use shared::{Epoch, event::OutboxCall, telemetry::trace::TraceContext, wire::quarantine::LateCall};
use std::fmt;

/// A call to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewCall<'a> {
    /// Its place.
    pub(crate) seq: u64,
    /// The call.
    pub(crate) call: &'a OutboxCall,
    /// Whether it may be made twice.
    pub(crate) idempotent: bool,
    /// The epoch of the ownership that made it.
    pub(crate) epoch: Epoch,
    /// Now, in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// The span that asked for it.
    pub(crate) trace: Option<&'a TraceContext>,
}

/// A call that has not come to its end.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    /// Its place.
    pub(crate) seq: u64,
    /// How it goes there.
    pub(crate) method: String,
    /// Where it goes.
    pub(crate) url: String,
    /// Whose it is, in the words of the header `Authorization`: a secret.
    pub(crate) authorization: Option<String>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub(crate) next_ms: u64,
    /// True when a crash came between its claim and its end: nobody knows whether it was made.
    pub(crate) interrupted: bool,
    /// Whether it may be made twice.
    pub(crate) idempotent: bool,
}

impl OpenCall {
    /// Makes it of a call that is written for the first time.
    pub(crate) fn new(seq: u64, call: &OutboxCall, idempotent: bool) -> Self {
        let (method, url) = (call.method.clone(), call.url.clone());
        Self {
            seq,
            method,
            url,
            authorization: authorization(&call.headers),
            next_ms: 0,
            interrupted: false,
            idempotent,
        }
    }
}

impl fmt::Debug for OpenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenCall").field("seq", &self.seq).field("method", &self.method).finish_non_exhaustive()
    }
}

fn authorization(headers: &[(String, String)]) -> Option<String> {
    let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("authorization");
    headers.iter().find(named).map(|(_, value)| value.clone())
}

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The call.
    pub(crate) call: OutboxCall,
    /// Whether it may be made twice.
    pub(crate) idempotent: bool,
    /// Attempts, this one included.
    pub(crate) attempts: u32,
    /// When it was written, in milliseconds since the Unix epoch.
    pub(crate) created_ms: u64,
    /// The span that asked for it.
    pub(crate) trace: Option<TraceContext>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It was made.
    Sent,
    /// It is to be made again, not before this time.
    Again {
        /// In milliseconds since the Unix epoch.
        next_ms: u64,
        /// Why.
        reason: String,
    },
    /// Nobody knows whether it was made, and making it twice could do harm: an operator decides.
    Uncertain {
        /// Why.
        reason: String,
    },
    /// It will never succeed: an operator decides.
    Dead {
        /// Why.
        reason: String,
    },
}

impl Store {
    /// Writes a call. Returns false, and changes nothing, when the target has made one with this id before.
    pub(crate) fn outbox_add(&self, target: LocalId, new: &NewCall<'_>) -> Result<bool, StoreError> {
        let call = new.call;
        let headers = serde_json::to_string(&call.headers).map_err(|_| StoreError::Broken("header row"))?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO outbox (target_id, seq, id, state, epoch, method, url, headers, body, idempotent, created_ms,
             trace) VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (target_id, id) DO NOTHING",
        )?;
        let added = insert.execute(params![
            target.0,
            signed(new.seq),
            call.id,
            signed(new.epoch.0),
            call.method,
            call.url,
            headers,
            call.body,
            new.idempotent,
            signed(new.now_ms),
            new.trace.map(TraceContext::to_bytes),
        ])?;
        Ok(added > 0)
    }

    /// Writes down a call that another pod has made, or may have made, for the target: under its id it is not made again
    /// (OWNERSHIP.md, Data 5). A call of this pod's that waits is taken back; what is on its way, or was decided here, stays.
    /// One that nobody knows of and that may be made twice is not written: its event asks for it here, and it is made.
    /// Returns whether `seq` is used now.
    pub(crate) fn outbox_told(
        &self,
        target: LocalId,
        (seq, epoch): (u64, Epoch),
        told: &LateCall,
        reason: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        if told.uncertain && told.idempotent {
            return Ok(false);
        }
        let state = if told.uncertain { "uncertain" } else { "sent" };
        let call = told.call.as_ref().filter(|_| told.uncertain);
        let headers = call.map_or(Ok("[]".to_owned()), |call| serde_json::to_string(&call.headers));
        let headers = headers.map_err(|_| StoreError::Broken("header row"))?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO outbox (target_id, seq, id, state, epoch, method, url, headers, body, idempotent, created_ms, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (target_id, id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
               body = iif(excluded.state = 'sent', '', body), headers = iif(excluded.state = 'sent', '[]', headers)
             WHERE outbox.state = 'pending'
             RETURNING seq = ?2",
        )?;
        let used = insert.query_row(
            params![
                target.0,
                signed(seq),
                told.id,
                state,
                signed(epoch.0),
                call.map_or("POST", |call| &call.method),
                call.map_or("", |call| &call.url),
                headers,
                call.map_or("", |call| &call.body),
                told.idempotent,
                signed(now_ms),
                reason,
            ],
            |row| row.get(0),
        );
        Ok(used.optional()?.unwrap_or(false))
    }

    /// Returns the target's calls that have not come to their end, in order.
    pub(crate) fn outbox_open(&self, target: LocalId) -> Result<Vec<OpenCall>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT seq, url, next_ms, state = 'sending', idempotent, method, headers FROM outbox
             WHERE target_id = ?1 AND state IN ('pending', 'sending') ORDER BY seq",
        )?;
        let open = |row: &rusqlite::Row<'_>| {
            let call = OpenCall {
                seq: row.get(0)?,
                method: row.get(5)?,
                url: row.get(1)?,
                authorization: None,
                next_ms: row.get(2)?,
                interrupted: row.get(3)?,
                idempotent: row.get(4)?,
            };
            Ok((call, row.get::<_, String>(6)?))
        };
        let rows = find.query_map([target.0], open)?;
        rows.map(|row| {
            let (call, headers) = row?;
            Ok(OpenCall { authorization: authorization(&headers_from(Some(&headers))?), ..call })
        })
        .collect()
    }

    /// Marks a call as being made and returns it; `None` when it has come to its end.
    pub(crate) fn outbox_claim(&self, target: LocalId, seq: u64) -> Result<Option<Claimed>, StoreError> {
        let mut claim = self.conn.prepare_cached(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1
             WHERE target_id = ?1 AND seq = ?2 AND state IN ('pending', 'sending')
             RETURNING id, method, url, headers, body, idempotent, attempts, created_ms, trace",
        )?;
        let row = claim
            .query_row(params![target.0, signed(seq)], |row| {
                let headers: String = row.get(3)?;
                let call = OutboxCall {
                    id: row.get(0)?,
                    method: row.get(1)?,
                    url: row.get(2)?,
                    headers: Vec::new(),
                    body: row.get(4)?,
                };
                let trace: Option<Vec<u8>> = row.get(8)?;
                let claimed = Claimed {
                    call,
                    idempotent: row.get(5)?,
                    attempts: row.get(6)?,
                    created_ms: row.get(7)?,
                    trace: trace.as_deref().and_then(TraceContext::from_bytes),
                };
                Ok((claimed, headers))
            })
            .optional()?;
        row.map(|(mut claimed, headers)| {
            claimed.call.headers = headers_from(Some(&headers))?;
            Ok(claimed)
        })
        .transpose()
    }

    /// Says what became of a call. The payload of one that was made is dropped; its id stays, so that it is made once.
    pub(crate) fn outbox_settle(&self, target: LocalId, seq: u64, settled: &Settled) -> Result<(), StoreError> {
        let (state, next_ms, reason) = match settled {
            Settled::Sent => ("sent", 0, None),
            Settled::Again { next_ms, reason } => ("pending", *next_ms, Some(reason)),
            Settled::Uncertain { reason } => ("uncertain", 0, Some(reason)),
            Settled::Dead { reason } => ("dead", 0, Some(reason)),
        };
        let mut update = self.conn.prepare_cached(
            "UPDATE outbox SET state = ?3, next_ms = ?4, reason = ?5,
             body = iif(?3 = 'sent', '', body), headers = iif(?3 = 'sent', '[]', headers)
             WHERE target_id = ?1 AND seq = ?2",
        )?;
        update.execute(params![target.0, signed(seq), state, signed(next_ms), reason])?;
        Ok(())
    }
}
