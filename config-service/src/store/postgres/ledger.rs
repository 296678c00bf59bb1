//! What PostgreSQL keeps beside pods and assignments: the audit, who owned what, tokens, settings and kept answers.

use super::super::{bound, name};
use super::{EventFilter, Keep, KeptAnswer, TRIM_ROWS, millis, session::Failure, signed, unsigned};
use crate::domain::{Batch, Change, Edit, SettingRecord, TokenRecord};
use shared::wire::admin::{Event, Ownership};
use shared::{Epoch, PodId, Revision, TargetId};
use sqlx::{PgConnection, Row, postgres::PgRow};

fn number(row: &PgRow, at: usize) -> Result<u64, Failure> {
    Ok(unsigned(row.try_get(at)?)?)
}

fn maybe_number(row: &PgRow, at: usize) -> Result<Option<u64>, Failure> {
    Ok(row.try_get::<Option<i64>, _>(at)?.map(unsigned).transpose()?)
}

pub(super) async fn tokens(db: &mut PgConnection) -> Result<Vec<TokenRecord>, Failure> {
    let sql = "SELECT id, name, role, hash, created_ms, created_by, expires_ms, used_ms FROM token ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    let token = |row: &PgRow| {
        Ok(TokenRecord {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            role: name(row.try_get(2)?)?,
            hash: row.try_get(3)?,
            created_ms: number(row, 4)?,
            created_by: row.try_get(5)?,
            expires_ms: maybe_number(row, 6)?,
            used_ms: maybe_number(row, 7)?,
        })
    };
    rows.iter().map(token).collect()
}

pub(super) async fn settings(db: &mut PgConnection) -> Result<Vec<SettingRecord>, Failure> {
    let sql = "SELECT name, value, actor, reason, at_ms FROM setting ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    let setting = |row: &PgRow| {
        let (name, value) = (row.try_get(0)?, row.try_get(1)?);
        let (actor, reason, at_ms) = (row.try_get(2)?, row.try_get(3)?, number(row, 4)?);
        Ok(SettingRecord { name, value, actor, reason, at_ms })
    };
    rows.iter().map(setting).collect()
}

pub(super) async fn edit(db: &mut PgConnection, edits: &[Edit]) -> Result<(), Failure> {
    for edit in edits {
        let statement = match edit {
            Edit::AddToken(token) => sqlx::query(
                "INSERT INTO token (id, name, role, hash, created_ms, created_by, expires_ms, used_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&token.id)
            .bind(&token.name)
            .bind(token.role.as_str())
            .bind(&token.hash)
            .bind(signed(token.created_ms)?)
            .bind(&token.created_by)
            .bind(token.expires_ms.map(signed).transpose()?)
            .bind(token.used_ms.map(signed).transpose()?),
            Edit::RemoveToken(id) => sqlx::query("DELETE FROM token WHERE id = $1").bind(id),
            Edit::TouchToken { id, used_ms } => {
                sqlx::query("UPDATE token SET used_ms = $2 WHERE id = $1").bind(id).bind(signed(*used_ms)?)
            }
            Edit::Set(setting) => sqlx::query(
                "INSERT INTO setting (name, value, actor, reason, at_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (name) DO UPDATE SET value = $2, actor = $3, reason = $4, at_ms = $5",
            )
            .bind(&setting.name)
            .bind(&setting.value)
            .bind(&setting.actor)
            .bind(&setting.reason)
            .bind(signed(setting.at_ms)?),
            Edit::Clear(name) => sqlx::query("DELETE FROM setting WHERE name = $1").bind(name),
        };
        statement.execute(&mut *db).await?;
    }
    Ok(())
}

/// Appends the audit entries, and keeps the answers. An answer that is there already stays.
pub(super) async fn audit(db: &mut PgConnection, batch: &Batch, at: Revision, now_ms: u64) -> Result<(), Failure> {
    let (revision, now_ms) = (signed(at.0)?, signed(now_ms)?);
    for audit in &batch.audits {
        sqlx::query(
            "INSERT INTO audit (at_ms, actor, action, subject, reason, request_id, revision)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(now_ms)
        .bind(&audit.actor)
        .bind(audit.action)
        .bind(&audit.subject)
        .bind(&audit.reason)
        .bind(&audit.request_id)
        .bind(revision)
        .execute(&mut *db)
        .await?;
    }
    for kept in &batch.kept {
        sqlx::query(
            "INSERT INTO kept_answer (actor, key, fingerprint, body, revision, at_ms) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (actor, key) DO NOTHING",
        )
        .bind(&kept.actor)
        .bind(&kept.key)
        .bind(&kept.fingerprint)
        .bind(&kept.body)
        .bind(revision)
        .bind(now_ms)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// The columns of ownerships that begin.
#[derive(Default)]
struct Begun<'a> {
    target: Vec<&'a str>,
    revision: Vec<i64>,
    pod: Vec<&'a str>,
    from: Vec<Option<&'a str>>,
    epoch: Vec<i64>,
    reason: Vec<&'a str>,
    since_ms: Vec<i64>,
}

/// Ends the ownerships that the changes replace, and begins theirs.
pub(super) async fn history(db: &mut PgConnection, changes: &[Change]) -> Result<(), Failure> {
    let mut begun = Begun::default();
    for change in changes {
        let Change::Assignment { assignment, from } = change else { continue };
        begun.target.push(assignment.target.as_str());
        begun.revision.push(signed(assignment.revision.0)?);
        begun.pod.push(assignment.pod.as_str());
        begun.from.push(from.as_ref().map(PodId::as_str));
        begun.epoch.push(signed(assignment.epoch.0)?);
        begun.reason.push(&assignment.reason);
        begun.since_ms.push(signed(assignment.since_ms)?);
    }
    if begun.target.is_empty() {
        return Ok(());
    }
    if begun.from.iter().any(Option::is_some) {
        sqlx::query(
            "UPDATE history h SET until_ms = n.since_ms
             FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (target, from_pod, since_ms)
             WHERE h.target = n.target AND n.from_pod IS NOT NULL AND h.until_ms IS NULL",
        )
        .bind(&begun.target)
        .bind(&begun.from)
        .bind(&begun.since_ms)
        .execute(&mut *db)
        .await?;
    }
    sqlx::query(
        "INSERT INTO history (target, revision, pod, from_pod, epoch, reason, since_ms)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])",
    )
    .bind(begun.target)
    .bind(begun.revision)
    .bind(begun.pod)
    .bind(begun.from)
    .bind(begun.epoch)
    .bind(begun.reason)
    .bind(begun.since_ms)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn ownerships(
    db: &mut PgConnection,
    target: &TargetId,
    before: Option<Revision>,
    limit: usize,
) -> Result<Vec<Ownership>, Failure> {
    let before = before.map_or(i64::MAX, |revision| bound(revision.0));
    let rows = sqlx::query(
        "SELECT pod, from_pod, epoch, revision, reason, since_ms, until_ms FROM history
         WHERE target = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3",
    )
    .bind(target.as_str())
    .bind(before)
    .bind(limit as i64)
    .fetch_all(db)
    .await?;
    let ownership = |row: &PgRow| {
        let from: Option<&str> = row.try_get(1)?;
        Ok(Ownership {
            pod: name(row.try_get(0)?)?,
            from: from.map(name).transpose()?,
            epoch: Epoch(number(row, 2)?),
            revision: Revision(number(row, 3)?),
            reason: row.try_get(4)?,
            since_ms: number(row, 5)?,
            until_ms: maybe_number(row, 6)?,
            actor: None,
            pause_ms: None,
            moved_by: None,
            plan: None,
        })
    };
    rows.iter().map(ownership).collect()
}

pub(super) async fn events(db: &mut PgConnection, wanted: &EventFilter, limit: usize) -> Result<Vec<Event>, Failure> {
    let rows = sqlx::query(
        "SELECT id, at_ms, actor, action, subject, reason, request_id, revision FROM audit
         WHERE id < $1 AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR subject = $3 OR starts_with(subject, $3 || '/'))
               AND ($4::text IS NULL OR actor = $4)
         ORDER BY id DESC LIMIT $5",
    )
    .bind(wanted.before.map_or(i64::MAX, bound))
    .bind(&wanted.action)
    .bind(&wanted.subject)
    .bind(&wanted.actor)
    .bind(limit as i64)
    .fetch_all(db)
    .await?;
    let event = |row: &PgRow| {
        Ok(Event {
            id: number(row, 0)?,
            at_ms: number(row, 1)?,
            actor: row.try_get(2)?,
            action: row.try_get(3)?,
            subject: row.try_get(4)?,
            reason: row.try_get(5)?,
            request_id: row.try_get(6)?,
            revision: Revision(number(row, 7)?),
        })
    };
    rows.iter().map(event).collect()
}

pub(super) async fn kept(db: &mut PgConnection, actor: &str, key: &str) -> Result<Option<KeptAnswer>, Failure> {
    let row = sqlx::query("SELECT fingerprint, body, revision FROM kept_answer WHERE actor = $1 AND key = $2")
        .bind(actor)
        .bind(key)
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let revision = Revision(number(&row, 2)?);
    Ok(Some(KeptAnswer { fingerprint: row.try_get(0)?, body: row.try_get(1)?, revision }))
}

pub(super) async fn forget(db: &mut PgConnection, keep: Keep, now_ms: i64) -> Result<u64, Failure> {
    let mut rows = 0;
    for (sql, keep) in [
        ("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)", keep.audit),
        (
            "DELETE FROM history WHERE (target, revision) IN
             (SELECT target, revision FROM history WHERE until_ms < $1 ORDER BY until_ms LIMIT $2)",
            keep.history,
        ),
        (
            "DELETE FROM kept_answer WHERE (actor, key) IN
             (SELECT actor, key FROM kept_answer WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)",
            keep.answers,
        ),
        (
            "DELETE FROM move WHERE id IN
             (SELECT id FROM move WHERE state IN ('cleaned', 'aborted') AND ended_ms < $1 ORDER BY ended_ms LIMIT $2)",
            keep.moves,
        ),
        (
            "DELETE FROM plan WHERE id IN
             (SELECT id FROM plan WHERE state NOT IN ('applying', 'cancelling') AND at_ms < $1 ORDER BY at_ms LIMIT $2)",
            keep.moves,
        ),
    ] {
        let done = sqlx::query(sql).bind(now_ms.saturating_sub(millis(keep))).bind(TRIM_ROWS).execute(&mut *db).await?;
        rows += done.rows_affected();
    }
    Ok(rows)
}
