//! What lies in a pod's database: read beside Berth, with plain SQL, once the pod has stopped.

use rusqlite::{Connection, OpenFlags};
use std::{collections::BTreeMap, path::Path};

/// One row of a pod's journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Journalled {
    /// The position.
    pub seq: i64,
    /// The target's name.
    pub target: String,
    /// The sender's id of the event.
    pub event: String,
}

/// Returns the journal of the pod whose data folder is `folder`, in order.
///
/// # Panics
/// When the database cannot be read.
pub fn journal(folder: &Path) -> Vec<Journalled> {
    let path = folder.join("berth.db");
    let database = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let sql = "SELECT j.seq, t.name, j.event_id FROM journal j JOIN target t ON t.id = j.target_id ORDER BY j.seq";
    let mut statement = database.prepare(sql).expect("the journal's schema");
    let rows = statement
        .query_map([], |row| Ok(Journalled { seq: row.get(0)?, target: row.get(1)?, event: row.get(2)? }))
        .expect("the journal is readable");
    rows.map(|row| row.expect("a row of the journal")).collect()
}

/// Returns per target the ids of its events over all `folders`, in the order in which they were accepted.
///
/// # Panics
/// When a target has events in two pods' journals: nothing moves yet.
pub fn accepted(folders: &[impl AsRef<Path>]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders {
        let mut own: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in journal(folder.as_ref()) {
            own.entry(row.target).or_default().push(row.event);
        }
        for (target, events) in own {
            let twice = all.insert(target.clone(), events);
            assert!(twice.is_none(), "{target} has events on two pods");
        }
    }
    all
}
