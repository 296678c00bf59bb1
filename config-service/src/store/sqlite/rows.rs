//! The rows of SQLite's tables: writing a batch, with what each write expects, and reading everything.

use super::super::{encode, name};
use super::{StoreError, rejected, signed, unsigned};
use crate::domain::{Batch, Change, PodRecord, Write};
use rusqlite::{Row, Transaction, params};
use shared::wire::control::{Assignment, PodInfo};
use shared::{Epoch, LeaseId, PodId, Revision};

pub(super) fn pods(db: &Transaction<'_>) -> Result<Vec<PodRecord>, StoreError> {
    let mut statement = db
        .prepare(
            "SELECT name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision
             FROM pod ORDER BY name",
        )
        .map_err(rejected)?;
    let mut rows = statement.query([]).map_err(rejected)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(rejected)? {
        all.push(pod(row)?);
    }
    Ok(all)
}

fn pod(row: &Row<'_>) -> Result<PodRecord, StoreError> {
    let text = |at: usize| row.get::<_, String>(at).map_err(rejected);
    let number = |at: usize| row.get::<_, i64>(at).map_err(rejected).and_then(unsigned);
    let info = PodInfo {
        pod: name(&text(0)?)?,
        incarnation: name(&text(1)?)?,
        address: text(2)?,
        zone: row.get(3).map_err(rejected)?,
        capacity: row.get(4).map_err(rejected)?,
        revision: Revision(number(9)?),
    };
    Ok(PodRecord {
        info,
        lease_id: LeaseId(number(5)?),
        schema: u32::try_from(number(6)?).unwrap_or(u32::MAX),
        version: text(7)?,
        loss_accepted: row.get(8).map_err(rejected)?,
    })
}

pub(super) fn assignments(db: &Transaction<'_>) -> Result<Vec<Assignment>, StoreError> {
    let mut statement = db
        .prepare("SELECT target, pod, epoch, revision, parent, reason, since_ms FROM assignment ORDER BY target")
        .map_err(rejected)?;
    let mut rows = statement.query([]).map_err(rejected)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(rejected)? {
        let text = |at: usize| row.get::<_, String>(at).map_err(rejected);
        let number = |at: usize| row.get::<_, i64>(at).map_err(rejected).and_then(unsigned);
        let parent: Option<String> = row.get(4).map_err(rejected)?;
        all.push(Assignment {
            target: name(&text(0)?)?,
            pod: name(&text(1)?)?,
            epoch: Epoch(number(2)?),
            revision: Revision(number(3)?),
            parent: parent.as_deref().map(name).transpose()?,
            reason: text(5)?,
            since_ms: number(6)?,
            state: Default::default(),
            data: None,
        });
    }
    Ok(all)
}

/// Writes what `changes` say, each under the expectation of its write in `batch`.
pub(super) fn write(db: &Transaction<'_>, batch: &Batch, changes: &[Change]) -> Result<(), StoreError> {
    for (write, change) in batch.writes.iter().zip(changes) {
        match (write, change) {
            (Write::Pod { expected, .. }, Change::Pod(record)) => write_pod(db, record, *expected)?,
            (Write::Assign { expected, .. }, Change::Assignment { assignment, .. }) => {
                assign(db, assignment, expected.as_ref())?;
            }
            _ => return Err(StoreError::Rejected("a change does not belong to its write".to_owned())),
        }
    }
    Ok(())
}

fn write_pod(db: &Transaction<'_>, record: &PodRecord, expected: Option<LeaseId>) -> Result<(), StoreError> {
    let info = &record.info;
    let statement = match expected {
        None => {
            "INSERT INTO pod (name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE ?11 = 0 ON CONFLICT (name) DO NOTHING"
        }
        Some(_) => {
            "UPDATE pod SET incarnation = ?2, address = ?3, zone = ?4, capacity = ?5, lease_id = ?6, schema_version = ?7,
                    version = ?8, loss_accepted = ?9, revision = ?10
             WHERE name = ?1 AND lease_id = ?11"
        }
    };
    let written = db
        .prepare_cached(statement)
        .and_then(|mut statement| {
            statement.execute(params![
                info.pod.as_str(),
                info.incarnation.as_str(),
                info.address,
                info.zone,
                info.capacity,
                record.lease_id.0.cast_signed(),
                record.schema,
                record.version,
                record.loss_accepted,
                info.revision.0.cast_signed(),
                expected.unwrap_or_default().0.cast_signed(),
            ])
        })
        .map_err(rejected)?;
    if written == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("pod {} has another lease than expected", info.pod)))
}

fn assign(db: &Transaction<'_>, assignment: &Assignment, expected: Option<&(PodId, Epoch)>) -> Result<(), StoreError> {
    let parent = assignment.parent.as_ref().map(|parent| parent.as_str());
    let (target, pod) = (assignment.target.as_str(), assignment.pod.as_str());
    let (epoch, revision) = (signed(assignment.epoch.0)?, signed(assignment.revision.0)?);
    let (reason, since) = (assignment.reason.as_str(), signed(assignment.since_ms)?);
    let written = match expected {
        None => db
            .prepare_cached(
                "INSERT INTO assignment (target, pod, epoch, revision, parent, reason, since_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (target) DO NOTHING",
            )
            .and_then(|mut insert| insert.execute(params![target, pod, epoch, revision, parent, reason, since])),
        Some((from, was)) => db
            .prepare_cached(
                "UPDATE assignment SET pod = ?2, epoch = ?3, revision = ?4, parent = ?5, reason = ?6, since_ms = ?7
                 WHERE target = ?1 AND pod = ?8 AND epoch = ?9 AND ?3 > epoch",
            )
            .and_then(|mut update| {
                let was = was.0.cast_signed();
                update.execute(params![target, pod, epoch, revision, parent, reason, since, from.as_str(), was])
            }),
    };
    if written.map_err(rejected)? == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("{target} has another owner or epoch than expected")))
}

/// Appends the changes to the log.
pub(super) fn log(db: &Transaction<'_>, changes: &[Change], now_ms: u64) -> Result<(), StoreError> {
    let mut insert =
        db.prepare_cached("INSERT INTO change (revision, at_ms, body) VALUES (?1, ?2, ?3)").map_err(rejected)?;
    for change in changes {
        let revision = signed(change.revision().0)?;
        insert.execute(params![revision, signed(now_ms)?, encode(change)?]).map_err(rejected)?;
    }
    Ok(())
}
