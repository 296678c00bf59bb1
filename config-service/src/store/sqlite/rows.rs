//! The rows of SQLite's tables: writing a batch, with what each write expects, and reading everything.

use super::super::{DataColumns, data_of, encode, json, json_of, name, state_of, track_of};
use super::{StoreError, fleet, moves, plans, rejected, signed, unsigned};
use crate::domain::{Assignments, Batch, Change, Marks, PodRecord, Reading, Write};
use rusqlite::{Row, Transaction, params};
use shared::wire::control::{Assignment, PodInfo};
use shared::{Epoch, Incarnation, LeaseId, PodId, Revision};

pub(super) fn pods(db: &Transaction<'_>) -> Result<Vec<PodRecord>, StoreError> {
    let mut statement = db
        .prepare(
            "SELECT name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision,
                    buried, previous, report, bot, cordoned, draining, replica, track
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
        buried: row.get(10).map_err(rejected)?,
        previous: maybe_text(row, 11)?.as_deref().map(name).transpose()?,
        report: row.get(12).map_err(rejected)?,
        bot: maybe_text(row, 13)?.as_deref().map(json_of).transpose()?,
        marks: Marks { cordoned: row.get(14).map_err(rejected)?, draining: row.get(15).map_err(rejected)? },
        replica: maybe_text(row, 16)?,
        track: track_of(&text(17)?)?,
    })
}

fn maybe_text(row: &Row<'_>, at: usize) -> Result<Option<String>, StoreError> {
    row.get(at).map_err(rejected)
}

/// Reads all assignments; what is as it is `known` shares its room.
pub(super) fn assignments(db: &Transaction<'_>, known: Assignments) -> Result<Assignments, StoreError> {
    let mut statement = db
        .prepare(
            "SELECT target, pod, epoch, revision, parent, reason, since_ms, state, data_pod, data_incarnation, data_epoch,
                    data_before, data_restoring, data_from_pod, data_from_incarnation, data_trouble
             FROM assignment ORDER BY target",
        )
        .map_err(rejected)?;
    let mut rows = statement.query([]).map_err(rejected)?;
    let mut all = Reading::of(known);
    while let Some(row) = rows.next().map_err(rejected)? {
        let text = |at: usize| row.get::<_, String>(at).map_err(rejected);
        let number = |at: usize| row.get::<_, i64>(at).map_err(rejected).and_then(unsigned);
        let (parent, data_pod, data_incarnation) = (maybe_text(row, 4)?, maybe_text(row, 8)?, maybe_text(row, 9)?);
        let (from_pod, from_incarnation) = (maybe_text(row, 13)?, maybe_text(row, 14)?);
        let data = DataColumns {
            pod: data_pod.as_deref(),
            incarnation: data_incarnation.as_deref(),
            epoch: row.get(10).map_err(rejected)?,
            before: row.get(11).map_err(rejected)?,
            restoring: row.get(12).map_err(rejected)?,
            from_pod: from_pod.as_deref(),
            from_incarnation: from_incarnation.as_deref(),
            trouble: maybe_text(row, 15)?,
        };
        all.push(Assignment {
            target: name(&text(0)?)?,
            pod: name(&text(1)?)?,
            epoch: Epoch(number(2)?),
            revision: Revision(number(3)?),
            parent: parent.as_deref().map(name).transpose()?,
            reason: text(5)?,
            since_ms: number(6)?,
            state: state_of(&text(7)?)?,
            data: data_of(data)?,
        });
    }
    Ok(all.done())
}

/// Writes what `changes` say, each under the expectation of its write in `batch`.
pub(super) fn write(db: &Transaction<'_>, batch: &Batch, changes: &[Change]) -> Result<(), StoreError> {
    for (write, change) in batch.writes.iter().zip(changes) {
        match (write, change) {
            (Write::Pod { expected, .. }, Change::Pod(record)) => write_pod(db, record, *expected)?,
            (Write::Assign { expected, .. }, Change::Assignment { assignment, .. }) => {
                assign(db, assignment, expected.as_ref())?;
            }
            (Write::Bury(_), Change::Pod(record)) => fleet::bury(db, record)?,
            (Write::Members(_), Change::Members { members, .. }) => fleet::write_members(db, members)?,
            (Write::Fencing(_), Change::Fencing { fencing, .. }) => fleet::write_fencing(db, fencing)?,
            (Write::Settle(generation), Change::Settled { .. }) => fleet::settle(db, *generation)?,
            (Write::Move { expected, .. }, Change::Move(entry)) => moves::write(db, entry, *expected)?,
            (Write::Plan { moves, expected, .. }, Change::Plan { head }) => {
                plans::write(db, head, moves.as_deref(), *expected)?;
            }
            (Write::Hold { .. }, Change::Held { target, hold, .. }) => plans::hold(db, target, hold)?,
            (Write::Mark { .. }, Change::Marked { pod, marks, .. }) => moves::mark(db, pod, *marks)?,
            _ => return Err(StoreError::Rejected("a change does not belong to its write".to_owned())),
        }
    }
    Ok(())
}

fn write_pod(db: &Transaction<'_>, record: &PodRecord, expected: Option<LeaseId>) -> Result<(), StoreError> {
    let info = &record.info;
    let statement = match expected {
        None => {
            "INSERT INTO pod (name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision,
                              buried, previous, report, bot, replica, track)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?12, ?13, ?14, ?15, ?16, ?17 WHERE ?11 = 0 ON CONFLICT (name) DO NOTHING"
        }
        Some(_) => {
            "UPDATE pod SET incarnation = ?2, address = ?3, zone = ?4, capacity = ?5, lease_id = ?6, schema_version = ?7,
                    version = ?8, loss_accepted = ?9, revision = ?10, buried = ?12, previous = ?13, report = ?14, bot = ?15,
                    replica = ?16, track = ?17
             WHERE name = ?1 AND lease_id = ?11"
        }
    };
    let bot = record.bot.as_ref().map(json).transpose()?;
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
                record.buried,
                record.previous.as_ref().map(Incarnation::as_str),
                record.report,
                bot,
                record.replica,
                record.track.as_str(),
            ])
        })
        .map_err(rejected)?;
    if written == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("pod {} has another lease than expected", info.pod)))
}

fn assign(db: &Transaction<'_>, assignment: &Assignment, expected: Option<&(PodId, Epoch)>) -> Result<(), StoreError> {
    let data = assignment.data.as_ref();
    let origin = data.and_then(|data| data.origin.as_ref());
    let (from, was) = expected.map_or((None, None), |(from, was)| (Some(from.as_str()), Some(was.0.cast_signed())));
    let params = params![
        assignment.target.as_str(),
        assignment.pod.as_str(),
        signed(assignment.epoch.0)?,
        signed(assignment.revision.0)?,
        assignment.parent.as_ref().map(|parent| parent.as_str()),
        assignment.reason.as_str(),
        signed(assignment.since_ms)?,
        assignment.state.as_str(),
        data.map(|data| data.pod.as_str()),
        data.map(|data| data.incarnation.as_str()),
        data.map(|data| signed(data.epoch.0)).transpose()?,
        data.and_then(|data| data.before).map(|before| signed(before.0)).transpose()?,
        from,
        was,
        data.is_some_and(|data| data.restoring),
        origin.map(|life| life.pod.as_str()),
        origin.map(|life| life.incarnation.as_str()),
        data.and_then(|data| data.trouble.as_deref()),
    ];
    let statement = if expected.is_none() {
        "INSERT INTO assignment
                (target, pod, epoch, revision, parent, reason, since_ms, state, data_pod, data_incarnation, data_epoch,
                 data_before, data_restoring, data_from_pod, data_from_incarnation, data_trouble)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?15, ?16, ?17, ?18 WHERE ?13 IS NULL AND ?14 IS NULL
         ON CONFLICT (target) DO NOTHING"
    } else {
        "UPDATE assignment SET pod = ?2, epoch = ?3, revision = ?4, parent = ?5, reason = ?6, since_ms = ?7, state = ?8,
                data_pod = ?9, data_incarnation = ?10, data_epoch = ?11, data_before = ?12,
                data_restoring = ?15, data_from_pod = ?16, data_from_incarnation = ?17, data_trouble = ?18
         WHERE target = ?1 AND pod = ?13 AND epoch = ?14 AND ?3 > epoch"
    };
    let written = db.prepare_cached(statement).and_then(|mut statement| statement.execute(params)).map_err(rejected)?;
    if written == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("{} has another owner or epoch than expected", assignment.target)))
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
