//! Which rows of targets change while they are copied: temporary triggers of the writer's connection note the keys, with the
//! checksum of what stood there before. They are there only while something is copied, stand in no file, and write only to
//! temporary tables; a savepoint or group that is undone takes its notes along.
//!
//! Their names begin with a word that nobody can guess, so that a bot's statement cannot touch them, and yet may fire them.

use super::{
    parcel::{Cell, Sum},
    plan::{Plan, Table},
};
use crate::store::{LocalId, StoreError};
use rusqlite::{Connection, functions::FunctionFlags};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A key that changed, and the checksum of the row that stood there when it was last sent; none when there was none.
pub(super) type ChangedKey = (Vec<Cell>, Option<Sum>);

/// What changed since the last time, by the tables' places in the plan.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(super) keys: Vec<(u16, Vec<ChangedKey>)>,
}

impl Changed {
    /// Returns how many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.iter().map(|(_, keys)| keys.len()).sum()
    }
}

/// The triggers, and whose changes they note.
#[derive(Debug)]
pub(crate) struct Follower {
    plan: Arc<Plan>,
    word: Arc<str>,
    followed: Arc<Mutex<HashSet<i64>>>,
    installed: AtomicBool,
}

impl Follower {
    /// Makes a follower of nothing. `word` begins the names of what it makes on the connection.
    pub(crate) fn new(conn: &Connection, plan: Arc<Plan>, word: Arc<str>) -> Result<Self, StoreError> {
        let followed: Arc<Mutex<HashSet<i64>>> = Arc::default();
        let looked_up = Arc::clone(&followed);
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        conn.create_scalar_function(format!("{word}_is_followed").as_str(), 1, flags, move |args| {
            let local: Option<i64> = args.get(0)?;
            let followed = looked_up.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(local.is_some_and(|local| followed.contains(&local)))
        })?;
        let tables = Arc::clone(&plan);
        conn.create_scalar_function(format!("{word}_sum").as_str(), -1, flags, move |args| {
            let place: usize = args.get(0)?;
            let cells: Vec<Cell> = (1..args.len()).map(|i| Cell::of(args.get_raw(i))).collect();
            let name = tables.tables.get(place).map_or("", |table| &table.head.name);
            let sum = Sum::of(name, &cells).map_err(|why| rusqlite::Error::UserFunctionError(why.into()))?;
            Ok(sum.0.to_le_bytes().to_vec())
        })?;
        Ok(Self { plan, word, followed, installed: AtomicBool::new(false) })
    }

    /// Begins to note what changes of a target.
    pub(crate) fn follow(&self, conn: &Connection, target: LocalId) -> Result<(), StoreError> {
        if !self.installed.load(Ordering::Relaxed) {
            let made: String = self.places().map(|(i, table)| self.make(i, table)).collect();
            conn.execute_batch(&made).inspect_err(|_| self.remove(conn))?;
            self.installed.store(true, Ordering::Relaxed);
        }
        self.forget(conn, target)?;
        self.set().insert(target.0);
        Ok(())
    }

    /// Notes nothing of a target any more. When nothing is left to follow, the triggers go.
    pub(crate) fn leave(&self, conn: &Connection, target: LocalId) {
        if !self.set().remove(&target.0) {
            return;
        }
        if self.set().is_empty() {
            self.remove(conn);
            self.installed.store(false, Ordering::Relaxed);
        } else if let Err(why) = self.forget(conn, target) {
            tracing::error!(error = %why, "notes of a copy cannot be dropped");
        }
    }

    /// Returns whether a target is followed.
    pub(crate) fn follows(&self, target: LocalId) -> bool {
        self.set().contains(&target.0)
    }

    /// Returns what changed since the last time.
    pub(crate) fn take(&self, conn: &Connection, target: LocalId) -> Result<Changed, StoreError> {
        let mut changed = Changed::default();
        for (i, table) in self.places() {
            let width = table.key().len();
            let columns: Vec<String> = (0..width).map(|k| format!("k{k}")).collect();
            let log = self.log(i);
            let mut find =
                conn.prepare_cached(&format!("SELECT {}, old FROM {log} WHERE target_id = ?1", columns.join(", ")))?;
            let mut rows = find.query([target.0])?;
            let mut keys: Vec<ChangedKey> = Vec::new();
            while let Some(row) = rows.next()? {
                let key = (0..width).map(|k| row.get_ref(k).map(Cell::of)).collect::<Result<_, _>>()?;
                let old: Option<Vec<u8>> = row.get(width)?;
                keys.push((key, old.as_deref().and_then(Sum::from_bytes)));
            }
            if !keys.is_empty() {
                changed.keys.push((i, keys));
            }
        }
        self.forget(conn, target)?;
        Ok(changed)
    }

    fn forget(&self, conn: &Connection, target: LocalId) -> Result<(), StoreError> {
        for (i, _) in self.places() {
            conn.prepare_cached(&format!("DELETE FROM {} WHERE target_id = ?1", self.log(i)))?.execute([target.0])?;
        }
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = (u16, &Table)> {
        (0..).zip(&self.plan.tables)
    }

    fn log(&self, place: u16) -> String {
        format!("{}_{place}", self.word)
    }

    fn make(&self, place: u16, table: &Table) -> String {
        let (log, word, name) = (self.log(place), &self.word, table.name());
        let key = table.key();
        let ks: Vec<String> = (0..key.len()).map(|k| format!("k{k}")).collect();
        let ks = ks.join(", ");
        let of = |row: &str| key.iter().map(|column| format!("{row}.{column}")).collect::<Vec<_>>();
        let all = table.head.columns.iter().map(|column| format!("OLD.{}", crate::store::erase::quoted(column)));
        let sum = format!("{word}_sum({place}, {})", all.collect::<Vec<_>>().join(", "));
        // The conflict clause of the statement that fires a trigger would be the trigger's too: so it makes no conflict.
        let note = |row: &str, old: &str| {
            let values = of(row);
            let same: String = values.iter().enumerate().map(|(k, value)| format!(" AND k{k} IS {value}")).collect();
            format!(
                "INSERT INTO {log} (target_id, {ks}, old) SELECT {row}.target_id, {}, {old}
                 WHERE {word}_is_followed({row}.target_id) AND NOT EXISTS
                   (SELECT 1 FROM {log} WHERE target_id = {row}.target_id{same})",
                values.join(", ")
            )
        };
        let (new, old) = (note("NEW", "NULL"), note("OLD", &sum));
        format!(
            "CREATE TEMP TABLE {log} (target_id, {ks}, old, PRIMARY KEY (target_id, {ks})) WITHOUT ROWID;
             CREATE TEMP TRIGGER {log}_insert AFTER INSERT ON main.{name} BEGIN {new}; END;
             CREATE TEMP TRIGGER {log}_update AFTER UPDATE ON main.{name} BEGIN {old}; {new}; END;
             CREATE TEMP TRIGGER {log}_delete AFTER DELETE ON main.{name} BEGIN {old}; END;"
        )
    }

    fn remove(&self, conn: &Connection) {
        for (i, _) in self.places() {
            let log = self.log(i);
            let gone = format!(
                "DROP TRIGGER IF EXISTS temp.{log}_insert; DROP TRIGGER IF EXISTS temp.{log}_update;
                 DROP TRIGGER IF EXISTS temp.{log}_delete; DROP TABLE IF EXISTS temp.{log};"
            );
            if let Err(why) = conn.execute_batch(&gone) {
                tracing::error!(error = %why, "the triggers of a copy cannot be dropped");
            }
        }
    }

    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
