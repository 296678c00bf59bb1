//! What a database holds, target by target, and whether a copy of it holds the same: for drills. Reads one state of a file;
//! compares without writing. Decides nothing about when, or where the copy comes from.
//!
//! The copy is of a moment between two looks at the database itself. A target whose counters stand still between these looks
//! was not touched by any event, so its rows have to be in the copy as they are here. Of the others the counters have to lie
//! between.

use super::{StoreError, TimeLimit, erase::Ranged, erase::quoted};
use crate::schema::Map;
use rusqlite::{Connection, OpenFlags};
use shared::{Clock, wire::drill::Difference};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// Rows of a table, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// What a target's own row says: whatever happens to the target moves one of these, and none goes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) name: String,
    pub(crate) state: String,
    /// Epoch, applied, duplicates, journal and outbox.
    pub(crate) counters: [u64; 5],
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) stamp: Stamp,
    /// In the order of [`Sums::tables`].
    pub(crate) counts: Vec<Count>,
}

/// What a database holds, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) incarnation: String,
    pub(crate) commit_seq: u64,
    pub(crate) tables: Vec<String>,
    /// By number in the database: a copy has the same.
    pub(crate) targets: BTreeMap<i64, Held>,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Compared {
    /// Targets that stood still, and were compared row count by row count.
    pub(crate) targets: u64,
    /// Targets that went on meanwhile: only their counters were compared.
    pub(crate) moving: u64,
    /// The rows of those that stood still.
    pub(crate) rows: u64,
    /// The first differences.
    pub(crate) differences: Vec<Difference>,
    /// All of them.
    pub(crate) found: u64,
}

/// Adds up what a file holds, in one read transaction, for at most `within`: until then the WAL keeps everything that is written.
pub(crate) fn sums(file: &Path, map: &Map, clock: &Arc<dyn Clock>, within: Duration) -> Result<Sums, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    let limit = Arc::new(TimeLimit::new(Arc::clone(clock)));
    TimeLimit::watch(&limit, &conn)?;
    limit.set(Some(clock.now().after(within)));
    conn.execute_batch("PRAGMA busy_timeout = 5000; BEGIN")?;
    let meta = conn.query_row("SELECT incarnation, commit_seq FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (incarnation, commit_seq) = meta?;
    let tables = Ranged::all(&conn, map)?;
    let mut targets = stamps(&conn, tables.len())?;
    for (place, table) in tables.iter().enumerate() {
        let mut find = conn.prepare(&counting(&conn, table)?)?;
        let mut rows = find.query([])?;
        while let Some(row) = rows.next()? {
            // Rows of a number that no target has are counted too: the copy is to have as many.
            let held = targets.entry(row.get(0)?).or_insert_with(|| empty(tables.len()));
            held.counts[place] = Count { rows: row.get(1)?, bytes: row.get(2)? };
        }
    }
    Ok(Sums { incarnation, commit_seq, tables: tables.into_iter().map(|table| table.name).collect(), targets })
}

fn empty(tables: usize) -> Held {
    Held { stamp: Stamp::default(), counts: vec![Count::default(); tables] }
}

fn stamps(conn: &Connection, tables: usize) -> Result<BTreeMap<i64, Held>, StoreError> {
    let find = "SELECT id, name, state, epoch, applied, duplicates, journal_seq, outbox_seq FROM target";
    let mut find = conn.prepare(find)?;
    let mut rows = find.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let counters = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
        let stamp = Stamp { name: row.get(1)?, state: row.get(2)?, counters };
        all.insert(row.get(0)?, Held { stamp, ..empty(tables) });
    }
    Ok(all)
}

fn counting(conn: &Connection, table: &Ranged) -> Result<String, StoreError> {
    let sum = table.bytes(conn)?;
    Ok(format!("SELECT target_id, count(*), coalesce(sum({sum}), 0) FROM {} GROUP BY target_id", quoted(&table.name)))
}

/// Compares a copy with the database it is of, which was looked at `before` the copy was made and `after` it. At most `most`
/// differences are told.
pub(crate) fn compare(before: &Sums, copy: &Sums, after: &Sums, most: usize) -> Compared {
    let mut compared = Compared::default();
    let mut differs = |target: &str, what: &str, here: String, copy: String| {
        compared.found += 1;
        if compared.differences.len() < most {
            let (target, what) = (target.to_owned(), what.to_owned());
            compared.differences.push(Difference { target, what, here, copy });
        }
    };
    if copy.incarnation != before.incarnation || copy.incarnation != after.incarnation {
        differs("", "incarnation", after.incarnation.clone(), copy.incarnation.clone());
    }
    if !(before.commit_seq..=after.commit_seq).contains(&copy.commit_seq) {
        let here = format!("{} to {}", before.commit_seq, after.commit_seq);
        differs("", "commit_seq", here, copy.commit_seq.to_string());
    }
    if copy.tables != after.tables {
        differs("", "tables", after.tables.join(" "), copy.tables.join(" "));
        return compared;
    }
    let (mut still, mut moving, mut rows) = (0, 0, 0);
    for (local, first) in &before.targets {
        let name = &first.stamp.name;
        let (Some(found), Some(last)) = (copy.targets.get(local), after.targets.get(local)) else {
            // What is gone here by now may be gone there.
            if after.targets.contains_key(local) {
                differs(name, "target", "there".into(), "missing".into());
            }
            continue;
        };
        if first == last {
            still += 1;
            if found.stamp != first.stamp {
                differs(name, "target", format!("{:?}", first.stamp.counters), format!("{:?}", found.stamp.counters));
            }
            for ((table, here), there) in after.tables.iter().zip(&last.counts).zip(&found.counts) {
                rows += here.rows;
                if here != there {
                    let text = |count: &Count| format!("{} rows, {} bytes", count.rows, count.bytes);
                    differs(name, table, text(here), text(there));
                }
            }
            continue;
        }
        moving += 1;
        let between = |place: usize| {
            let (from, to) = (first.stamp.counters[place], last.stamp.counters[place]);
            from > to || (from..=to).contains(&found.stamp.counters[place])
        };
        if !(0..first.stamp.counters.len()).all(between) {
            let here = format!("{:?} to {:?}", first.stamp.counters, last.stamp.counters);
            differs(name, "counters", here, format!("{:?}", found.stamp.counters));
        }
    }
    for (local, found) in &copy.targets {
        if !before.targets.contains_key(local) && !after.targets.contains_key(local) {
            differs(&found.stamp.name, "target", "missing".into(), "there".into());
        }
    }
    (compared.targets, compared.moving, compared.rows) = (still, moving, rows);
    compared
}

#[cfg(test)]
mod tests;
