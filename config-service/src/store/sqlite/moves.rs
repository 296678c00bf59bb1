//! What SQLite keeps of planned moves, and of what operators have said of pods.

use super::super::{MoveFilter, bound, json, json_of};
use super::{StoreError, rejected, signed};
use crate::domain::Marks;
use rusqlite::{Params, Transaction, params, params_from_iter, types::Value};
use shared::PodId;
use shared::wire::handoff::{Move, MoveState};

/// Reads all moves that are not over, by number.
pub(super) fn running(db: &Transaction<'_>) -> Result<Vec<Move>, StoreError> {
    bodies(db, "SELECT body FROM move WHERE state NOT IN ('cleaned', 'aborted') ORDER BY id", [])
}

/// Reads moves, newest first.
pub(super) fn read(db: &Transaction<'_>, wanted: &MoveFilter, limit: usize) -> Result<Vec<Move>, StoreError> {
    let (mut sql, mut values): (String, Vec<Value>) = ("SELECT body FROM move WHERE true".to_owned(), Vec::new());
    let mut only = |text: &str, of: Vec<Value>| {
        sql.push_str(text);
        values.extend(of);
    };
    if let Some(ids) = &wanted.ids {
        only(&format!(" AND id IN ({})", vec!["?"; ids.len()].join(", ")), Vec::new());
        for id in ids {
            only("", vec![bound(id.0).into()]);
        }
    }
    if let Some(state) = wanted.state {
        only(" AND state = ?", vec![state.as_str().to_owned().into()]);
    }
    if let Some(target) = &wanted.target {
        only(" AND target = ?", vec![target.to_string().into()]);
    }
    if let Some(pod) = &wanted.pod {
        only(" AND (source = ? OR destination = ?)", vec![pod.to_string().into(), pod.to_string().into()]);
    }
    if let Some(before) = wanted.before {
        only(" AND id < ?", vec![bound(before.0).into()]);
    }
    only(" ORDER BY id DESC LIMIT ?", vec![i64::try_from(limit).unwrap_or(i64::MAX).into()]);
    bodies(db, &sql, params_from_iter(values))
}

fn bodies(db: &Transaction<'_>, sql: &str, params: impl Params) -> Result<Vec<Move>, StoreError> {
    let mut statement = db.prepare_cached(sql).map_err(rejected)?;
    let bodies = statement.query_map(params, |row| row.get::<_, String>(0)).map_err(rejected)?;
    bodies.map(|body| json_of(&body.map_err(rejected)?)).collect()
}

/// Writes a move under the expectation of its write.
pub(super) fn write(db: &Transaction<'_>, entry: &Move, expected: Option<MoveState>) -> Result<(), StoreError> {
    let (id, revision) = (signed(entry.id.0)?, signed(entry.revision.0)?);
    let (state, ended, body) = (entry.state.as_str(), entry.ended_ms.map(signed).transpose()?, json(entry)?);
    let written = match expected {
        None => db
            .prepare_cached(
                "INSERT INTO move (id, target, source, destination, state, revision, ended_ms, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .and_then(|mut insert| {
                let (target, from, to) = (entry.target.as_str(), entry.from.as_str(), entry.to.as_str());
                insert.execute(params![id, target, from, to, state, revision, ended, body])
            }),
        Some(was) => db
            .prepare_cached(
                "UPDATE move SET state = ?2, revision = ?3, ended_ms = ?4, body = ?5 WHERE id = ?1 AND state = ?6",
            )
            .and_then(|mut update| update.execute(params![id, state, revision, ended, body, was.as_str()])),
    };
    if written.map_err(rejected)? == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("move {} is in another state than expected", entry.id)))
}

/// Writes what an operator has said of a pod.
pub(super) fn mark(db: &Transaction<'_>, pod: &PodId, marks: Marks) -> Result<(), StoreError> {
    let written = db
        .prepare_cached("UPDATE pod SET cordoned = ?2, draining = ?3 WHERE name = ?1")
        .and_then(|mut update| update.execute(params![pod.as_str(), marks.cordoned, marks.draining]));
    if written.map_err(rejected)? == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("pod {pod} is not known")))
}
