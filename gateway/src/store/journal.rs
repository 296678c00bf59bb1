//! Every committed event with its payload, in the order of acceptance. What is `accepted` has been acknowledged and not
//! applied yet: it survives a crash and is applied by whoever serves the target next.

use super::{LocalId, Reader, Store, StoreError, headers_from, headers_text, signed};
use rusqlite::params;
use shared::TargetId;
use shared::event::{Event, EventKey, EventKind};
use shared::telemetry::trace::TraceContext;
use shared::wire::data::JournalEvent;

/// What became of a committed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Acknowledged, not applied yet.
    Accepted,
    /// Applied.
    Done,
    /// Its handler refused it for good.
    Failed,
    /// Its handler failed too often; an operator decides.
    Dead,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
        }
    }
}

/// A row of the journal to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Its place.
    pub(crate) seq: u64,
    /// The event's key.
    pub(crate) key: EventKey,
    /// The event.
    pub(crate) event: &'a Event,
    /// What became of it so far.
    pub(crate) state: State,
    /// How often its handler has failed.
    pub(crate) attempts: u32,
    /// Why, in a sentence.
    pub(crate) reason: Option<&'a str>,
    /// Now, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// The span it belongs to.
    pub(crate) trace: Option<&'a TraceContext>,
}

/// An accepted event as it comes back after a restart.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// Its place.
    pub(crate) seq: u64,
    /// How often its handler has failed.
    pub(crate) attempts: u32,
    /// The event.
    pub(crate) event: Event,
    /// The span it belongs to.
    pub(crate) trace: Option<TraceContext>,
}

impl Store {
    /// Writes an event down.
    pub(crate) fn journal(&self, target: LocalId, entry: &Entry<'_>) -> Result<(), StoreError> {
        let event = entry.event;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO journal (target_id, seq, key, at_ms, state, attempts, reason, source, kind, event_id, parent,
             received_at, headers, body, trace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?;
        insert.execute(params![
            target.0,
            signed(entry.seq),
            entry.key.0,
            signed(entry.at_ms),
            entry.state.word(),
            entry.attempts,
            entry.reason,
            event.source,
            event.kind.as_str(),
            event.id,
            event.parent.as_ref().map(TargetId::as_str),
            signed(event.received_at),
            headers_text(&event.headers),
            &event.body[..],
            entry.trace.map(TraceContext::to_bytes),
        ])?;
        Ok(())
    }

    /// Says what became of an accepted event.
    pub(crate) fn journal_became(
        &self,
        target: LocalId,
        seq: u64,
        state: State,
        attempts: u32,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE journal SET state = ?3, attempts = ?4, reason = ?5 WHERE target_id = ?1 AND seq = ?2",
        )?;
        update.execute(params![target.0, signed(seq), state.word(), attempts, reason])?;
        Ok(())
    }

    /// Returns the events of a target that were accepted and not applied, in order.
    pub(crate) fn unfinished(&self, target: LocalId, name: &TargetId) -> Result<Vec<Resumed>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT seq, attempts, source, kind, event_id, parent, received_at, headers, body, trace FROM journal
             WHERE target_id = ?1 AND state = 'accepted' ORDER BY seq",
        )?;
        let mut rows = find.query([target.0])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(resumed(row, name)?);
        }
        Ok(all)
    }

    /// Returns the accepted event at `seq`, if there is one.
    pub(super) fn accepted_at(
        &self,
        target: LocalId,
        name: &TargetId,
        seq: u64,
    ) -> Result<Option<Resumed>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT seq, attempts, source, kind, event_id, parent, received_at, headers, body, trace FROM journal
             WHERE target_id = ?1 AND seq = ?2 AND state = 'accepted'",
        )?;
        let mut rows = find.query(params![target.0, signed(seq)])?;
        rows.next()?.map(|row| resumed(row, name)).transpose()
    }
}

impl Reader {
    /// Returns at most `most` events of a target's journal before the place `before`, newest first.
    pub(crate) fn journal(
        &self,
        target: &TargetId,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<JournalEvent>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT seq, event_id, source, kind, iif(dropped IS NULL, state, 'dropped'), attempts,
                 coalesce('dropped by ' || (dropped ->> 'actor') || ': ' || (dropped ->> 'reason'), reason),
                 received_at, at_ms FROM journal
                 WHERE target_id = (SELECT id FROM target WHERE name = ?1) AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            )?;
            let bound = params![target.as_str(), before.map_or(i64::MAX, signed), signed(most as u64)];
            let event = |row: &rusqlite::Row<'_>| {
                Ok(JournalEvent {
                    seq: row.get(0)?,
                    id: row.get(1)?,
                    source: row.get(2)?,
                    kind: row.get(3)?,
                    state: row.get(4)?,
                    attempts: row.get(5)?,
                    reason: row.get(6)?,
                    received_at: row.get(7)?,
                    at_ms: row.get(8)?,
                })
            };
            Ok(find.query_map(bound, event)?.collect::<Result<_, _>>()?)
        })
    }
}

fn resumed(row: &rusqlite::Row<'_>, name: &TargetId) -> Result<Resumed, StoreError> {
    let (kind, parent): (String, Option<String>) = (row.get(3)?, row.get(5)?);
    let headers: Option<String> = row.get(7)?;
    let body: Option<Vec<u8>> = row.get(8)?;
    let parent = parent.map(|parent| parent.parse().map_err(|_| StoreError::Broken("parent of an event")));
    let event = Event {
        target: name.clone(),
        parent: parent.transpose()?,
        platform: name.platform(),
        kind: EventKind::from_word(&kind).ok_or(StoreError::Broken("kind of an event"))?,
        source: row.get(2)?,
        id: row.get(4)?,
        received_at: row.get(6)?,
        headers: headers_from(headers.as_deref())?,
        body: body.unwrap_or_default().into(),
    };
    let trace: Option<Vec<u8>> = row.get(9)?;
    let trace = trace.as_deref().and_then(TraceContext::from_bytes);
    Ok(Resumed { seq: row.get(0)?, attempts: row.get(1)?, event, trace })
}
