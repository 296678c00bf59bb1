//! Whether a database's file is whole, before anybody relies on it. Knows nothing of replicas.

use super::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Makes sure that a file is a whole database: one that nobody else uses. What its WAL holds is moved into it.
pub(crate) fn verify(file: &Path) -> Result<(), StoreError> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let said: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Corrupt(said)) }
}

#[cfg(test)]
mod tests;
