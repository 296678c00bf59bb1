//! Takes everything of a target away, a chunk at a time. That it is wanted is recorded before the first row goes, so that a
//! crash is followed by the rest. The target's own row stays, with its epoch (the fence) and its positions, and nothing else.
//! Knows nothing of who may ask, or of what serves meanwhile.

use super::{LocalId, Store, StoreError, signed};
use crate::schema::{Map, names::is_berths};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// A table whose rows belong to targets: Berth's, or the bot's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranged {
    /// Its name.
    pub(super) name: String,
    /// What tells a target's rows apart.
    pub(super) key: Vec<String>,
    /// Whether its rows name each other, and so go all at once.
    whole: bool,
}

impl Ranged {
    /// Finds every such table: Berth's in the schema, by name, so that what a later migration adds is among them by itself,
    /// then the bot's as the map has them, parents first.
    pub(super) fn all(conn: &Connection, map: &Map) -> Result<Vec<Self>, StoreError> {
        let mut find = conn.prepare_cached(
            "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c
             WHERE s.type = 'table' AND c.pk > 1 AND EXISTS (
               SELECT 1 FROM pragma_table_info(s.name) f WHERE f.name = 'target_id' AND f.pk = 1)
             ORDER BY s.name, c.pk",
        )?;
        let mut rows = find.query([])?;
        let mut all: Vec<Self> = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, column): (String, String) = (row.get(0)?, row.get(1)?);
            match all.last_mut().filter(|last| last.name == name) {
                _ if !is_berths(&name) => {}
                Some(last) => last.key.push(column),
                None => all.push(Self { name, key: vec![column], whole: false }),
            }
        }
        let own = |table: &crate::schema::OwnTable| Self {
            name: table.name.clone(),
            key: table.key.clone(),
            whole: table.names_itself,
        };
        all.extend(map.of_targets().map(own));
        Ok(all)
    }

    /// Returns what adds up the bytes of a row.
    pub(super) fn bytes(&self, conn: &Connection) -> Result<String, StoreError> {
        let mut find = conn.prepare_cached("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns: Vec<String> = find.query_map([&self.name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let length = |column: &String| format!("coalesce(octet_length({}), 0)", quoted(column));
        Ok(columns.iter().map(length).collect::<Vec<_>>().join(" + "))
    }

    /// Returns its key's columns, quoted and separated by commas.
    pub(super) fn columns(&self) -> String {
        self.key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }
}

/// Returns a name as SQL takes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Store {
    /// Records that a target is being erased, and clears what its own row says about its events.
    pub(crate) fn erase_begin(&self, target: LocalId, now_ms: u64) -> Result<(), StoreError> {
        let mut mark = self.conn.prepare_cached(
            "UPDATE target SET erasing = coalesce(erasing, ?2), applied = 0, duplicates = 0, last_event_id = NULL
             WHERE id = ?1",
        )?;
        mark.execute(params![target.0, signed(now_ms)])?;
        Ok(())
    }

    /// Returns whether a call of the target is being made.
    pub(crate) fn is_calling(&self, target: LocalId) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox
             WHERE target_id = ?1 AND state IN ('pending', 'sending') AND state = 'sending')",
        )?;
        Ok(find.query_row([target.0], |row| row.get(0))?)
    }

    /// Deletes at most about `most` rows of the target and adds them to `rows`, by table. Returns whether any went.
    pub(crate) fn erase_chunk(
        &self,
        target: LocalId,
        most: usize,
        rows: &mut BTreeMap<String, u64>,
    ) -> Result<bool, StoreError> {
        let mut left = most;
        let _entered = self.as_target(target)?;
        // Children first: no foreign key may name what is gone.
        for table in Ranged::all(&self.conn, &self.map)?.into_iter().rev() {
            let (name, key) = (quoted(&table.name), table.columns());
            let mut delete = self.conn.prepare_cached(&format!(
                "DELETE FROM {name} WHERE target_id = ?1 AND ({key}) IN (
                   SELECT {key} FROM {name} WHERE target_id = ?1 LIMIT ?2)"
            ))?;
            let chunk = if table.whole { i64::MAX } else { signed(left as u64) };
            let went = delete.execute(params![target.0, chunk])?;
            if went > 0 {
                *rows.entry(table.name).or_default() += went as u64;
            }
            left = left.saturating_sub(went);
            if left == 0 {
                break;
            }
        }
        Ok(left < most)
    }

    /// Records that nothing is left: the target may be served again, as if it had never been.
    pub(crate) fn erase_end(&self, target: LocalId) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE target SET erasing = NULL WHERE id = ?1")?.execute([target.0])?;
        Ok(())
    }
}
