//! The rows of PostgreSQL's tables: writing a batch, with what each write expects, and reading everything. Whole columns
//! travel as arrays, so that a batch of thousands is a handful of statements.

use super::super::{
    DataColumns, Log, Reign, bound, covers, data_of, decode, encode, json, json_of, name, state_of, track_of,
};
use super::{
    StoreError, fleet, moves, plans,
    session::{Failure, READ_ONLY},
    signed, unsigned,
};
use crate::domain::{Assignments, Batch, Change, Marks, PodRecord, Reading, Write};
use futures_util::TryStreamExt;
use shared::wire::control::{Assignment, PodInfo};
use shared::{Epoch, Incarnation, LeaseId, Revision, TargetId, Term};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::time::Duration;

pub(super) async fn pods(db: &mut PgConnection) -> Result<Vec<PodRecord>, Failure> {
    let rows = sqlx::query(
        "SELECT name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision,
                buried, previous, report, bot, cordoned, draining, replica, track
         FROM pod ORDER BY name",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(pod).collect()
}

fn pod(row: &PgRow) -> Result<PodRecord, Failure> {
    let info = PodInfo {
        pod: name(row.try_get(0)?)?,
        incarnation: name(row.try_get(1)?)?,
        address: row.try_get(2)?,
        zone: row.try_get(3)?,
        capacity: row.try_get(4)?,
        revision: Revision(unsigned(row.try_get(9)?)?),
    };
    Ok(PodRecord {
        info,
        lease_id: LeaseId(unsigned(row.try_get(5)?)?),
        schema: u32::try_from(row.try_get::<i64, _>(6)?).unwrap_or(u32::MAX),
        version: row.try_get(7)?,
        loss_accepted: row.try_get(8)?,
        buried: row.try_get(10)?,
        previous: row.try_get::<Option<&str>, _>(11)?.map(name).transpose()?,
        report: row.try_get(12)?,
        bot: row.try_get::<Option<&str>, _>(13)?.map(json_of).transpose()?,
        marks: Marks { cordoned: row.try_get(14)?, draining: row.try_get(15)? },
        replica: row.try_get(16)?,
        track: track_of(row.try_get(17)?)?,
    })
}

/// Reads all assignments; what is as it is `known` shares its room.
pub(super) async fn assignments(db: &mut PgConnection, known: Assignments) -> Result<Assignments, Failure> {
    let mut rows = sqlx::query(
        "SELECT target, pod, epoch, revision, parent, reason, since_ms, state, data_pod, data_incarnation, data_epoch,
                data_before, data_restoring, data_from_pod, data_from_incarnation, data_trouble
         FROM assignment ORDER BY target",
    )
    .fetch(db);
    let mut all = Reading::of(known);
    while let Some(row) = rows.try_next().await? {
        let parent: Option<&str> = row.try_get(4)?;
        // Most have none of these columns: of a million rows they are not even looked at.
        let data_pod: Option<&str> = row.try_get(8)?;
        let data = match data_pod {
            None => None,
            pod => data_of(DataColumns {
                pod,
                incarnation: row.try_get(9)?,
                epoch: row.try_get(10)?,
                before: row.try_get(11)?,
                restoring: row.try_get(12)?,
                from_pod: row.try_get(13)?,
                from_incarnation: row.try_get(14)?,
                trouble: row.try_get(15)?,
            })?,
        };
        all.push(Assignment {
            target: name(row.try_get(0)?)?,
            pod: name(row.try_get(1)?)?,
            epoch: Epoch(unsigned(row.try_get(2)?)?),
            revision: Revision(unsigned(row.try_get(3)?)?),
            parent: parent.map(name).transpose()?,
            reason: row.try_get(5)?,
            since_ms: unsigned(row.try_get(6)?)?,
            state: state_of(row.try_get(7)?)?,
            data,
        });
    }
    Ok(all.done())
}

/// The columns of assignments to be written, which lie in their changes.
#[derive(Default)]
struct Columns<'a> {
    target: Vec<&'a str>,
    pod: Vec<&'a str>,
    epoch: Vec<i64>,
    revision: Vec<i64>,
    parent: Vec<Option<&'a str>>,
    reason: Vec<&'a str>,
    since_ms: Vec<i64>,
    state: Vec<&'static str>,
    data_pod: Vec<Option<&'a str>>,
    data_incarnation: Vec<Option<&'a str>>,
    data_epoch: Vec<Option<i64>>,
    data_before: Vec<Option<i64>>,
    data_restoring: Vec<bool>,
    data_from_pod: Vec<Option<&'a str>>,
    data_from_incarnation: Vec<Option<&'a str>>,
    data_trouble: Vec<Option<&'a str>>,
    expected_pod: Vec<&'a str>,
    expected_epoch: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, assignment: &'a Assignment) -> Result<(), StoreError> {
        self.target.push(assignment.target.as_str());
        self.pod.push(assignment.pod.as_str());
        self.epoch.push(signed(assignment.epoch.0)?);
        self.revision.push(signed(assignment.revision.0)?);
        self.parent.push(assignment.parent.as_ref().map(TargetId::as_str));
        self.reason.push(&assignment.reason);
        self.since_ms.push(signed(assignment.since_ms)?);
        self.state.push(assignment.state.as_str());
        let data = assignment.data.as_ref();
        self.data_pod.push(data.map(|data| data.pod.as_str()));
        self.data_incarnation.push(data.map(|data| data.incarnation.as_str()));
        self.data_epoch.push(data.map(|data| signed(data.epoch.0)).transpose()?);
        self.data_before.push(data.and_then(|data| data.before).map(|before| signed(before.0)).transpose()?);
        self.data_restoring.push(data.is_some_and(|data| data.restoring));
        let origin = data.and_then(|data| data.origin.as_ref());
        self.data_from_pod.push(origin.map(|life| life.pod.as_str()));
        self.data_from_incarnation.push(origin.map(|life| life.incarnation.as_str()));
        self.data_trouble.push(data.and_then(|data| data.trouble.as_deref()));
        Ok(())
    }
}

/// Writes what `changes` say, each under the expectation of its write in `batch`.
pub(super) async fn write(db: &mut PgConnection, batch: &Batch, changes: &[Change]) -> Result<(), Failure> {
    let (mut new, mut moved) = (Columns::default(), Columns::default());
    let mut planned = moves::Columns::default();
    for (write, change) in batch.writes.iter().zip(changes) {
        match (write, change) {
            (Write::Pod { expected, .. }, Change::Pod(record)) => write_pod(db, record, *expected).await?,
            (Write::Bury(_), Change::Pod(record)) => fleet::bury(db, record).await?,
            (Write::Members(_), Change::Members { members, .. }) => fleet::write_members(db, members).await?,
            (Write::Fencing(_), Change::Fencing { fencing, .. }) => fleet::write_fencing(db, fencing).await?,
            (Write::Settle(generation), Change::Settled { .. }) => fleet::settle(db, *generation).await?,
            (Write::Assign { expected: None, .. }, Change::Assignment { assignment, .. }) => new.push(assignment)?,
            (Write::Assign { expected: Some((pod, epoch)), .. }, Change::Assignment { assignment, .. }) => {
                moved.push(assignment)?;
                moved.expected_pod.push(pod.as_str());
                moved.expected_epoch.push(signed(epoch.0)?);
            }
            (Write::Move { expected, .. }, Change::Move(entry)) => planned.push(entry, *expected)?,
            (Write::Plan { moves, expected, .. }, Change::Plan { head }) => {
                plans::write(db, head, moves.as_deref(), *expected).await?;
            }
            (Write::Hold { .. }, Change::Held { target, hold, .. }) => plans::hold(db, target, hold).await?,
            (Write::Mark { .. }, Change::Marked { pod, marks, .. }) => moves::mark(db, pod, *marks).await?,
            _ => return Err(StoreError::Rejected("a change does not belong to its write".to_owned()).into()),
        }
    }
    insert(db, new).await?;
    update(db, moved).await?;
    planned.write(db).await
}

async fn write_pod(db: &mut PgConnection, record: &PodRecord, expected: Option<LeaseId>) -> Result<(), Failure> {
    let info = &record.info;
    let statement = match expected {
        None => {
            "INSERT INTO pod (name, incarnation, address, zone, capacity, lease_id, schema_version, version, loss_accepted, revision,
                              buried, previous, report, bot, replica, track)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14, $15, $16, $17 WHERE $11 = 0 ON CONFLICT (name) DO NOTHING"
        }
        Some(_) => {
            "UPDATE pod SET incarnation = $2, address = $3, zone = $4, capacity = $5, lease_id = $6, schema_version = $7,
                    version = $8, loss_accepted = $9, revision = $10, buried = $12, previous = $13, report = $14, bot = $15,
                    replica = $16, track = $17
             WHERE name = $1 AND lease_id = $11"
        }
    };
    let written = sqlx::query(statement)
        .bind(info.pod.as_str())
        .bind(info.incarnation.as_str())
        .bind(&info.address)
        .bind(&info.zone)
        .bind(info.capacity)
        .bind(signed(record.lease_id.0)?)
        .bind(i64::from(record.schema))
        .bind(&record.version)
        .bind(record.loss_accepted)
        .bind(signed(info.revision.0)?)
        .bind(signed(expected.unwrap_or_default().0)?)
        .bind(record.buried)
        .bind(record.previous.as_ref().map(Incarnation::as_str))
        .bind(record.report)
        .bind(record.bot.as_ref().map(json).transpose()?)
        .bind(record.replica.as_deref())
        .bind(record.track.as_str())
        .execute(db)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("pod {} has another lease than expected", info.pod)).into())
}

async fn insert(db: &mut PgConnection, columns: Columns<'_>) -> Result<(), Failure> {
    let count = columns.target.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let written = sqlx::query(
        "INSERT INTO assignment
                (target, pod, epoch, revision, parent, reason, since_ms, state, data_pod, data_incarnation, data_epoch,
                 data_before, data_restoring, data_from_pod, data_from_incarnation, data_trouble)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[],
                              $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::boolean[],
                              $14::text[], $15::text[], $16::text[])
         ON CONFLICT (target) DO NOTHING",
    )
    .bind(columns.target)
    .bind(columns.pod)
    .bind(columns.epoch)
    .bind(columns.revision)
    .bind(columns.parent)
    .bind(columns.reason)
    .bind(columns.since_ms)
    .bind(columns.state)
    .bind(columns.data_pod)
    .bind(columns.data_incarnation)
    .bind(columns.data_epoch)
    .bind(columns.data_before)
    .bind(columns.data_restoring)
    .bind(columns.data_from_pod)
    .bind(columns.data_from_incarnation)
    .bind(columns.data_trouble)
    .execute(db)
    .await?;
    if written.rows_affected() == count {
        return Ok(());
    }
    Err(StoreError::Conflict("a target that is to be placed has an owner already".to_owned()).into())
}

async fn update(db: &mut PgConnection, columns: Columns<'_>) -> Result<(), Failure> {
    let count = columns.target.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let written = sqlx::query(
        "UPDATE assignment a SET pod = n.pod, epoch = n.epoch, revision = n.revision, parent = n.parent,
                reason = n.reason, since_ms = n.since_ms, state = n.state, data_pod = n.data_pod,
                data_incarnation = n.data_incarnation, data_epoch = n.data_epoch, data_before = n.data_before,
                data_restoring = n.data_restoring, data_from_pod = n.data_from_pod,
                data_from_incarnation = n.data_from_incarnation, data_trouble = n.data_trouble
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[],
                     $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::boolean[], $14::text[],
                     $15::text[], $16::text[], $17::text[], $18::bigint[])
              AS n (target, pod, epoch, revision, parent, reason, since_ms, state, data_pod, data_incarnation,
                    data_epoch, data_before, data_restoring, data_from_pod, data_from_incarnation, data_trouble,
                    expected_pod, expected_epoch)
         WHERE a.target = n.target AND a.pod = n.expected_pod AND a.epoch = n.expected_epoch AND n.epoch > a.epoch",
    )
    .bind(columns.target)
    .bind(columns.pod)
    .bind(columns.epoch)
    .bind(columns.revision)
    .bind(columns.parent)
    .bind(columns.reason)
    .bind(columns.since_ms)
    .bind(columns.state)
    .bind(columns.data_pod)
    .bind(columns.data_incarnation)
    .bind(columns.data_epoch)
    .bind(columns.data_before)
    .bind(columns.data_restoring)
    .bind(columns.data_from_pod)
    .bind(columns.data_from_incarnation)
    .bind(columns.data_trouble)
    .bind(columns.expected_pod)
    .bind(columns.expected_epoch)
    .execute(db)
    .await?;
    if written.rows_affected() == count {
        return Ok(());
    }
    Err(StoreError::Conflict("a target has another owner or epoch than expected".to_owned()).into())
}

/// Appends the changes to the log.
pub(super) async fn log(db: &mut PgConnection, changes: &[Change], now_ms: u64) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let revisions = changes.iter().map(|change| signed(change.revision().0)).collect::<Result<Vec<_>, _>>()?;
    let bodies = changes.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO change (revision, at_ms, body) SELECT r, $2, b FROM unnest($1::bigint[], $3::text[]) AS n (r, b)",
    )
    .bind(revisions)
    .bind(signed(now_ms)?)
    .bind(bodies)
    .execute(db)
    .await?;
    Ok(())
}

/// Reads a piece of the log.
pub(super) async fn changes(db: &mut PgConnection, after: Revision, limit: usize) -> Result<Log, Failure> {
    follow(db, after, limit).await.map(|(log, ..)| log)
}

/// Reads a piece of the log, how often tokens or settings were edited, and who leads. One statement, one snapshot of the
/// database: the bounds and the rows belong together. A database that takes no changes is refused: it may be a copy that
/// lags behind, or an old primary.
pub(super) async fn follow(db: &mut PgConnection, after: Revision, limit: usize) -> Result<(Log, u64, Reign), Failure> {
    let after = bound(after.0);
    let found = sqlx::query(
        "SELECT l.revision, (SELECT min(revision) FROM change), c.body, l.edits, e.term, e.address,
                greatest(extract(epoch FROM e.expires_at - clock_timestamp()), 0)::double precision,
                current_setting('transaction_read_only') = 'on'
         FROM leader l CROSS JOIN leader_lease e LEFT JOIN
              (SELECT revision, body FROM change WHERE revision > $1 ORDER BY revision LIMIT $2) c ON true
         ORDER BY c.revision",
    )
    .bind(after)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    let Some(first) = found.first() else {
        return Err(StoreError::Unusable("the database has lost its row of the leader".to_owned()).into());
    };
    if first.try_get(7)? {
        return Err(StoreError::Rejected(READ_ONLY.to_owned()).into());
    }
    let remaining = Duration::try_from_secs_f64(first.try_get(6)?).unwrap_or_default();
    let reign = Reign { term: Term(unsigned(first.try_get(4)?)?), address: first.try_get(5)?, remaining };
    let edits = unsigned(first.try_get(3)?)?;
    if !covers(first.try_get(0)?, first.try_get(1)?, after) {
        return Ok((Log::Gone, edits, reign));
    }
    let mut changes = Vec::with_capacity(found.len());
    for row in found {
        if let Some(body) = row.try_get::<Option<String>, _>(2)? {
            changes.push(decode(&body)?);
        }
    }
    Ok((Log::Changes(changes), edits, reign))
}
