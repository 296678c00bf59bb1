//! What SQLite keeps beside pods and assignments: the audit, who owned what, tokens, settings and kept answers.

use super::super::{bound, name};
use super::{EventFilter, Keep, KeptAnswer, StoreError, TRIM_ROWS, millis, rejected, signed, unsigned};
use crate::domain::{Batch, Change, Edit, SettingRecord, TokenRecord};
use rusqlite::{OptionalExtension, Params, Row, Transaction, params};
use shared::wire::admin::{Event, Ownership};
use shared::{Epoch, Revision, TargetId};

type Made<T> = fn(&Row<'_>) -> Result<T, StoreError>;

/// Runs a query and makes a value of each row.
fn all<T>(db: &Transaction<'_>, sql: &str, params: impl Params, make: Made<T>) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(rejected)?;
    let mut rows = statement.query(params).map_err(rejected)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(rejected)? {
        all.push(make(row)?);
    }
    Ok(all)
}

fn text(row: &Row<'_>, at: usize) -> Result<String, StoreError> {
    row.get(at).map_err(rejected)
}

fn number(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
    row.get::<_, i64>(at).map_err(rejected).and_then(unsigned)
}

fn maybe_number(row: &Row<'_>, at: usize) -> Result<Option<u64>, StoreError> {
    row.get::<_, Option<i64>>(at).map_err(rejected)?.map(unsigned).transpose()
}

pub(super) fn tokens(db: &Transaction<'_>) -> Result<Vec<TokenRecord>, StoreError> {
    let sql = "SELECT id, name, role, hash, created_ms, created_by, expires_ms, used_ms FROM token ORDER BY id";
    all(db, sql, [], |row| {
        Ok(TokenRecord {
            id: text(row, 0)?,
            name: text(row, 1)?,
            role: name(&text(row, 2)?)?,
            hash: text(row, 3)?,
            created_ms: number(row, 4)?,
            created_by: text(row, 5)?,
            expires_ms: maybe_number(row, 6)?,
            used_ms: maybe_number(row, 7)?,
        })
    })
}

pub(super) fn settings(db: &Transaction<'_>) -> Result<Vec<SettingRecord>, StoreError> {
    all(db, "SELECT name, value, actor, reason, at_ms FROM setting ORDER BY name", [], |row| {
        let at_ms = number(row, 4)?;
        Ok(SettingRecord {
            name: text(row, 0)?,
            value: text(row, 1)?,
            actor: text(row, 2)?,
            reason: text(row, 3)?,
            at_ms,
        })
    })
}

pub(super) fn edit(db: &Transaction<'_>, edits: &[Edit]) -> Result<(), StoreError> {
    for edit in edits {
        match edit {
            Edit::AddToken(token) => db.execute(
                "INSERT INTO token (id, name, role, hash, created_ms, created_by, expires_ms, used_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    token.id,
                    token.name,
                    token.role.as_str(),
                    token.hash,
                    signed(token.created_ms)?,
                    token.created_by,
                    token.expires_ms.map(signed).transpose()?,
                    token.used_ms.map(signed).transpose()?
                ],
            ),
            Edit::RemoveToken(id) => db.execute("DELETE FROM token WHERE id = ?1", [id]),
            Edit::TouchToken { id, used_ms } => {
                db.execute("UPDATE token SET used_ms = ?2 WHERE id = ?1", params![id, signed(*used_ms)?])
            }
            Edit::Set(setting) => db.execute(
                "INSERT OR REPLACE INTO setting (name, value, actor, reason, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![setting.name, setting.value, setting.actor, setting.reason, signed(setting.at_ms)?],
            ),
            Edit::Clear(name) => db.execute("DELETE FROM setting WHERE name = ?1", [name]),
        }
        .map_err(rejected)?;
    }
    Ok(())
}

/// Appends the audit entries, and keeps the answers. An answer that is there already stays.
pub(super) fn audit(db: &Transaction<'_>, batch: &Batch, revision: Revision, now_ms: u64) -> Result<(), StoreError> {
    let (revision, now_ms) = (signed(revision.0)?, signed(now_ms)?);
    for audit in &batch.audits {
        db.execute(
            "INSERT INTO audit (at_ms, actor, action, subject, reason, request_id, revision)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![now_ms, audit.actor, audit.action, audit.subject, audit.reason, audit.request_id, revision],
        )
        .map_err(rejected)?;
    }
    for kept in &batch.kept {
        db.execute(
            "INSERT INTO kept_answer (actor, key, fingerprint, body, revision, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (actor, key) DO NOTHING",
            params![kept.actor, kept.key, kept.fingerprint, kept.body, revision, now_ms],
        )
        .map_err(rejected)?;
    }
    Ok(())
}

/// Ends the ownerships that the changes replace, and begins theirs.
pub(super) fn history(db: &Transaction<'_>, changes: &[Change]) -> Result<(), StoreError> {
    for change in changes {
        let Change::Assignment { assignment, from } = change else { continue };
        let (target, since) = (assignment.target.as_str(), signed(assignment.since_ms)?);
        if from.is_some() {
            db.prepare_cached("UPDATE history SET until_ms = ?2 WHERE target = ?1 AND until_ms IS NULL")
                .and_then(|mut end| end.execute(params![target, since]))
                .map_err(rejected)?;
        }
        let from = from.as_ref().map(|pod| pod.as_str());
        db.prepare_cached(
            "INSERT INTO history (target, revision, pod, from_pod, epoch, reason, since_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut begin| {
            let (revision, epoch) = (assignment.revision.0.cast_signed(), assignment.epoch.0.cast_signed());
            begin.execute(params![target, revision, assignment.pod.as_str(), from, epoch, assignment.reason, since])
        })
        .map_err(rejected)?;
    }
    Ok(())
}

pub(super) fn ownerships(
    db: &Transaction<'_>,
    target: &TargetId,
    before: Option<Revision>,
    limit: usize,
) -> Result<Vec<Ownership>, StoreError> {
    let before = before.map_or(i64::MAX, |revision| bound(revision.0));
    let sql = "SELECT pod, from_pod, epoch, revision, reason, since_ms, until_ms FROM history
               WHERE target = ?1 AND revision < ?2 ORDER BY revision DESC LIMIT ?3";
    all(db, sql, params![target.as_str(), before, limit as i64], |row| {
        let from: Option<String> = row.get(1).map_err(rejected)?;
        Ok(Ownership {
            pod: name(&text(row, 0)?)?,
            from: from.as_deref().map(name).transpose()?,
            epoch: Epoch(number(row, 2)?),
            revision: Revision(number(row, 3)?),
            reason: text(row, 4)?,
            since_ms: number(row, 5)?,
            until_ms: maybe_number(row, 6)?,
            actor: None,
            pause_ms: None,
            moved_by: None,
            plan: None,
        })
    })
}

pub(super) fn events(db: &Transaction<'_>, wanted: &EventFilter, limit: usize) -> Result<Vec<Event>, StoreError> {
    let before = wanted.before.map_or(i64::MAX, bound);
    let sql = "SELECT id, at_ms, actor, action, subject, reason, request_id, revision FROM audit
               WHERE id < ?1 AND (?2 IS NULL OR action = ?2) AND (?3 IS NULL OR subject = ?3 OR instr(subject, ?3 || '/') = 1)
                     AND (?4 IS NULL OR actor = ?4)
               ORDER BY id DESC LIMIT ?5";
    let params = params![before, wanted.action, wanted.subject, wanted.actor, limit as i64];
    all(db, sql, params, |row| {
        Ok(Event {
            id: number(row, 0)?,
            at_ms: number(row, 1)?,
            actor: text(row, 2)?,
            action: text(row, 3)?,
            subject: text(row, 4)?,
            reason: text(row, 5)?,
            request_id: text(row, 6)?,
            revision: Revision(number(row, 7)?),
        })
    })
}

pub(super) fn kept(db: &Transaction<'_>, actor: &str, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
    let found: Option<(String, String, i64)> = db
        .query_row(
            "SELECT fingerprint, body, revision FROM kept_answer WHERE actor = ?1 AND key = ?2",
            [actor, key],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .map_err(rejected)?;
    let answer =
        |(fingerprint, body, revision)| Ok(KeptAnswer { fingerprint, body, revision: Revision(unsigned(revision)?) });
    found.map(answer).transpose()
}

pub(super) fn forget(db: &Transaction<'_>, keep: Keep, now_ms: i64) -> Result<u64, StoreError> {
    let mut rows = 0;
    for (sql, keep) in [
        ("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)", keep.audit),
        (
            "DELETE FROM history WHERE (target, revision) IN
             (SELECT target, revision FROM history WHERE until_ms < ?1 ORDER BY until_ms LIMIT ?2)",
            keep.history,
        ),
        (
            "DELETE FROM kept_answer WHERE (actor, key) IN
             (SELECT actor, key FROM kept_answer WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
            keep.answers,
        ),
        (
            "DELETE FROM move WHERE id IN
             (SELECT id FROM move WHERE state IN ('cleaned', 'aborted') AND ended_ms < ?1 ORDER BY ended_ms LIMIT ?2)",
            keep.moves,
        ),
        (
            "DELETE FROM plan WHERE id IN
             (SELECT id FROM plan WHERE state NOT IN ('applying', 'cancelling') AND at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
            keep.moves,
        ),
    ] {
        rows += db.execute(sql, [now_ms.saturating_sub(millis(keep)), TRIM_ROWS]).map_err(rejected)?;
    }
    Ok(rows as u64)
}
