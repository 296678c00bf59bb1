//! Which tables travel with a target, which of their columns, and what tells their rows apart. Pure but for reading the
//! schema once. Decides whether what a source sends fits the tables here.

use super::parcel::{Head, Key, OLDEST, TableHead, VERSION};
use crate::{
    schema::{Map, TARGET, names::is_berths},
    store::{StoreError, erase::Ranged, erase::quoted, migrate},
};
use rusqlite::Connection;
use shared::{Epoch, TargetId};
use std::sync::Arc;

/// A table that travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name, its columns without `target_id` and what is computed, and its key.
    pub(super) head: TableHead,
    /// The name of the rowid, where that is the key.
    pub(super) rowid: Option<String>,
}

impl Table {
    /// Returns its name as SQL takes it.
    pub(super) fn name(&self) -> String {
        quoted(&self.head.name)
    }

    /// Returns its columns as SQL takes them.
    pub(super) fn columns(&self) -> String {
        self.head.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of its key's columns as SQL takes them.
    pub(super) fn key(&self) -> Vec<String> {
        match (&self.head.key, &self.rowid) {
            (Key::Columns(places), _) => {
                places.iter().map(|place| quoted(&self.head.columns[usize::from(*place)])).collect()
            }
            (Key::Rowid, rowid) => vec![rowid.clone().unwrap_or_else(|| "rowid".to_owned())],
        }
    }
}

/// The tables that travel, those that others name first.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) tables: Vec<Table>,
    pub(super) map: Arc<Map>,
}

impl Plan {
    /// Reads it from the database.
    pub(crate) fn new(conn: &Connection, map: Arc<Map>) -> Result<Self, StoreError> {
        let mut tables = Vec::new();
        for ranged in Ranged::all(conn, &map)? {
            let columns: Vec<String> = match map.table(&ranged.name).filter(|_| !is_berths(&ranged.name)) {
                Some(own) => own.columns.clone(),
                None => {
                    let mut find =
                        conn.prepare("SELECT name FROM pragma_table_info(?1) WHERE name <> ?2 ORDER BY cid")?;
                    let names = find.query_map([&*ranged.name, TARGET], |row| row.get(0))?;
                    names.collect::<Result<_, _>>()?
                }
            };
            let place = |name: &String| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
            let key: Vec<&String> = ranged.key.iter().filter(|name| !name.eq_ignore_ascii_case(TARGET)).collect();
            let places: Option<Vec<u16>> =
                key.iter().map(|name| place(name).and_then(|place| u16::try_from(place).ok())).collect();
            let (key, rowid) = match places {
                Some(places) => (Key::Columns(places), None),
                None => (Key::Rowid, key.first().map(|name| (*name).clone())),
            };
            tables.push(Table { head: TableHead { name: ranged.name, columns, key }, rowid });
        }
        Ok(Self { tables, map })
    }

    /// Returns what a stream of a target's rows begins with.
    pub(super) fn head(&self, target: &TargetId, epoch: Epoch, changes: bool) -> Head {
        Head {
            version: VERSION,
            target: target.to_string(),
            epoch,
            schema: migrate::newest(),
            bot_schema: self.map.version,
            bot_hash: self.map.hash.clone(),
            changes,
            tables: self.tables.iter().map(|table| table.head.clone()).collect(),
        }
    }

    /// Says whether what a source sends fits here, and returns the table here for each of the source's.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn fits(&self, head: &Head) -> Result<Vec<usize>, String> {
        if !(OLDEST..=VERSION).contains(&head.version) {
            let version = head.version;
            return Err(format!("the source sends rows in form {version}, this pod takes {OLDEST} to {VERSION}"));
        }
        let known = migrate::newest();
        if head.schema > known || head.schema + 1 < known {
            return Err(format!(
                "the source's database has schema {}, this pod takes rows of {} and {known}",
                head.schema,
                known.saturating_sub(1)
            ));
        }
        if self.map.version < head.bot_schema {
            return Err("the bot's tables are older here than at the source; update this pod first".to_owned());
        }
        if self.map.version == head.bot_schema && self.map.hash != head.bot_hash {
            return Err("the bot's tables have the same version here as at the source and are others".to_owned());
        }
        head.tables.iter().map(|table| self.counterpart(table)).collect()
    }

    fn counterpart(&self, theirs: &TableHead) -> Result<usize, String> {
        let same = |ours: &Table| ours.head.name.eq_ignore_ascii_case(&theirs.name);
        let Some(i) = self.tables.iter().position(same) else {
            return Err(format!("there is no table {} here", theirs.name));
        };
        let ours = &self.tables[i].head;
        let known = |column: &&String| ours.columns.iter().any(|own| own.eq_ignore_ascii_case(column));
        if let Some(column) = theirs.columns.iter().find(|column| !known(column)) {
            return Err(format!("table {} has no column {column} here", theirs.name));
        }
        let places = |key: &Key| match key {
            Key::Rowid => true,
            Key::Columns(places) => places.iter().all(|place| usize::from(*place) < theirs.columns.len()),
        };
        if places(&theirs.key) { Ok(i) } else { Err(format!("the key of table {} names no column", theirs.name)) }
    }
}
