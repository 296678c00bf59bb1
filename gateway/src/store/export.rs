//! Everything a target has, as JSON lines, in one read transaction on a connection of its own: what is written meanwhile is
//! not in it. Knows nothing of who reads; whoever takes the lines says when to stop.

use super::{StoreError, erase::Ranged, erase::quoted, open_reader};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use shared::{
    Epoch, TargetId,
    wire::data::{ExportEnd, ExportHead},
};
use std::path::Path;

/// Bytes gathered before they are handed on.
const CHUNK: usize = 64 << 10;

/// The table that holds the target's own row.
const TARGET: &str = "target";

/// Whoever took the lines wants no more.
#[derive(Debug)]
pub(crate) struct Cut;

/// Why an export ended early. What was handed on has no last line then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reader went away, or took nothing for too long.
    #[error("the reader went away, or took nothing for too long")]
    Cut,
}

impl From<rusqlite::Error> for ExportError {
    fn from(why: rusqlite::Error) -> Self {
        Self::Store(why.into())
    }
}

/// Gathers lines, counts them and hands them on.
struct Lines<'a> {
    sink: &'a mut dyn FnMut(Vec<u8>) -> Result<(), Cut>,
    gathered: Vec<u8>,
    hash: Sha256,
    rows: u64,
}

impl Lines<'_> {
    fn write(&mut self, line: &Value) -> Result<(), ExportError> {
        let mut text = line.to_string();
        text.push('\n');
        self.hash.update(text.as_bytes());
        self.gathered.extend_from_slice(text.as_bytes());
        if self.gathered.len() >= CHUNK { self.hand_on() } else { Ok(()) }
    }

    fn hand_on(&mut self) -> Result<(), ExportError> {
        (self.sink)(std::mem::take(&mut self.gathered)).map_err(|Cut| ExportError::Cut)
    }

    fn row(&mut self, table: &str, row: &Row<'_>) -> Result<(), ExportError> {
        let mut cells = Map::new();
        for (i, column) in row.as_ref().column_names().into_iter().enumerate() {
            cells.insert(column.to_owned(), value(row.get_ref(i)?));
        }
        // The target's number means nothing outside this database.
        cells.remove("target_id");
        self.rows += 1;
        self.write(&json!({"table": table, "row": cells}))
    }

    fn end(mut self) -> Result<(), ExportError> {
        let sha256 = self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let end = ExportEnd { end: true, rows: self.rows, sha256 };
        self.gathered.extend_from_slice(json!(end).to_string().as_bytes());
        self.gathered.push(b'\n');
        self.hand_on()
    }
}

/// Writes everything of `target` to `sink`: first the head that `head` makes of the tables' names, then the rows, last the
/// end. A target without a row has only these two lines. `name` is what its rows go by in the database: the target's name, or
/// another when they are aside.
pub(crate) fn export(
    folder: &Path,
    map: &crate::schema::Map,
    target: &TargetId,
    name: &str,
    head: impl FnOnce(Vec<String>) -> ExportHead,
    sink: &mut dyn FnMut(Vec<u8>) -> Result<(), Cut>,
) -> Result<(), ExportError> {
    let conn = open_reader(folder)?;
    // Ends with the connection, however this returns.
    conn.execute_batch("BEGIN")?;
    let tables = Ranged::all(&conn, map)?;
    let mut names = vec![TARGET.to_owned()];
    names.extend(tables.iter().map(|table| table.name.clone()));
    let mut lines = Lines { sink, gathered: Vec::new(), hash: Sha256::new(), rows: 0 };
    lines.write(&json!(head(names)))?;
    if let Some(local) = own_row(&conn, target, name, &mut lines)? {
        for table in &tables {
            let (name, key) = (quoted(&table.name), table.columns());
            let mut find = conn.prepare(&format!("SELECT * FROM {name} WHERE target_id = ?1 ORDER BY {key}"))?;
            let mut rows = find.query([local])?;
            while let Some(row) = rows.next()? {
                lines.row(&table.name, row)?;
            }
        }
    }
    lines.end()
}

fn own_row(
    conn: &Connection,
    target: &TargetId,
    name: &str,
    lines: &mut Lines<'_>,
) -> Result<Option<i64>, ExportError> {
    let find =
        "SELECT id, epoch, applied, duplicates, last_event_id, journal_seq, outbox_seq FROM target WHERE name = ?1";
    let found = conn.query_row(find, [name], |row| {
        let (epoch, applied, duplicates): (u64, u64, u64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (last, journal, outbox): (Option<String>, u64, u64) = (row.get(4)?, row.get(5)?, row.get(6)?);
        let cells = json!({"name": target, "epoch": Epoch(epoch), "applied": applied, "duplicates": duplicates,
            "last_event_id": last, "journal_seq": journal, "outbox_seq": outbox});
        Ok((row.get(0)?, cells))
    });
    let Some((local, cells)) = found.optional()? else { return Ok(None) };
    lines.rows += 1;
    lines.write(&json!({"table": TARGET, "row": cells}))?;
    Ok(Some(local))
}

/// A cell as JSON: a blob is `{"base64": …}`, what JSON has no number for is text.
fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) if number.is_finite() => number.into(),
        ValueRef::Real(number) => number.to_string().into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => json!({"base64": STANDARD.encode(bytes)}),
    }
}
