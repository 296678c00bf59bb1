//! Reads the bot's tables out of the database: columns, keys, indexes, foreign keys. Decides nothing.

use crate::{
    schema::{Column, Foreign, Found, Index, Other, names::is_berths},
    store::StoreError,
};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Returns the bot's tables by name, and what else there is.
pub(super) fn inspect(conn: &Connection) -> Result<(Vec<Found>, Vec<Other>), StoreError> {
    let mut others = Vec::new();
    let mut find = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")?;
    for name in find.query_map([], |row| row.get(0))? {
        others.push(Other { kind: "trigger".to_owned(), name: name? });
    }
    let mut find = conn.prepare("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' ORDER BY name")?;
    let listed: Vec<(String, String, bool)> =
        find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (name, kind, without_rowid) in listed {
        if is_berths(&name) || name.to_ascii_lowercase().starts_with("sqlite_") {
            continue;
        }
        if kind != "table" {
            others.push(Other { kind: format!("{kind} table").replace("view table", "view"), name });
            continue;
        }
        let (columns, indexes, foreign) = (columns(conn, &name)?, indexes(conn, &name)?, foreign(conn, &name)?);
        found.push(Found { name, columns, without_rowid, indexes, foreign });
    }
    // A foreign key that names no column means the other's primary key.
    let keys: BTreeMap<String, Vec<String>> =
        found.iter().map(|table| (table.name.to_ascii_lowercase(), table.key())).collect();
    for foreign in found.iter_mut().flat_map(|table| &mut table.foreign) {
        let key = keys.get(&foreign.table.to_ascii_lowercase());
        for (i, (_, to)) in foreign.pairs.iter_mut().enumerate() {
            if to.is_empty()
                && let Some(column) = key.and_then(|key| key.get(i))
            {
                column.clone_into(to);
            }
        }
    }
    Ok((found, others))
}

fn columns(conn: &Connection, table: &str) -> Result<Vec<Column>, StoreError> {
    let mut find = conn.prepare("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let column = |row: &rusqlite::Row<'_>| {
        Ok(Column { name: row.get(0)?, declared: row.get(1)?, key: row.get(2)?, computed: row.get::<_, i64>(3)? != 0 })
    };
    Ok(find.query_map([table], column)?.collect::<Result<_, _>>()?)
}

fn indexes(conn: &Connection, table: &str) -> Result<Vec<Index>, StoreError> {
    let mut find = conn.prepare("SELECT name, \"unique\", partial FROM pragma_index_list(?1) ORDER BY seq")?;
    let index = |row: &rusqlite::Row<'_>| {
        Ok(Index { name: row.get(0)?, unique: row.get(1)?, partial: row.get(2)?, columns: Vec::new() })
    };
    let mut indexes: Vec<Index> = find.query_map([table], index)?.collect::<Result<_, _>>()?;
    indexes.retain(|index| !is_berths(&index.name));
    let mut find = conn.prepare("SELECT coalesce(name, '') FROM pragma_index_info(?1) ORDER BY seqno")?;
    for index in &mut indexes {
        index.columns = find.query_map([&index.name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    }
    Ok(indexes)
}

fn foreign(conn: &Connection, table: &str) -> Result<Vec<Foreign>, StoreError> {
    let mut find = conn.prepare(
        "SELECT id, \"table\", \"from\", coalesce(\"to\", '') FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let mut rows = find.query([table])?;
    let mut all: BTreeMap<i64, Foreign> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let table = row.get(1)?;
        let foreign = all.entry(row.get(0)?).or_insert_with(|| Foreign { table, pairs: Vec::new() });
        foreign.pairs.push((row.get(2)?, row.get(3)?));
    }
    Ok(all.into_values().collect())
}
