//! What lies in a pod's database: read beside Berth, with plain SQL, once the pod has stopped.

use rusqlite::{Connection, OpenFlags};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Opens the database of the pod whose data folder is `folder`.
///
/// # Panics
/// When it cannot be opened.
pub fn open(folder: &Path) -> Connection {
    let path = folder.join("berth.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    Connection::open_with_flags(&path, flags).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Returns the targets and ids of all events that the database in `folder` has seen, done or not.
///
/// # Panics
/// When it cannot be read.
pub fn seen(folder: &Path) -> BTreeSet<(String, String)> {
    let database = open(folder);
    let sql = "SELECT t.name, j.event_id FROM inbox i JOIN journal j USING (target_id, key)
               JOIN target t ON t.id = j.target_id";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("the journal is readable");
    rows.map(|row| row.expect("a row of the journal")).collect()
}

/// Returns per target that the pod owns the ids of the events in its journal, in the order of acceptance; timers are left out.
/// What it has released is removed in pieces, table by table: there the pod may have been stopped in between.
///
/// # Panics
/// When the database cannot be read, or inbox and journal do not agree.
pub fn journal(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let database = open(folder);
    let odd: i64 = database
        .query_row(
            "SELECT count(*) FROM inbox i FULL JOIN journal j USING (target_id, key)
             JOIN target t ON t.id = target_id
             WHERE t.state = 'owned' AND (i.seq IS NOT j.seq OR j.state <> 'done')",
            [],
            |row| row.get(0),
        )
        .expect("inbox and journal are readable");
    assert_eq!(odd, 0, "{}: rows of inbox and journal that do not agree, or are not done", folder.display());
    let sql = "SELECT t.name, j.event_id FROM journal j JOIN target t ON t.id = j.target_id
               WHERE t.state = 'owned' AND j.source <> 'timer' ORDER BY j.target_id, j.seq";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("the journal is readable");
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let (target, event) = row.expect("a row of the journal");
        all.entry(target).or_default().push(event);
    }
    all
}

/// Returns per target the ids of its events over all `folders`, in the order in which they were accepted.
///
/// # Panics
/// When a target has events in two pods' journals: nothing moves yet.
pub fn accepted(folders: &[impl AsRef<Path>]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders {
        for (target, events) in journal(folder.as_ref()) {
            let twice = all.insert(target.clone(), events);
            assert!(twice.is_none(), "{target} has events on two pods");
        }
    }
    all
}

/// What a pod has of one of its own targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The ids of its events, in the order of acceptance; timers are left out.
    pub journal: Vec<String>,
    /// How many have been applied, as the pod counts.
    pub applied: u64,
    /// How many the bot of the stories has handled; none of another bot's.
    pub handled: Option<u64>,
}

/// Returns what the pod whose data folder is `folder` has of the targets that it owns.
///
/// # Panics
/// When the database cannot be read, or an event is not done.
pub fn owned(folder: &Path) -> BTreeMap<String, Book> {
    let database = open(folder);
    let sql = "SELECT t.id, t.name, t.applied, (SELECT value FROM kv WHERE target_id = t.id AND key = 'handled')
               FROM target t WHERE t.state = 'owned'";
    let mut targets = database.prepare(sql).expect("the targets' schema");
    let sql = "SELECT event_id, state FROM journal WHERE target_id = ?1 AND source <> 'timer' ORDER BY seq";
    let mut events = database.prepare(sql).expect("the journal's schema");
    let mut all = BTreeMap::new();
    let mut rows = targets.query([]).expect("the targets are readable");
    while let Some(row) = rows.next().expect("the targets are readable") {
        let (local, name): (i64, String) = (row.get_unwrap(0), row.get_unwrap(1));
        let handled: Option<String> = row.get_unwrap(3);
        let of_target = events.query_map([local], |row| Ok((row.get(0)?, row.get(1)?)));
        let of_target: Vec<(String, String)> =
            of_target.expect("the journal is readable").map(|row| row.expect("a row of the journal")).collect();
        assert!(of_target.iter().all(|(_, state)| state == "done"), "{name}: {of_target:?}");
        let journal = of_target.into_iter().map(|(id, _)| id).collect();
        let handled = handled.map(|text| text.parse().expect("a number"));
        all.insert(name, Book { journal, applied: row.get_unwrap(2), handled });
    }
    all
}

/// Returns the calls that the database in `folder` was asked for, with their states.
///
/// # Panics
/// When it cannot be read.
pub fn calls(folder: &Path) -> BTreeMap<String, String> {
    let database = open(folder);
    let mut statement = database.prepare("SELECT id, state FROM outbox").expect("the outbox' schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("the outbox is readable");
    rows.map(|row| row.expect("a row of the outbox")).collect()
}
