//! The lives of a database, seen from outside while no gateway uses it: which one it is in, and the beginning of another. Decides
//! nothing about when.

use super::{FILE, StoreError, migrate, signed};
use rusqlite::{Connection, OpenFlags};
use shared::{Incarnation, wire::quarantine::Why};
use std::{fs, io, path::Path};

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The life it is in.
    pub(crate) incarnation: Incarnation,
    /// The lives that are over, the last one first.
    pub(crate) past: Vec<Incarnation>,
    /// Its last group.
    pub(crate) commit_seq: u64,
}

impl Found {
    /// Whether nothing was ever committed to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.commit_seq == 0
    }
}

/// Looks into the database in `folder` without changing it; none when there is none.
pub(crate) fn look(folder: &Path) -> Result<Option<Found>, StoreError> {
    let file = folder.join(FILE);
    if !fs::metadata(&file).is_ok_and(|found| found.len() > 0) {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let (incarnation, commit_seq): (String, u64) =
        conn.query_row("SELECT incarnation, commit_seq FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'berth_past_incarnation'";
    let mut past = Vec::new();
    // An older schema has no such table, and no such lives.
    if conn.query_row(table, [], |row| row.get::<_, u32>(0))? > 0 {
        let mut find = conn.prepare("SELECT incarnation FROM berth_past_incarnation ORDER BY rowid DESC")?;
        for text in find.query_map([], |row| row.get::<_, String>(0))? {
            past.push(text?.parse().map_err(|_| StoreError::Broken("incarnation"))?);
        }
    }
    let incarnation = incarnation.parse().map_err(|_| StoreError::Broken("incarnation"))?;
    Ok(Some(Found { incarnation, past, commit_seq }))
}

/// Begins another life of the database in `folder`, in one transaction; a database that is not there is made, and is in its
/// first.
pub(crate) fn begin(folder: &Path, now_ms: u64) -> Result<Incarnation, StoreError> {
    let is_new = look(folder)?.is_none();
    let mut conn = Connection::open(folder.join(FILE))?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")?;
    migrate::run(&mut conn, now_ms)?;
    if !is_new {
        let tx = conn.transaction()?;
        tx.execute("UPDATE meta SET commit_seq = commit_seq + 1", [])?;
        another(&tx, now_ms)?;
        tx.commit()?;
    }
    let text: String = conn.query_row("SELECT incarnation FROM meta", [], |row| row.get(0))?;
    text.parse().map_err(|_| StoreError::Broken("incarnation"))
}

/// Takes the database in `folder` away, with what belongs to it.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    // The file goes last: what is left by a crash is then still a database, as old as it is.
    for name in ["berth.db-shm", "berth.db-wal", FILE] {
        match fs::remove_file(folder.join(name)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
    }
    Ok(())
}

/// Ends the life that a database is in and begins another: what it owned is put aside. Within the caller's transaction.
pub(super) fn another(conn: &Connection, now_ms: u64) -> Result<Incarnation, StoreError> {
    let fresh: Incarnation = uuid::Uuid::now_v7().to_string().parse().map_err(|_| StoreError::Broken("incarnation"))?;
    conn.prepare_cached("INSERT OR IGNORE INTO berth_past_incarnation SELECT incarnation, ?1 FROM meta")?
        .execute([signed(now_ms)])?;
    conn.prepare_cached("UPDATE meta SET incarnation = ?1")?.execute([fresh.as_str()])?;
    super::aside::note(conn, now_ms, Why::FailedOver, "state IN ('owned', 'frozen')", None)?;
    conn.prepare_cached("UPDATE target SET state = 'quarantined' WHERE state IN ('owned', 'frozen')")?.execute([])?;
    Ok(fresh)
}

#[cfg(test)]
mod tests;
