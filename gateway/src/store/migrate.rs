//! Brings a database's schema up to date: forward only, one transaction each, recorded with a hash of its text, so that
//! a file made by another build is noticed before it is written.

use super::StoreError;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

const ALL: &[(&str, &str)] = &[
    ("0001_begin", include_str!("../../../migrations/gateway/0001_begin.sql")),
    ("0002_tables", include_str!("../../../migrations/gateway/0002_tables.sql")),
    ("0003_traces", include_str!("../../../migrations/gateway/0003_traces.sql")),
    ("0004_data", include_str!("../../../migrations/gateway/0004_data.sql")),
    ("0005_ownership", include_str!("../../../migrations/gateway/0005_ownership.sql")),
    ("0006_moves", include_str!("../../../migrations/gateway/0006_moves.sql")),
    ("0007_restored", include_str!("../../../migrations/gateway/0007_restored.sql")),
    ("0008_aside", include_str!("../../../migrations/gateway/0008_aside.sql")),
];

/// Returns the version of the newest schema this binary knows.
pub(super) const fn newest() -> u32 {
    ALL.len() as u32
}

/// Runs what has not run yet. A new database gets its incarnation here.
pub(super) fn run(conn: &mut Connection, now_ms: u64) -> Result<(), StoreError> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration
         (version INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_ms INTEGER NOT NULL) STRICT",
    )?;
    let found: u32 = conn.query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))?;
    if found > newest() {
        return Err(StoreError::Newer { found, known: newest() });
    }
    for (version, (name, sql)) in (1_u32..).zip(ALL) {
        let hash = hash(sql);
        if version <= found {
            let ran: String =
                conn.query_row("SELECT hash FROM migration WHERE version = ?1", [version], |row| row.get(0))?;
            if ran != hash {
                return Err(StoreError::Foreign { version });
            }
            continue;
        }
        let tx = conn.transaction()?;
        tx.execute_batch(sql)?;
        tx.execute(
            "INSERT INTO migration (version, name, hash, applied_ms) VALUES (?1, ?2, ?3, ?4)",
            params![version, name, hash, super::signed(now_ms)],
        )?;
        if version == 1 {
            let incarnation = uuid::Uuid::now_v7().to_string();
            tx.execute(
                "INSERT INTO meta (one, incarnation, created_ms) VALUES (1, ?1, ?2)",
                params![incarnation, super::signed(now_ms)],
            )?;
        }
        tx.commit()?;
        tracing::info!(version, name, "database migrated");
    }
    Ok(())
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
