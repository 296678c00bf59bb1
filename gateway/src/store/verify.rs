//! Whether a database's file is whole, before anybody relies on it. Decides how thoroughly to look; knows nothing of replicas.

use super::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thorough {
    /// Every page and row: `quick_check`.
    Quick,
    /// Also that indexes agree with their tables: `integrity_check`.
    Whole,
}

/// Makes sure that a file is a whole database: one that nobody else uses. What its WAL holds is moved into it.
pub(crate) fn verify(file: &Path, thorough: Thorough) -> Result<(), StoreError> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let question = match thorough {
        Thorough::Quick => "PRAGMA quick_check(1)",
        Thorough::Whole => "PRAGMA integrity_check(1)",
    };
    let said: String = conn.query_row(question, [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Corrupt(said)) }
}

/// Returns whether a table of that name has its root on this page, in a database that nobody else uses.
pub(crate) fn has_root(file: &Path, table: &str, page: u32) -> Result<bool, StoreError> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let question = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 AND rootpage = ?2";
    Ok(conn.query_row(question, (table, page), |row| row.get::<_, u32>(0))? > 0)
}

#[cfg(test)]
mod tests;
