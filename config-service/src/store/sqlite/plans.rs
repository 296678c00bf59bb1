//! What SQLite keeps of plans, and of what holds targets where they are.

use super::super::{PlanFilter, bound, json, json_of, name};
use super::{StoreError, rejected, signed};
use crate::domain::Hold;
use rusqlite::{Params, Transaction, params};
use shared::wire::admin::{Plan, PlanHead, PlanState, PlannedMove};
use shared::{PlanId, TargetId};

/// Reads all plans whose moves are being made, by number.
pub(super) fn running(db: &Transaction<'_>) -> Result<Vec<Plan>, StoreError> {
    whole(db, "SELECT head, moves FROM plan WHERE state IN ('applying', 'cancelling') ORDER BY id", [])
}

/// Reads one plan.
pub(super) fn get(db: &Transaction<'_>, id: PlanId) -> Result<Option<Plan>, StoreError> {
    Ok(whole(db, "SELECT head, moves FROM plan WHERE id = ?1", [bound(id.0)])?.pop())
}

fn whole(db: &Transaction<'_>, sql: &str, params: impl Params) -> Result<Vec<Plan>, StoreError> {
    let plans = pairs(db, sql, params)?;
    plans.into_iter().map(|(head, moves)| Ok(Plan { head: json_of(&head)?, moves: json_of(&moves)? })).collect()
}

/// Reads plans without their moves, newest first.
pub(super) fn read(db: &Transaction<'_>, wanted: PlanFilter, limit: usize) -> Result<Vec<PlanHead>, StoreError> {
    let sql = "SELECT head FROM plan WHERE (?1 IS NULL OR state = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3";
    let before = wanted.before.map_or(i64::MAX, |before| bound(before.0));
    let params = params![wanted.state.map(PlanState::as_str), before, i64::try_from(limit).unwrap_or(i64::MAX)];
    let mut statement = db.prepare_cached(sql).map_err(rejected)?;
    let heads = statement.query_map(params, |row| row.get::<_, String>(0)).map_err(rejected)?;
    heads.map(|head| json_of(&head.map_err(rejected)?)).collect()
}

/// Reads what holds targets, by target.
pub(super) fn holds(db: &Transaction<'_>) -> Result<Vec<(TargetId, Hold)>, StoreError> {
    let holds = pairs(db, "SELECT target, body FROM hold ORDER BY target", [])?;
    holds.into_iter().map(|(target, body)| Ok((name(&target)?, json_of(&body)?))).collect()
}

fn pairs(db: &Transaction<'_>, sql: &str, params: impl Params) -> Result<Vec<(String, String)>, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(rejected)?;
    let rows = statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?))).map_err(rejected)?;
    rows.collect::<rusqlite::Result<_>>().map_err(rejected)
}

/// Writes a plan under the expectation of its write.
pub(super) fn write(
    db: &Transaction<'_>,
    head: &PlanHead,
    moves: Option<&[PlannedMove]>,
    expected: Option<PlanState>,
) -> Result<(), StoreError> {
    let (id, state, at) = (signed(head.id.0)?, head.state.as_str(), signed(head.ended_ms.unwrap_or(head.made_ms))?);
    let body = json(head)?;
    let written = match expected {
        None => db
            .prepare_cached("INSERT INTO plan (id, state, at_ms, head, moves) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut insert| insert.execute(params![id, state, at, body, json(&moves.unwrap_or_default()).ok()])),
        Some(was) => db
            .prepare_cached("UPDATE plan SET state = ?2, at_ms = ?3, head = ?4 WHERE id = ?1 AND state = ?5")
            .and_then(|mut update| update.execute(params![id, state, at, body, was.as_str()])),
    };
    if written.map_err(rejected)? == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("plan {} is in another state than expected", head.id)))
}

/// Writes what holds a target.
pub(super) fn hold(db: &Transaction<'_>, target: &TargetId, hold: &Hold) -> Result<(), StoreError> {
    let done = if hold.is_empty() {
        db.execute("DELETE FROM hold WHERE target = ?1", [target.as_str()])
    } else {
        db.execute("INSERT OR REPLACE INTO hold (target, body) VALUES (?1, ?2)", [target.as_str(), &json(hold)?])
    };
    done.map(|_| ()).map_err(rejected)
}
