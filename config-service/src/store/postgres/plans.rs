//! What PostgreSQL keeps of plans, and of what holds targets where they are.

use super::super::{PlanFilter, bound, json, json_of, name};
use super::{StoreError, session::Failure, signed};
use crate::domain::Hold;
use shared::wire::admin::{Plan, PlanHead, PlanState, PlannedMove};
use shared::{PlanId, TargetId};
use sqlx::{PgConnection, Row, postgres::PgRow};

/// Reads all plans whose moves are being made, by number.
pub(super) async fn running(db: &mut PgConnection) -> Result<Vec<Plan>, Failure> {
    let sql = "SELECT head, moves FROM plan WHERE state IN ('applying', 'cancelling') ORDER BY id";
    sqlx::query(sql).fetch_all(db).await?.iter().map(whole).collect()
}

/// Reads one plan.
pub(super) async fn get(db: &mut PgConnection, id: PlanId) -> Result<Option<Plan>, Failure> {
    let sql = "SELECT head, moves FROM plan WHERE id = $1";
    let found = sqlx::query(sql).bind(bound(id.0)).fetch_optional(db).await?;
    found.as_ref().map(whole).transpose()
}

fn whole(row: &PgRow) -> Result<Plan, Failure> {
    Ok(Plan { head: json_of(row.try_get(0)?)?, moves: json_of(row.try_get(1)?)? })
}

/// Reads plans without their moves, newest first.
pub(super) async fn read(db: &mut PgConnection, wanted: PlanFilter, limit: usize) -> Result<Vec<PlanHead>, Failure> {
    let rows = sqlx::query(
        "SELECT head FROM plan WHERE ($1::text IS NULL OR state = $1) AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(wanted.state.map(PlanState::as_str))
    .bind(wanted.before.map_or(i64::MAX, |before| bound(before.0)))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok(json_of(row.try_get(0)?)?)).collect()
}

/// Reads what holds targets, by target.
pub(super) async fn holds(db: &mut PgConnection) -> Result<Vec<(TargetId, Hold)>, Failure> {
    let rows = sqlx::query("SELECT target, body FROM hold ORDER BY target").fetch_all(db).await?;
    rows.iter().map(|row| Ok((name(row.try_get(0)?)?, json_of(row.try_get(1)?)?))).collect()
}

/// Writes a plan under the expectation of its write.
pub(super) async fn write(
    db: &mut PgConnection,
    head: &PlanHead,
    moves: Option<&[PlannedMove]>,
    expected: Option<PlanState>,
) -> Result<(), Failure> {
    let sql = match expected {
        None => "INSERT INTO plan (id, state, at_ms, head, moves) VALUES ($1, $2, $3, $4, $5)",
        Some(_) => "UPDATE plan SET state = $2, at_ms = $3, head = $4 WHERE id = $1 AND state = $5",
    };
    let last = match expected {
        None => json(&moves.unwrap_or_default())?,
        Some(was) => was.as_str().to_owned(),
    };
    let written = sqlx::query(sql)
        .bind(signed(head.id.0)?)
        .bind(head.state.as_str())
        .bind(signed(head.ended_ms.unwrap_or(head.made_ms))?)
        .bind(json(head)?)
        .bind(last)
        .execute(db)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("plan {} is in another state than expected", head.id)).into())
}

/// Writes what holds a target.
pub(super) async fn hold(db: &mut PgConnection, target: &TargetId, hold: &Hold) -> Result<(), Failure> {
    if hold.is_empty() {
        sqlx::query("DELETE FROM hold WHERE target = $1").bind(target.as_str()).execute(db).await?;
        return Ok(());
    }
    sqlx::query("INSERT INTO hold (target, body) VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET body = $2")
        .bind(target.as_str())
        .bind(json(hold)?)
        .execute(db)
        .await?;
    Ok(())
}
