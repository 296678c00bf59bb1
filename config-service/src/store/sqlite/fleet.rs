//! SQLite's rows about the pods together: the dead, the witness config, fencing, and the cluster's generation.

use super::super::{check_generation, name, names, names_of};
use super::{StoreError, rejected, signed, unsigned};
use crate::domain::{Base, Fencing, Members, PodRecord};
use rusqlite::{Params, Row, Transaction, params};
use shared::{Epoch, LeaseId, Term};

fn text(row: &Row<'_>, at: usize) -> Result<String, StoreError> {
    row.get(at).map_err(rejected)
}

fn number(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
    row.get::<_, i64>(at).map_err(rejected).and_then(unsigned)
}

pub(super) fn members(db: &Transaction<'_>) -> Result<Members, StoreError> {
    let mut statement = db.prepare_cached("SELECT version, now, before FROM members").map_err(rejected)?;
    let mut rows = statement.query([]).map_err(rejected)?;
    let Some(row) = rows.next().map_err(rejected)? else { return Ok(Members::default()) };
    Ok(Members { version: number(row, 0)?, now: names_of(&text(row, 1)?)?, before: names_of(&text(row, 2)?)? })
}

pub(super) fn fencing(db: &Transaction<'_>) -> Result<Vec<Fencing>, StoreError> {
    let sql = "SELECT pod, lease_id, round, term FROM fencing ORDER BY pod";
    let mut statement = db.prepare_cached(sql).map_err(rejected)?;
    let mut rows = statement.query([]).map_err(rejected)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(rejected)? {
        let (lease_id, term) = (LeaseId(number(row, 1)?), Term(number(row, 3)?));
        all.push(Fencing { pod: name(&text(row, 0)?)?, lease_id, round: number(row, 2)?, term });
    }
    Ok(all)
}

pub(super) fn bury(db: &Transaction<'_>, record: &PodRecord) -> Result<(), StoreError> {
    let info = &record.info;
    let sql = "UPDATE pod SET buried = 1, revision = ?4 WHERE name = ?1 AND incarnation = ?2 AND lease_id = ?3 AND buried = 0";
    let (lease, revision) = (signed(record.lease_id.0)?, signed(info.revision.0)?);
    one(db, sql, params![info.pod.as_str(), info.incarnation.as_str(), lease, revision], || {
        format!("pod {} has registered again, or is buried", info.pod)
    })
}

pub(super) fn write_members(db: &Transaction<'_>, members: &Members) -> Result<(), StoreError> {
    let sql = "UPDATE members SET version = ?1, now = ?2, before = ?3 WHERE version IN (?1, ?1 - 1)";
    one(db, sql, params![signed(members.version)?, names(&members.now), names(&members.before)], || {
        format!("the witness config before {} is not in force", members.version)
    })
}

pub(super) fn write_fencing(db: &Transaction<'_>, fencing: &Fencing) -> Result<(), StoreError> {
    let sql = "INSERT INTO fencing (pod, lease_id, round, term) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (pod) DO UPDATE SET lease_id = ?2, round = ?3, term = ?4 WHERE lease_id <= ?2 AND round < ?3";
    let (lease, round, term) = (signed(fencing.lease_id.0)?, signed(fencing.round)?, signed(fencing.term.0)?);
    one(db, sql, params![fencing.pod.as_str(), lease, round, term], || {
        format!("pod {} is fenced further than expected", fencing.pod)
    })
}

pub(super) fn settle(db: &Transaction<'_>, generation: u32) -> Result<(), StoreError> {
    db.execute("UPDATE leader SET settled = ?1", [i64::from(generation)]).map(|_| ()).map_err(rejected)
}

/// Begins generation `generation`, and ends the term: whoever leads next reads everything anew.
pub(super) fn begin_generation(db: &Transaction<'_>, generation: u32, last: Epoch) -> Result<(), StoreError> {
    check_generation(generation, last)?;
    let base = Base::of(generation);
    let (epoch, counter) = (signed(base.epoch.0)?, signed(base.counter)?);
    let leader = "UPDATE leader SET epoch = ?1, revision = max(revision, ?2), term = max(term, ?2)";
    db.execute(leader, [epoch, counter]).map_err(rejected)?;
    let lease = "UPDATE leader_lease SET term = max(term, ?1), expires_ms = 0";
    db.execute(lease, [counter]).map_err(rejected)?;
    let members = "UPDATE members SET version = max(version, ?1), before = now";
    db.execute(members, [counter]).map_err(rejected)?;
    db.execute("DELETE FROM change", []).map_err(rejected)?;
    let pods = "UPDATE pod SET previous = CASE WHEN report = 1 THEN previous ELSE incarnation END,
                report = 1, buried = 0, lease_id = max(lease_id, ?1)";
    db.execute(pods, [counter]).map_err(rejected)?;
    Ok(())
}

/// Runs a statement that has to change one row.
fn one(
    db: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    otherwise: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    let written = db.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(rejected)?;
    if written == 1 { Ok(()) } else { Err(StoreError::Conflict(otherwise())) }
}
