//! Reads a target's rows and packs them into parcels: everything, or what changed. Each from one state of the database, on a
//! connection that only reads; what is written meanwhile is not in it. Counts and sums up what is sent. Knows nothing of who
//! takes the parcels.

use super::{
    follow::Changed,
    parcel::{Cell, End, Key, Parcel, Part, Row, Sum, Summed, Unreadable},
    plan::{Plan, Table},
};
use crate::store::{LocalId, StoreError, open_reader};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use shared::{Epoch, TargetId};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows of a parcel at most: so long the receiver's writer is at it.
pub(super) const ROWS: usize = 2_000;
/// Bytes of a parcel at most, unless a single row is larger.
const BYTES: usize = 1 << 20;
/// Connections that are kept open when nobody copies.
const KEPT: usize = 16;

/// Connections to copy by.
#[derive(Debug)]
pub(crate) struct Snapshots {
    folder: PathBuf,
    free: Mutex<Vec<Connection>>,
}

/// A state of the database. It lasts until it is given back, and holds up the checkpoints so long.
#[derive(Debug)]
pub(crate) struct Snapshot {
    conn: Connection,
}

impl Snapshots {
    /// Reads the database in `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, free: Mutex::default() }
    }

    /// Returns a connection; it sees the database as of its first look, or of [`Snapshot::pin`].
    pub(crate) fn take(&self) -> Result<Snapshot, StoreError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match free {
            Some(conn) => conn,
            None => open_reader(&self.folder)?,
        };
        conn.execute_batch("BEGIN")?;
        Ok(Snapshot { conn })
    }

    /// Takes a connection back.
    pub(crate) fn give_back(&self, snapshot: Snapshot) {
        let Snapshot { conn } = snapshot;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && conn.execute_batch("ROLLBACK").is_ok() {
            free.push(conn);
        }
    }
}

impl Snapshot {
    /// Sees the database as it is now, from now on. Called by the writer between two groups.
    pub(crate) fn pin(&self) -> Result<(), StoreError> {
        self.conn.execute_batch("ROLLBACK; BEGIN")?;
        self.conn.query_row("SELECT commit_seq FROM meta", [], |_| Ok(()))?;
        Ok(())
    }

    fn own_row(&self, target: &TargetId) -> Result<Option<(LocalId, End)>, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT id, applied, duplicates, last_event_id, journal_seq, outbox_seq FROM target WHERE name = ?1",
        )?;
        let found = find.query_row([target.as_str()], |row| {
            let end = End {
                epoch: Epoch(0),
                rows: 0,
                checksum: Sum::default(),
                bytes: 0,
                applied: row.get(1)?,
                duplicates: row.get(2)?,
                last_event_id: row.get(3)?,
                journal_seq: row.get(4)?,
                outbox_seq: row.get(5)?,
                frozen_ms: 0,
            };
            Ok((LocalId(row.get(0)?), end))
        });
        Ok(found.optional()?)
    }
}

/// Why rows could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is to be sent cannot be written.
    #[error("a parcel cannot be written: {0}")]
    Form(#[from] Unreadable),
    /// The database has no row of the target.
    #[error("the database has nothing of the target")]
    Unknown,
    /// Whoever takes the parcels wants no more.
    #[error("the copy was broken off")]
    Cut,
}

impl From<rusqlite::Error> for NotSent {
    fn from(why: rusqlite::Error) -> Self {
        Self::Store(why.into())
    }
}

/// One attempt to send a target's rows: what has been sent so far.
#[derive(Debug)]
pub(crate) struct Sender {
    plan: Arc<Plan>,
    target: TargetId,
    epoch: Epoch,
    attempt: u64,
    next: u32,
    rows: u64,
    summed: Summed,
    sum: Sum,
    bytes: u64,
}

/// Gathers parts until they fill a parcel, and hands it on.
struct Packer<'a> {
    attempt: u64,
    next: &'a mut u32,
    bytes: &'a mut u64,
    parts: Vec<Part>,
    size: usize,
    rows: usize,
    sink: &'a mut dyn FnMut(Parcel) -> Result<(), NotSent>,
}

impl Packer<'_> {
    fn row(&mut self, table: u16, row: Row, gone: bool) -> Result<(), NotSent> {
        let size = row.cells.iter().map(Cell::size).sum::<usize>() + 8;
        if self.rows > 0 && (self.rows >= ROWS || self.size + size > BYTES) {
            self.hand_on()?;
        }
        self.size += size;
        self.rows += 1;
        match self.parts.last_mut() {
            Some(Part::Gone { table: last, keys }) if gone && *last == table => keys.push(row),
            Some(Part::Rows { table: last, rows }) if !gone && *last == table => rows.push(row),
            _ if gone => self.parts.push(Part::Gone { table, keys: vec![row] }),
            _ => self.parts.push(Part::Rows { table, rows: vec![row] }),
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<(), NotSent> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let parcel = Parcel { attempt: self.attempt, number: *self.next, parts: std::mem::take(&mut self.parts) };
        *self.next += 1;
        *self.bytes += self.size as u64;
        (self.size, self.rows) = (0, 0);
        (self.sink)(parcel)
    }
}

impl Sender {
    /// Begins an attempt.
    pub(crate) fn new(plan: Arc<Plan>, target: TargetId, epoch: Epoch, attempt: u64) -> Self {
        let summed = Summed::Rows;
        Self { plan, target, epoch, attempt, next: 0, rows: 0, summed, sum: Sum::default(), bytes: 0 }
    }

    /// Sums nothing up: for one that takes it in without, too.
    pub(crate) fn unsummed(self) -> Self {
        Self { summed: Summed::Nothing, ..self }
    }

    /// Returns whether a target's rows are fewer than `most` bytes, as they are sent.
    pub(crate) fn is_small(&self, snapshot: &Snapshot, most: usize) -> Result<bool, NotSent> {
        let Some((local, _)) = snapshot.own_row(&self.target)? else { return Err(NotSent::Unknown) };
        let mut size = 0;
        for table in &self.plan.tables {
            let mut find = snapshot.conn.prepare_cached(&whole(table))?;
            let mut rows = find.query([local.0])?;
            while let Some(row) = rows.next()? {
                for i in 0..=table.head.columns.len() {
                    size += row.get_ref(i).map(|value| Cell::of(value).size())?;
                }
                if size > most {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Sends everything, as the snapshot has it. `changes` says whether what changes follows; otherwise this is all, and
    /// the release stands at its end.
    pub(crate) fn all(
        &mut self,
        snapshot: &Snapshot,
        changes: bool,
        frozen_ms: impl FnOnce() -> u64,
        sink: &mut dyn FnMut(Parcel) -> Result<(), NotSent>,
    ) -> Result<(), NotSent> {
        let Some((local, mut end)) = snapshot.own_row(&self.target)? else { return Err(NotSent::Unknown) };
        let plan = Arc::clone(&self.plan);
        let head = Part::Head(plan.head(&self.target, self.epoch, changes));
        let (attempt, summed, mut sum, mut count) = (self.attempt, self.summed, self.sum, self.rows);
        let mut packer = self.packer(vec![head], sink);
        for (i, table) in (0..).zip(&plan.tables) {
            let mut find = snapshot.conn.prepare_cached(&whole(table))?;
            let mut rows = find.query([local.0])?;
            while let Some(row) = rows.next()? {
                let row = read(row, table)?;
                if summed == Summed::Rows {
                    sum.add(Sum::of(&table.head.name, &row.cells)?);
                }
                count += 1;
                packer.row(i, row, false)?;
            }
        }
        if changes {
            packer.hand_on()?;
        }
        let (rest, size) = (std::mem::take(&mut packer.parts), packer.size);
        (self.sum, self.rows) = (sum, count);
        if !changes {
            self.complete(&mut end, frozen_ms());
            self.last(attempt, rest, size, end, sink)?;
        }
        Ok(())
    }

    /// Sends what changed since the last time, as the snapshot has it now. When this is all, the release stands at its end.
    pub(crate) fn changed(
        &mut self,
        snapshot: &Snapshot,
        changed: Changed,
        last: Option<u64>,
        sink: &mut dyn FnMut(Parcel) -> Result<(), NotSent>,
    ) -> Result<(), NotSent> {
        let Some((local, mut end)) = snapshot.own_row(&self.target)? else { return Err(NotSent::Unknown) };
        let plan = Arc::clone(&self.plan);
        let (attempt, mut sum, mut count) = (self.attempt, self.sum, self.rows);
        let mut packer = self.packer(Vec::new(), sink);
        for (i, keys) in &changed.keys {
            for (key, old) in keys {
                if let Some(old) = old {
                    sum.take(*old);
                    count = count.saturating_sub(1);
                }
                packer.row(*i, named(&plan.tables[usize::from(*i)], key), true)?;
            }
        }
        for (i, keys) in &changed.keys {
            let table = &plan.tables[usize::from(*i)];
            let mut find = snapshot.conn.prepare_cached(&by_key(table))?;
            for (key, _) in keys {
                let bound = std::iter::once(Cell::Integer(local.0)).chain(key.iter().cloned());
                let Some(row) = find.query_row(params_from_iter(bound), |row| read(row, table)).optional()? else {
                    continue;
                };
                // Where letters of both cases are one key, the row is found under each of its names: it has only one.
                if key_of(table, &row) != *key {
                    continue;
                }
                sum.add(Sum::of(&table.head.name, &row.cells)?);
                count += 1;
                packer.row(*i, row, false)?;
            }
        }
        if last.is_none() {
            packer.hand_on()?;
        }
        let (rest, size) = (std::mem::take(&mut packer.parts), packer.size);
        (self.sum, self.rows) = (sum, count);
        if let Some(frozen_ms) = last {
            self.complete(&mut end, frozen_ms);
            self.last(attempt, rest, size, end, sink)?;
        }
        Ok(())
    }

    fn packer<'a>(
        &'a mut self,
        parts: Vec<Part>,
        sink: &'a mut dyn FnMut(Parcel) -> Result<(), NotSent>,
    ) -> Packer<'a> {
        let (next, bytes) = (&mut self.next, &mut self.bytes);
        Packer { attempt: self.attempt, next, bytes, parts, size: 0, rows: 0, sink }
    }

    fn complete(&self, end: &mut End, frozen_ms: u64) {
        (end.epoch, end.rows, end.checksum) = (self.epoch, self.rows, self.sum);
        end.frozen_ms = frozen_ms;
    }

    fn last(
        &mut self,
        attempt: u64,
        parts: Vec<Part>,
        size: usize,
        mut end: End,
        sink: &mut dyn FnMut(Parcel) -> Result<(), NotSent>,
    ) -> Result<(), NotSent> {
        self.bytes += size as u64;
        end.bytes = self.bytes;
        let mut parcel = Parcel { attempt, number: self.next, parts };
        parcel.parts.push(Part::End(end));
        self.next += 1;
        sink(parcel)
    }
}

/// Returns the query of a table's rows of one target: the rowid where that is the key, otherwise a zero, then the columns.
fn whole(table: &Table) -> String {
    let (first, columns) = (table.rowid.as_deref().unwrap_or("0"), table.columns());
    format!("SELECT {first}, {columns} FROM {} WHERE target_id = ?1", table.name())
}

fn by_key(table: &Table) -> String {
    let same =
        table.key().iter().enumerate().map(|(i, column)| format!(" AND {column} IS ?{}", i + 2)).collect::<String>();
    format!("{}{same}", whole(table))
}

/// Reads a row of [`whole`].
fn read(row: &rusqlite::Row<'_>, table: &Table) -> rusqlite::Result<Row> {
    let cells = (1..=table.head.columns.len()).map(|i| row.get_ref(i).map(Cell::of)).collect::<Result<_, _>>()?;
    let rowid = if table.rowid.is_some() { Some(row.get(0)?) } else { None };
    Ok(Row { rowid, cells })
}

/// Returns what tells a row apart.
fn key_of(table: &Table, row: &Row) -> Vec<Cell> {
    match &table.head.key {
        Key::Rowid => row.rowid.map(Cell::Integer).into_iter().collect(),
        Key::Columns(places) => places.iter().map(|place| row.cells[usize::from(*place)].clone()).collect(),
    }
}

/// Returns a key as it is sent.
fn named(table: &Table, key: &[Cell]) -> Row {
    match (&table.head.key, key) {
        (Key::Rowid, [Cell::Integer(rowid)]) => Row { rowid: Some(*rowid), cells: Vec::new() },
        _ => Row { rowid: None, cells: key.to_vec() },
    }
}
