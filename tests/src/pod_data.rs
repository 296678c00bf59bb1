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

/// Returns per target the ids of the events in the pod's journal, in the order of acceptance; timers are left out.
///
/// # Panics
/// When the database cannot be read, or inbox and journal do not agree.
pub fn journal(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let database = open(folder);
    let odd: i64 = database
        .query_row(
            "SELECT count(*) FROM inbox i FULL JOIN journal j USING (target_id, key)
             WHERE i.seq IS NOT j.seq OR j.state <> 'done'",
            [],
            |row| row.get(0),
        )
        .expect("inbox and journal are readable");
    assert_eq!(odd, 0, "{}: rows of inbox and journal that do not agree, or are not done", folder.display());
    let sql = "SELECT t.name, j.event_id FROM journal j JOIN target t ON t.id = j.target_id
               WHERE j.source <> 'timer' ORDER BY j.target_id, j.seq";
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
