//! What an operator has to decide about, events whose handler failed too often and calls that failed for good or whose
//! outcome nobody knows; and what becomes of such a row once it is decided. Knows nothing of who may decide.

use super::{LocalId, Reader, Store, StoreError, headers_from, journal::Resumed, outbox::OpenCall, signed};
use rusqlite::{OptionalExtension, Row, params};
use shared::{
    Epoch, PodId, TargetId,
    event::OutboxCall,
    wire::data::{DeadLetter, LetterKind, Place},
};

/// A dead event that goes back to work.
#[derive(Debug)]
pub(crate) enum Revived {
    /// It is accepted again.
    Event(Box<Resumed>),
    /// It is to be made again.
    Call(String, OpenCall),
}

impl Reader {
    /// Returns at most `most` dead letters of a kind behind `after`; of one target when that is given.
    pub(crate) fn letters(
        &self,
        pod: &PodId,
        kind: LetterKind,
        target: Option<&TargetId>,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let sql = match kind {
            LetterKind::Event => {
                "SELECT seq, target.name, event_id, source, journal.state, attempts, coalesce(reason, ''), at_ms
                 FROM journal INDEXED BY journal_dead CROSS JOIN target ON target.id = target_id
                 WHERE journal.state = 'dead' AND dropped IS NULL AND target.state IN ('owned', 'frozen') AND (target_id, seq) > (coalesce((SELECT id FROM target WHERE name = ?1), 0), ?2)
                 AND (?3 IS NULL OR target.name = ?3) ORDER BY target_id, seq LIMIT ?4"
            }
            LetterKind::Call => {
                "SELECT seq, target.name, outbox.id, NULL, outbox.state, attempts, coalesce(reason, ''), created_ms
                 FROM outbox INDEXED BY outbox_aside CROSS JOIN target ON target.id = target_id
                 WHERE outbox.state IN ('uncertain', 'dead') AND dropped IS NULL AND target.state IN ('owned', 'frozen') AND (target_id, seq) > (coalesce((SELECT id FROM target WHERE name = ?1), 0), ?2)
                 AND (?3 IS NULL OR target.name = ?3) ORDER BY target_id, seq LIMIT ?4"
            }
        };
        self.with(|conn| {
            let mut find = conn.prepare_cached(sql)?;
            let (name, seq) = (after.map(|after| after.target.as_str()), after.map_or(0, |after| signed(after.seq)));
            let mut rows = find.query(params![name, seq, target.map(TargetId::as_str), signed(most as u64)])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(letter(row, pod, kind)?);
            }
            Ok(all)
        })
    }
}

fn letter(row: &Row<'_>, pod: &PodId, kind: LetterKind) -> Result<DeadLetter, StoreError> {
    let name: String = row.get(1)?;
    Ok(DeadLetter {
        pod: pod.clone(),
        target: name.parse().map_err(|_| StoreError::Broken("target name"))?,
        kind,
        seq: row.get(0)?,
        id: row.get(2)?,
        source: row.get(3)?,
        state: row.get(4)?,
        attempts: row.get(5)?,
        reason: row.get(6)?,
        at_ms: row.get(7)?,
    })
}

impl Store {
    /// Puts a dead event back among the accepted ones, or a dead or uncertain call back among the pending ones, as if it
    /// had not been tried; one that was dropped too, while its payload is there. `None` when there is no such row.
    pub(crate) fn revive(
        &self,
        target: LocalId,
        name: &TargetId,
        kind: LetterKind,
        seq: u64,
        epoch: Epoch,
        now_ms: u64,
    ) -> Result<Option<Revived>, StoreError> {
        if kind == LetterKind::Call {
            let mut update = self.conn.prepare_cached(
                "UPDATE outbox SET state = 'pending', attempts = 0, next_ms = 0, reason = NULL, dropped = NULL,
                 epoch = ?3, created_ms = ?4
                 WHERE target_id = ?1 AND seq = ?2 AND state IN ('uncertain', 'dead') RETURNING id, url, idempotent, method, headers",
            )?;
            let bound = params![target.0, signed(seq), signed(epoch.0), signed(now_ms)];
            let revived = update.query_row(bound, |row| {
                let (id, headers): (String, String) = (row.get(0)?, row.get(4)?);
                let call =
                    OutboxCall { id, method: row.get(3)?, url: row.get(1)?, headers: Vec::new(), body: String::new() };
                Ok((call, headers, row.get(2)?))
            });
            let Some((mut call, headers, idempotent)) = revived.optional()? else { return Ok(None) };
            call.headers = headers_from(Some(&headers))?;
            let open = OpenCall::new(seq, &call, idempotent);
            return Ok(Some(Revived::Call(call.id, open)));
        }
        let mut update = self.conn.prepare_cached(
            "UPDATE journal SET state = 'accepted', attempts = 0, reason = NULL, dropped = NULL
             WHERE target_id = ?1 AND seq = ?2 AND state = 'dead' AND body IS NOT NULL",
        )?;
        if update.execute(params![target.0, signed(seq)])? == 0 {
            return Ok(None);
        }
        Ok(self.accepted_at(target, name, seq)?.map(|resumed| Revived::Event(Box::new(resumed))))
    }

    /// Notes who dropped a dead letter. Returns its id; `None` when there is no such row, or it is dropped already.
    pub(crate) fn drop_letter(
        &self,
        target: LocalId,
        kind: LetterKind,
        seq: u64,
        note: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = match kind {
            LetterKind::Event => {
                "UPDATE journal SET dropped = ?3 WHERE target_id = ?1 AND seq = ?2 AND state = 'dead'
                 AND dropped IS NULL RETURNING event_id"
            }
            LetterKind::Call => {
                "UPDATE outbox SET dropped = ?3 WHERE target_id = ?1 AND seq = ?2 AND state IN ('uncertain', 'dead')
                 AND dropped IS NULL RETURNING id"
            }
        };
        let mut update = self.conn.prepare_cached(sql)?;
        Ok(update.query_row(params![target.0, signed(seq), note], |row| row.get(0)).optional()?)
    }
}
