//! Brings the bot's tables up to date and makes them ready: migrations, the check against the schema map, what Berth adds
//! to them, and the guards. All of it before the pod says that it is ready.

use super::{Mode, Scope, guard, inspect::inspect};
use crate::{
    schema::{Belongs, Map, Migration, OwnTable, SchemaError, TARGET, Tables, check},
    store::{StoreError, erase::quoted, signed},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use shared::TargetId;
use std::collections::BTreeMap;

/// Brings everything up to date, in one transaction: what is refused leaves the database as it was, whatever has run
/// before it. Returns the map of what there is.
pub(in crate::store) fn bring(
    conn: &mut Connection,
    scope: &Scope,
    tables: &Tables,
    now_ms: u64,
) -> Result<Map, StoreError> {
    let (migrations, file) = (tables.migrations()?, tables.map()?);
    let newest = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let version = file.version.unwrap_or(newest);
    not_newer(conn, tables, newest, version)?;
    // A table that is made anew must not take rows of others along.
    conn.execute_batch("PRAGMA foreign_keys = OFF")?;
    let tx = conn.transaction()?;
    let mut ran = Vec::new();
    for (number, migration) in (1_u32..).zip(&migrations) {
        if run(&tx, scope, number, migration, now_ms)? {
            ran.push((number, &migration.name));
        }
    }
    let (found, others) = inspect(&tx)?;
    let checked = check(&file, &found, &others).map_err(SchemaError::Unfit)?;
    let mut map = checked.map;
    for table in &checked.shadows {
        tx.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {TARGET} INTEGER", quoted(table)))?;
    }
    index(&tx, &checked.indexes)?;
    for table in map.of_targets() {
        claim(&tx, table)?;
    }
    if !tables.is_empty() {
        tx.execute(
            "INSERT INTO bot_schema (one, version) VALUES (1, ?1) ON CONFLICT DO UPDATE SET version = excluded.version",
            [version],
        )?;
        (map.version, map.hash) = (Some(version), tables.hash()?);
    }
    tx.commit()?;
    for (number, name) in ran {
        tracing::info!(number, name, "the bot's tables migrated");
    }
    conn.execute_batch("PRAGMA foreign_keys = ON")?;
    for table in map.of_targets() {
        conn.execute_batch(&guard::triggers(table))?;
    }
    for hint in checked.hints {
        tracing::info!(hint, "own tables");
    }
    Ok(map)
}

/// An older bot must not work with a newer one's tables.
fn not_newer(conn: &Connection, tables: &Tables, newest: u32, version: u32) -> Result<(), StoreError> {
    let ran: u32 = conn.query_row("SELECT coalesce(max(version), 0) FROM bot_migration", [], |row| row.get(0))?;
    let had: Option<u32> = conn.query_row("SELECT version FROM bot_schema", [], |row| row.get(0)).optional()?;
    let says = if tables.is_empty() && (ran > 0 || had.is_some()) {
        format!("the database holds the tables of a bot ({ran} migrations), and this one brings none; set --migrations")
    } else if ran > newest {
        format!(
            "the database has {ran} migrations of the bot, this version of it brings {newest}; run the newer version"
        )
    } else if had.is_some_and(|had| had > version) {
        let had = had.unwrap_or_default();
        format!("the database has version {had} of the bot's schema, this one brings {version}; run the newer version")
    } else {
        return Ok(());
    };
    Err(SchemaError::Migration(says).into())
}

/// Runs a migration that has not run here. Returns whether it did.
fn run(
    tx: &Transaction<'_>,
    scope: &Scope,
    number: u32,
    migration: &Migration,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let Migration { name, sql } = migration;
    let hash = migration.hash();
    let known: Option<String> =
        tx.query_row("SELECT hash FROM bot_migration WHERE version = ?1", [number], |row| row.get(0)).optional()?;
    if let Some(known) = known {
        if known == hash {
            return Ok(false);
        }
        return Err(SchemaError::Migration(format!(
            "migration {name} has been changed since it ran here; put it back as it was, and add a new one"
        ))
        .into());
    }
    let entered = scope.enter(Mode::Migration, None);
    let ran = tx.execute_batch(sql);
    let reason = scope.reason();
    drop(entered);
    ran.map_err(|why| {
        let why = reason.unwrap_or_else(|| why.to_string());
        SchemaError::Migration(format!("migration {name} failed, no new migration is kept: {why}"))
    })?;
    if tx.is_autocommit() {
        return Err(SchemaError::Migration(format!("migration {name} has ended its transaction")).into());
    }
    let broken: Option<String> = tx.query_row("PRAGMA foreign_key_check", [], |row| row.get(0)).optional()?;
    if let Some(table) = broken {
        return Err(SchemaError::Migration(format!(
            "migration {name} leaves rows in {table} whose foreign keys name nothing; no new migration is kept"
        ))
        .into());
    }
    tx.execute(
        "INSERT INTO bot_migration (version, name, hash, applied_ms) VALUES (?1, ?2, ?3, ?4)",
        params![number, name, hash, signed(now_ms)],
    )?;
    Ok(true)
}

/// Makes Berth's indexes, and drops those that are not wanted any more.
fn index(conn: &Connection, wanted: &[(String, String, Vec<String>)]) -> Result<(), StoreError> {
    let mut find = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'berth\\_%' ESCAPE '\\' AND sql IS NOT NULL",
    )?;
    let there: Vec<String> = find.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in there {
        conn.execute_batch(&format!("DROP INDEX {}", quoted(&name)))?;
    }
    for (name, table, columns) in wanted {
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let (name, table) = (quoted(name), quoted(table));
        conn.execute_batch(&format!("CREATE INDEX {name} ON {table} ({})", columns.join(", ")))?;
    }
    Ok(())
}

/// Finds the targets of rows that have none yet: what a migration wrote, or what was there before the table was mapped.
fn claim(conn: &Connection, table: &OwnTable) -> Result<(), StoreError> {
    let name = quoted(&table.name);
    match &table.belongs {
        Belongs::Key(column) => {
            let open: bool =
                conn.query_row(&format!("SELECT EXISTS (SELECT 1 FROM {name} WHERE {TARGET} IS NULL)"), [], |row| {
                    row.get(0)
                })?;
            if !open {
                return Ok(());
            }
            let column = quoted(column);
            let mut set = conn.prepare(&format!(
                "UPDATE {name} SET {TARGET} = ?1 WHERE {TARGET} IS NULL AND CAST({column} AS TEXT) = ?2"
            ))?;
            for (key, local) in known_keys(conn)? {
                if let Some(local) = local {
                    set.execute(params![local, key])?;
                }
            }
        }
        Belongs::Via { by, parent, column } => {
            let (by, parent, column) = (quoted(by), quoted(parent), quoted(column));
            conn.execute(
                &format!(
                    "UPDATE {name} SET {TARGET} = (SELECT p.{TARGET} FROM {parent} p WHERE p.{column} = {name}.{by})
                     WHERE {TARGET} IS NULL"
                ),
                [],
            )?;
        }
        Belongs::Keyed | Belongs::Everywhere | Belongs::Global => return Ok(()),
    }
    let left: u64 =
        conn.query_row(&format!("SELECT count(*) FROM {name} WHERE {TARGET} IS NULL"), [], |row| row.get(0))?;
    if left == 0 {
        return Ok(());
    }
    Err(SchemaError::Unfit(vec![format!(
        "table {}: {left} of its rows belong to no target that this pod knows, or to several of the same key; a \
         migration must not write rows of targets, the handler does",
        table.name
    )])
    .into())
}

/// Returns the keys of the targets that are known here, each with its number, or none when several have the same key.
fn known_keys(conn: &Connection) -> Result<BTreeMap<String, Option<i64>>, StoreError> {
    let mut find = conn.prepare("SELECT name, id FROM target WHERE name NOT LIKE '~%'")?;
    let mut rows = find.query([])?;
    let mut keys = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (name, local): (String, i64) = (row.get(0)?, row.get(1)?);
        let target: TargetId = name.parse().map_err(|_| StoreError::Broken("name of a target"))?;
        keys.entry(target.id().to_owned()).and_modify(|known| *known = None).or_insert(Some(local));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
