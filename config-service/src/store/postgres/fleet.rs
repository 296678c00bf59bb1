//! PostgreSQL's rows about the pods together: the dead, the witness config, fencing, and the cluster's generation.

use super::super::{check_generation, name, names, names_of};
use super::{StoreError, session::Failure, signed, unsigned};
use crate::domain::{Base, Fencing, Members, PodRecord};
use shared::{Epoch, LeaseId, Term};
use sqlx::{PgConnection, Row, postgres::PgRow};

pub(super) async fn members(db: &mut PgConnection) -> Result<Members, Failure> {
    let row = sqlx::query("SELECT version, now, before FROM members").fetch_one(db).await?;
    let version = unsigned(row.try_get(0)?)?;
    Ok(Members { version, now: names_of(row.try_get(1)?)?, before: names_of(row.try_get(2)?)? })
}

pub(super) async fn fencing(db: &mut PgConnection) -> Result<Vec<Fencing>, Failure> {
    let rows = sqlx::query("SELECT pod, lease_id, round, term FROM fencing ORDER BY pod").fetch_all(db).await?;
    let fencing = |row: &PgRow| {
        Ok(Fencing {
            pod: name(row.try_get(0)?)?,
            lease_id: LeaseId(unsigned(row.try_get(1)?)?),
            round: unsigned(row.try_get(2)?)?,
            term: Term(unsigned(row.try_get(3)?)?),
        })
    };
    rows.iter().map(fencing).collect()
}

pub(super) async fn bury(db: &mut PgConnection, record: &PodRecord) -> Result<(), Failure> {
    let statement = sqlx::query(
        "UPDATE pod SET buried = true, revision = $4 WHERE name = $1 AND incarnation = $2 AND lease_id = $3 AND NOT buried",
    )
    .bind(record.info.pod.as_str())
    .bind(record.info.incarnation.as_str())
    .bind(signed(record.lease_id.0)?)
    .bind(signed(record.info.revision.0)?);
    let written = statement.execute(db).await?;
    expect_one(written.rows_affected(), || format!("pod {} has registered again, or is buried", record.info.pod))
}

pub(super) async fn write_members(db: &mut PgConnection, members: &Members) -> Result<(), Failure> {
    let statement = sqlx::query("UPDATE members SET version = $1, now = $2, before = $3 WHERE version IN ($1, $1 - 1)")
        .bind(signed(members.version)?)
        .bind(names(&members.now))
        .bind(names(&members.before));
    let written = statement.execute(db).await?;
    expect_one(written.rows_affected(), || format!("the witness config before {} is not in force", members.version))
}

pub(super) async fn write_fencing(db: &mut PgConnection, fencing: &Fencing) -> Result<(), Failure> {
    let statement = sqlx::query(
        "INSERT INTO fencing AS f (pod, lease_id, round, term) VALUES ($1, $2, $3, $4)
         ON CONFLICT (pod) DO UPDATE SET lease_id = $2, round = $3, term = $4 WHERE f.lease_id <= $2 AND f.round < $3",
    )
    .bind(fencing.pod.as_str())
    .bind(signed(fencing.lease_id.0)?)
    .bind(signed(fencing.round)?)
    .bind(signed(fencing.term.0)?);
    let written = statement.execute(db).await?;
    expect_one(written.rows_affected(), || format!("pod {} is fenced further than expected", fencing.pod))
}

pub(super) async fn settle(db: &mut PgConnection, generation: u32) -> Result<(), Failure> {
    sqlx::query("UPDATE leader SET settled = $1").bind(i64::from(generation)).execute(db).await?;
    Ok(())
}

/// Begins generation `generation`, and ends the term: whoever leads next reads everything anew.
pub(super) async fn begin_generation(db: &mut PgConnection, generation: u32, last: Epoch) -> Result<(), Failure> {
    check_generation(generation, last)?;
    let base = Base::of(generation);
    let (epoch, counter) = (signed(base.epoch.0)?, signed(base.counter)?);
    let leader = "UPDATE leader SET epoch = $1, revision = greatest(revision, $2), term = greatest(term, $2)";
    sqlx::query(leader).bind(epoch).bind(counter).execute(&mut *db).await?;
    let lease = "UPDATE leader_lease SET term = greatest(term, $1), expires_at = '-infinity'";
    sqlx::query(lease).bind(counter).execute(&mut *db).await?;
    let members = "UPDATE members SET version = greatest(version, $1), before = now";
    sqlx::query(members).bind(counter).execute(&mut *db).await?;
    sqlx::query("TRUNCATE change").execute(&mut *db).await?;
    let pods = "UPDATE pod SET previous = CASE WHEN report THEN previous ELSE incarnation END,
                report = true, buried = false, lease_id = greatest(lease_id, $1)";
    sqlx::query(pods).bind(counter).execute(&mut *db).await?;
    Ok(())
}

fn expect_one(rows: u64, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Conflict(otherwise()).into()) }
}
