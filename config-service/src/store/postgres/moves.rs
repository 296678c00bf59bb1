//! What PostgreSQL keeps of planned moves, and of what operators have said of pods.

use super::super::{MoveFilter, bound, json, json_of};
use super::{StoreError, session::Failure, signed};
use crate::domain::Marks;
use shared::PodId;
use shared::wire::handoff::{Move, MoveState};
use sqlx::{PgConnection, Row, postgres::PgRow};

/// Reads all moves that are not over, by number.
pub(super) async fn running(db: &mut PgConnection) -> Result<Vec<Move>, Failure> {
    let sql = "SELECT body FROM move WHERE state NOT IN ('cleaned', 'aborted') ORDER BY id";
    sqlx::query(sql).fetch_all(db).await?.iter().map(body).collect()
}

/// Reads moves, newest first.
pub(super) async fn read(db: &mut PgConnection, wanted: &MoveFilter, limit: usize) -> Result<Vec<Move>, Failure> {
    let ids: Option<Vec<i64>> = wanted.ids.as_ref().map(|ids| ids.iter().map(|id| bound(id.0)).collect());
    let rows = sqlx::query(
        "SELECT body FROM move
         WHERE ($1::bigint[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR state = $2)
               AND ($3::text IS NULL OR target = $3) AND ($4::text IS NULL OR source = $4 OR destination = $4)
               AND id < $5
         ORDER BY id DESC LIMIT $6",
    )
    .bind(ids)
    .bind(wanted.state.map(MoveState::as_str))
    .bind(wanted.target.as_ref().map(ToString::to_string))
    .bind(wanted.pod.as_ref().map(ToString::to_string))
    .bind(wanted.before.map_or(i64::MAX, |before| bound(before.0)))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    rows.iter().map(body).collect()
}

fn body(row: &PgRow) -> Result<Move, Failure> {
    Ok(json_of(row.try_get(0)?)?)
}

/// The columns of moves to be written.
#[derive(Default)]
pub(super) struct Columns {
    begun: Lines,
    changed: Lines,
    target: Vec<String>,
    source: Vec<String>,
    destination: Vec<String>,
    expected: Vec<&'static str>,
}

/// What is written of each, whether it begins or changes.
#[derive(Default)]
struct Lines {
    id: Vec<i64>,
    state: Vec<&'static str>,
    revision: Vec<i64>,
    ended_ms: Vec<Option<i64>>,
    body: Vec<String>,
}

impl Lines {
    fn push(&mut self, entry: &Move) -> Result<(), StoreError> {
        self.id.push(signed(entry.id.0)?);
        self.state.push(entry.state.as_str());
        self.revision.push(signed(entry.revision.0)?);
        self.ended_ms.push(entry.ended_ms.map(signed).transpose()?);
        self.body.push(json(entry)?);
        Ok(())
    }
}

impl Columns {
    /// Adds a move with the state it expects to find.
    pub(super) fn push(&mut self, entry: &Move, expected: Option<MoveState>) -> Result<(), StoreError> {
        match expected {
            Some(was) => {
                self.expected.push(was.as_str());
                self.changed.push(entry)
            }
            None => {
                self.target.push(entry.target.to_string());
                self.source.push(entry.from.to_string());
                self.destination.push(entry.to.to_string());
                self.begun.push(entry)
            }
        }
    }

    /// Writes them.
    pub(super) async fn write(self, db: &mut PgConnection) -> Result<(), Failure> {
        let Self { begun, changed, target, source, destination, expected } = self;
        if !begun.id.is_empty() {
            sqlx::query(
                "INSERT INTO move (id, state, revision, ended_ms, body, target, source, destination)
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[],
                                      $6::text[], $7::text[], $8::text[])",
            )
            .bind(begun.id)
            .bind(begun.state)
            .bind(begun.revision)
            .bind(begun.ended_ms)
            .bind(begun.body)
            .bind(target)
            .bind(source)
            .bind(destination)
            .execute(&mut *db)
            .await?;
        }
        let count = changed.id.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let written = sqlx::query(
            "UPDATE move m SET state = n.state, revision = n.revision, ended_ms = n.ended_ms, body = n.body
             FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
                  AS n (id, state, revision, ended_ms, body, expected)
             WHERE m.id = n.id AND m.state = n.expected",
        )
        .bind(changed.id)
        .bind(changed.state)
        .bind(changed.revision)
        .bind(changed.ended_ms)
        .bind(changed.body)
        .bind(expected)
        .execute(db)
        .await?;
        if written.rows_affected() == count {
            return Ok(());
        }
        Err(StoreError::Conflict("a move is in another state than expected".to_owned()).into())
    }
}

/// Writes what an operator has said of a pod.
pub(super) async fn mark(db: &mut PgConnection, pod: &PodId, marks: Marks) -> Result<(), Failure> {
    let written = sqlx::query("UPDATE pod SET cordoned = $2, draining = $3 WHERE name = $1")
        .bind(pod.as_str())
        .bind(marks.cordoned)
        .bind(marks.draining)
        .execute(db)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("pod {pod} is not known")).into())
}
