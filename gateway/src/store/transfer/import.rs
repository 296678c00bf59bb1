//! Takes the rows of moved targets in, and takes away what is left of those that went: on a connection of its own, which has
//! no guards, no triggers and does not follow foreign keys, since what comes was consistent where it was. It is the writer's,
//! who lets it work between two groups. Rows land under a fresh number and are nobody's until they are switched.
//!
//! ```text
//! first parcel ─ fits? ─▸ coming ─ parcels, each once and in order ─▸ end: counts and checksum ─▸ whole (flushed)
//! ```

use super::{
    parcel::{Cell, End, Head, Key, Parcel, Part, Row, Sum, Summed},
    plan::Plan,
};
use crate::store::{FILE, LocalId, StoreError, WAL_KEPT, erase::quoted, signed, uncounted, wait_for_locks};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use shared::{Epoch, MoveId, TargetId, protocol::handoff::destination::Imported};
use std::{collections::HashMap, path::Path, sync::Arc};

/// Why a parcel was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Nothing of this attempt is known here: it has to begin anew.
    #[error("nothing of this attempt is here; begin anew")]
    Lost,
    /// A later attempt has begun.
    #[error("a later attempt has begun")]
    Older,
    /// What came cannot be kept.
    #[error("{0}")]
    Spoiled(String),
    /// Rows of the same target are being dropped here and stand in the way.
    #[error("what is left of the target here is still being dropped; send it again in a moment")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for NotTaken {
    fn from(why: rusqlite::Error) -> Self {
        let why = StoreError::from(why);
        if why.is_statement_only() {
            return Self::Spoiled(format!(
                "rows cannot be kept beside what is here: {why}; what belongs to one target must not need what another has"
            ));
        }
        Self::Store(why)
    }
}

/// What a commit outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlives {
    /// The machine: it is on the disk when it is done.
    Power,
    /// The process, and the machine once anything is committed that does. What is brought in again when it is missing needs no
    /// more, and a flush of some megabytes each time is what such an import would wait for.
    Process,
}

/// What a parcel has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The number that comes next.
    pub(crate) next: u32,
    /// Everything is here, once this is committed.
    pub(crate) whole: Option<Imported>,
}

/// A table of a source, and what is done with its rows here.
#[derive(Debug, Clone)]
struct Into {
    name: String,
    insert: String,
    delete: String,
    /// The key is the source's rowid.
    by_rowid: bool,
}

/// A stream of a target's rows that is being taken in.
#[derive(Debug, Clone)]
struct Import {
    local: LocalId,
    attempt: u64,
    next: u32,
    epoch: Epoch,
    rows: u64,
    summed: Summed,
    sum: Sum,
    changes: bool,
    tables: Arc<Vec<Into>>,
    whole: Option<Imported>,
}

/// Takes rows in and away. The writer's.
#[derive(Debug)]
pub(crate) struct Importer {
    pub(super) conn: Connection,
    plan: Arc<Plan>,
    imports: HashMap<MoveId, Import>,
    /// What the transaction that is open would make of them.
    pending: HashMap<MoveId, Import>,
    outlives: Outlives,
}

impl Importer {
    /// Opens the database in `folder`, which the writer has made.
    pub(crate) fn open(folder: &Path, plan: Arc<Plan>) -> Result<Self, StoreError> {
        let conn = Connection::open(folder.join(FILE))?;
        conn.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {WAL_KEPT};
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;
             PRAGMA secure_delete = ON; PRAGMA foreign_keys = OFF; PRAGMA recursive_triggers = OFF;
             CREATE TEMP TABLE here (import INTEGER, place INTEGER, theirs INTEGER, ours INTEGER,
               PRIMARY KEY (import, place, theirs)) WITHOUT ROWID;"
        ))?;
        wait_for_locks(&conn)?;
        conn.set_prepared_statement_cache_capacity(128);
        Ok(Self { conn, plan, imports: HashMap::new(), pending: HashMap::new(), outlives: Outlives::Power })
    }

    /// Begins a transaction for some parcels, or for rows that go.
    pub(crate) fn begin(&mut self, outlives: Outlives) -> Result<(), StoreError> {
        self.pending.clear();
        if self.outlives != outlives {
            let level = if outlives == Outlives::Power { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.outlives = outlives;
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.conn.prepare_cached("UPDATE meta SET commit_seq = commit_seq + 1")?.execute([])?;
        Ok(())
    }

    /// Makes it last.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        self.conn.prepare_cached("COMMIT")?.execute([]).map_err(uncounted::or_end)?;
        self.imports.extend(self.pending.drain());
        Ok(())
    }

    /// Undoes it.
    pub(crate) fn rollback(&mut self) {
        self.pending.clear();
        if !self.conn.is_autocommit()
            && let Err(why) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %why, "cannot roll back an import");
        }
    }

    /// Takes a parcel in, in a part of the transaction of its own. One that was taken in before changes nothing. All parcels of a
    /// stream are summed up as its sender does.
    pub(crate) fn take(&mut self, id: MoveId, parcel: &Parcel, summed: Summed, now_ms: u64) -> Result<Taken, NotTaken> {
        let import = match self.pending.get(&id).or_else(|| self.imports.get(&id)) {
            Some(import) if import.attempt == parcel.attempt() => import.clone(),
            Some(import) if import.attempt > parcel.attempt() => return Err(NotTaken::Older),
            _ if !parcel.is_first() => return Err(NotTaken::Lost),
            _ => {
                let Some(Part::Head(head)) = parcel.parts.first() else {
                    return Err(NotTaken::Spoiled("the first parcel has no head".to_owned()));
                };
                self.leave_earlier(id)?;
                return self.in_part(|importer| {
                    let import = importer.start(id, parcel.attempt(), head, summed, now_ms)?;
                    importer.take_in(id, import, parcel)
                });
            }
        };
        if parcel.number < import.next {
            return Ok(Taken { next: import.next, whole: import.whole });
        }
        if parcel.number > import.next {
            return Err(NotTaken::Lost);
        }
        self.in_part(|importer| importer.take_in(id, import, parcel))
    }

    /// Forgets a stream; what came of it is dropped by [`Importer::clear`].
    pub(crate) fn forget(&mut self, id: MoveId) {
        if let Some(import) = self.imports.remove(&id)
            && let Err(why) = self.conn.execute("DELETE FROM temp.here WHERE import = ?1", [import.local.0])
        {
            tracing::error!(error = %why, "notes of an import cannot be dropped");
        }
    }

    /// Records that the rows of a move's source are gone. The target's own row stays, as the fence, unless the target has
    /// another one by now.
    pub(crate) fn drop_end(&self, local: LocalId) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM berth_moved_in WHERE local = ?1")?.execute([local.0])?;
        let mut aside = self.conn.prepare_cached("DELETE FROM target WHERE id = ?1 AND name LIKE '~%'")?;
        if aside.execute([local.0])? > 0 {
            self.conn.prepare_cached("DELETE FROM berth_moved_out WHERE local = ?1")?.execute([local.0])?;
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE berth_moved_out SET state = 'dropped' WHERE local = ?1")?
            .execute([local.0])?;
        Ok(())
    }

    /// Forgets an import whose rows are gone.
    pub(crate) fn import_gone(&self, local: LocalId) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM berth_moved_in WHERE local = ?1")?.execute([local.0])?;
        self.conn.prepare_cached("DELETE FROM target WHERE id = ?1 AND state = 'incoming'")?.execute([local.0])?;
        Ok(())
    }

    /// Returns the rows of an import that is not wanted, if there are any, and its move.
    pub(crate) fn next_leaving(&self) -> Result<Option<(LocalId, MoveId)>, StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT local, move FROM berth_moved_in WHERE state = 'leaving' ORDER BY local LIMIT 1")?;
        Ok(find.query_row([], |row| Ok((LocalId(row.get(0)?), MoveId(row.get(1)?)))).optional()?)
    }

    /// Takes at most `most` rows away that have this number. Returns how many went.
    pub(crate) fn clear(&self, local: LocalId, most: usize) -> Result<usize, StoreError> {
        let mut left = most;
        for table in self.plan.tables.iter().rev() {
            let (name, key) = (table.name(), table.key().join(", "));
            let mut delete = self.conn.prepare_cached(&format!(
                "DELETE FROM {name} WHERE target_id = ?1 AND ({key}) IN (
                   SELECT {key} FROM {name} WHERE target_id = ?1 LIMIT ?2)"
            ))?;
            left = left.saturating_sub(delete.execute(params![local.0, signed(left as u64)])?);
            if left == 0 {
                break;
            }
        }
        Ok(most - left)
    }

    fn in_part(&mut self, work: impl FnOnce(&mut Self) -> Result<Taken, NotTaken>) -> Result<Taken, NotTaken> {
        self.conn.prepare_cached("SAVEPOINT parcel")?.execute([])?;
        let done = work(self);
        let end = if done.is_ok() { "RELEASE parcel" } else { "ROLLBACK TO parcel; RELEASE parcel" };
        if !self.conn.is_autocommit() {
            self.conn.execute_batch(end)?;
        }
        done
    }

    fn start(&self, id: MoveId, attempt: u64, head: &Head, summed: Summed, now_ms: u64) -> Result<Import, NotTaken> {
        let target: TargetId =
            head.target.parse().map_err(|_| NotTaken::Spoiled("the head names no target".to_owned()))?;
        let tables = self.plan.fits(head).map_err(NotTaken::Spoiled)?;
        self.no_leftovers(&target)?;
        let into = head.tables.iter().zip(tables).map(|(theirs, ours)| into(theirs, &self.plan.tables[ours].name()));
        let mut made = self
            .conn
            .prepare_cached("INSERT INTO target (name, epoch, state) VALUES (?1, ?2, 'incoming') RETURNING id")?;
        let name = format!("~{id}-{attempt}~{target}");
        let local: i64 = made.query_row(params![name, signed(head.epoch.0)], |row| row.get(0))?;
        self.conn
            .prepare_cached(
                "INSERT INTO berth_moved_in (local, move, attempt, target, epoch, state, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'coming', ?6)",
            )?
            .execute(params![
                local,
                signed(id.0),
                signed(attempt),
                target.as_str(),
                signed(head.epoch.0),
                signed(now_ms)
            ])?;
        Ok(Import {
            local: LocalId(local),
            attempt,
            next: 0,
            epoch: head.epoch,
            rows: 0,
            summed,
            sum: Sum::default(),
            changes: head.changes,
            tables: Arc::new(into.collect()),
            whole: None,
        })
    }

    /// Gives up what an earlier attempt has brought.
    fn leave_earlier(&mut self, id: MoveId) -> Result<(), NotTaken> {
        self.pending.remove(&id);
        self.forget(id);
        self.conn
            .prepare_cached(
                "UPDATE berth_moved_in SET state = 'leaving' WHERE move = ?1 AND state IN ('coming', 'whole')",
            )?
            .execute([signed(id.0)])?;
        Ok(())
    }

    /// What an earlier attempt, or an earlier move of the same target, has left goes first: the bot's tables may allow it
    /// only once.
    fn no_leftovers(&self, target: &TargetId) -> Result<(), NotTaken> {
        let mut find = self.conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM berth_moved_in WHERE target = ?1 AND state = 'leaving')
               OR EXISTS (SELECT 1 FROM berth_moved_out WHERE target = ?1 AND state = 'dropping')",
        )?;
        if find.query_row([target.as_str()], |row| row.get(0))? { Err(NotTaken::Busy) } else { Ok(()) }
    }

    fn take_in(&mut self, id: MoveId, mut import: Import, parcel: &Parcel) -> Result<Taken, NotTaken> {
        for part in &parcel.parts {
            match part {
                Part::Head(_) => {}
                Part::Gone { table, keys } => {
                    let into = import.table(*table)?;
                    for key in keys {
                        self.take_away(&mut import, &into, *table, key)?;
                    }
                }
                Part::Rows { table, rows } => {
                    let into = import.table(*table)?;
                    let mut insert = self.conn.prepare_cached(&into.insert)?;
                    for row in rows {
                        let local = Cell::Integer(import.local.0);
                        insert.execute(params_from_iter(std::iter::once(&local).chain(&row.cells)))?;
                        if let (true, true, Some(theirs)) = (import.changes, into.by_rowid, row.rowid) {
                            let ours = self.conn.last_insert_rowid();
                            self.conn
                                .prepare_cached("INSERT OR REPLACE INTO temp.here VALUES (?1, ?2, ?3, ?4)")?
                                .execute(params![import.local.0, table, theirs, ours])?;
                        }
                        import.rows += 1;
                        if import.summed == Summed::Rows {
                            import.sum.add(sum(&into, row)?);
                        }
                    }
                }
                Part::End(end) => import.whole = Some(self.end(&import, end)?),
            }
        }
        import.next += 1;
        let taken = Taken { next: import.next, whole: import.whole };
        self.pending.insert(id, import);
        Ok(taken)
    }

    fn take_away(&self, import: &mut Import, into: &Into, place: u16, key: &Row) -> Result<(), NotTaken> {
        let keys: Vec<Cell> = match key.rowid {
            Some(theirs) if into.by_rowid => {
                let mut find = self.conn.prepare_cached(
                    "DELETE FROM temp.here WHERE import = ?1 AND place = ?2 AND theirs = ?3 RETURNING ours",
                )?;
                match find.query_row(params![import.local.0, place, theirs], |row| row.get(0)).optional()? {
                    Some(ours) => vec![Cell::Integer(ours)],
                    None => return Ok(()),
                }
            }
            _ => key.cells.clone(),
        };
        let mut delete = self.conn.prepare_cached(&into.delete)?;
        let bound = std::iter::once(Cell::Integer(import.local.0)).chain(keys);
        let width = delete.column_count();
        let mut rows = delete.query(params_from_iter(bound))?;
        while let Some(row) = rows.next()? {
            let cells = (0..width).map(|i| row.get_ref(i).map(Cell::of)).collect::<Result<_, _>>()?;
            import.sum.take(sum(into, &Row { rowid: None, cells })?);
            import.rows = import.rows.saturating_sub(1);
        }
        Ok(())
    }

    /// Verifies what came, and records that it is whole.
    fn end(&self, import: &Import, end: &End) -> Result<Imported, NotTaken> {
        if end.epoch != import.epoch {
            let (released, owned) = (end.epoch, import.epoch);
            return Err(NotTaken::Spoiled(format!("the source released epoch {released}, and began with {owned}")));
        }
        if (end.rows, end.checksum) != (import.rows, import.sum) {
            return Err(NotTaken::Spoiled(format!(
                "what came is not what was sent: {} rows of {}, or their checksum differs",
                import.rows, end.rows
            )));
        }
        self.conn
            .prepare_cached(
                "UPDATE target SET applied = ?2, duplicates = ?3, last_event_id = ?4, journal_seq = ?5, outbox_seq = ?6
                 WHERE id = ?1",
            )?
            .execute(params![
                import.local.0,
                signed(end.applied),
                signed(end.duplicates),
                end.last_event_id,
                signed(end.journal_seq),
                signed(end.outbox_seq)
            ])?;
        self.conn
            .prepare_cached(
                "UPDATE berth_moved_in SET state = 'whole', rows = ?2, bytes = ?3, checksum = ?4, journal_seq = ?5
                 WHERE local = ?1",
            )?
            .execute(params![
                import.local.0,
                signed(end.rows),
                signed(end.bytes),
                end.checksum.0.to_le_bytes(),
                signed(end.journal_seq)
            ])?;
        Ok(Imported { epoch: end.epoch, rows: end.rows, bytes: end.bytes })
    }
}

impl Import {
    fn table(&self, place: u16) -> Result<Into, NotTaken> {
        let into = self.tables.get(usize::from(place));
        into.cloned().ok_or_else(|| NotTaken::Spoiled("a part names no table of the head".to_owned()))
    }
}

fn sum(into: &Into, row: &Row) -> Result<Sum, NotTaken> {
    Sum::of(&into.name, &row.cells).map_err(|why| NotTaken::Spoiled(why.to_string()))
}

fn into(theirs: &super::parcel::TableHead, here: &str) -> Into {
    let columns: Vec<String> = theirs.columns.iter().map(|column| quoted(column)).collect();
    let places: String = (2..columns.len() + 2).map(|i| format!(", ?{i}")).collect();
    let all = columns.join(", ");
    let (by_rowid, key) = match &theirs.key {
        Key::Rowid => (true, vec!["rowid".to_owned()]),
        Key::Columns(key) => (false, key.iter().map(|place| columns[usize::from(*place)].clone()).collect()),
    };
    let same: String = key.iter().enumerate().map(|(i, column)| format!(" AND {column} IS ?{}", i + 2)).collect();
    Into {
        name: theirs.name.clone(),
        insert: format!("INSERT INTO {here} (target_id, {all}) VALUES (?1{places})"),
        delete: format!("DELETE FROM {here} WHERE target_id = ?1{same} RETURNING {all}"),
        by_rowid,
    }
}
