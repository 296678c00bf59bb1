//! Rows of targets that were put aside: since when and why, how many, what became of the end of their journal, and their
//! end. They are never served from here. Decides nothing about who may have them dropped, or what is sent to whom.

use super::{LocalId, Reader, Store, StoreError, erase::Ranged, erase::quoted, open_reader, signed};
use rusqlite::{Connection, Row, params};
use shared::{
    Epoch, TargetId,
    wire::quarantine::{Aside, Reconcile, Why},
};
use std::{collections::BTreeMap, path::Path};

/// Which rows of `target` are aside. What a move released waits for its end, and is aside only when its name is gone.
const ASIDE: &str = "(state = 'quarantined' OR (name LIKE '~%' AND state = 'released'))";

/// Returns the target's name that rows had before somebody took it from them: `~5~slack:guild:T1` was `slack:guild:T1`.
pub(super) fn plain_name(name: &str) -> Option<&str> {
    if name.starts_with('~') { name.splitn(3, '~').nth(2) } else { Some(name) }
}

/// How far the end of a copy's journal is, as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// The journal up to here is the owner's business.
    pub(crate) sent_seq: u64,
    /// The same of the outbox.
    pub(crate) call_seq: u64,
    /// What to tell an operator.
    pub(crate) report: Reconcile,
}

/// Rows that are aside, without their number and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AsideRow {
    pub(crate) local: LocalId,
    /// Their name in the database: the target's, or nobody's.
    pub(crate) name: String,
    pub(crate) target: TargetId,
    pub(crate) epoch: Epoch,
    pub(crate) why: Why,
    pub(crate) since_ms: u64,
    pub(crate) dropping: bool,
    pub(crate) reconciled: Reconciled,
}

impl AsideRow {
    /// Returns the number of rows in the database that a caller names.
    pub(crate) fn number(copy: u64) -> Result<LocalId, &'static str> {
        i64::try_from(copy).map(LocalId).map_err(|_| "the number of a copy is too large")
    }

    /// Returns whether the target has begun anew beside them.
    pub(crate) fn left_behind(&self) -> bool {
        self.name.starts_with('~')
    }

    /// Says it as it travels.
    pub(crate) fn told(self, (rows, bytes): (u64, u64)) -> Aside {
        Aside {
            copy: self.local.0.unsigned_abs(),
            left_behind: self.left_behind(),
            target: self.target,
            epoch: self.epoch,
            why: self.why,
            since_ms: self.since_ms,
            rows,
            bytes,
            reconcile: self.reconciled.report,
            dropping: self.dropping,
        }
    }
}

fn columns() -> String {
    format!(
        "SELECT target.id, name, epoch, coalesce(why, 'taken'), coalesce(since_ms, 0), dropping IS NOT NULL,
         coalesce(sent_seq, 0), coalesce(call_seq, 0), report
         FROM target LEFT JOIN berth_aside ON local = target.id WHERE {ASIDE}"
    )
}

fn aside(row: &Row<'_>) -> Result<AsideRow, StoreError> {
    let (name, why, report): (String, String, Option<String>) = (row.get(1)?, row.get(3)?, row.get(8)?);
    let target = plain_name(&name).and_then(|name| name.parse().ok()).ok_or(StoreError::Broken("target's name"))?;
    let report = report.map_or(Ok(Reconcile::default()), |text| serde_json::from_str(&text));
    Ok(AsideRow {
        local: LocalId(row.get(0)?),
        target,
        name,
        epoch: Epoch(row.get(2)?),
        why: Why::from_word(&why).ok_or(StoreError::Broken("reason of rows that are aside"))?,
        since_ms: row.get(4)?,
        dropping: row.get(5)?,
        reconciled: Reconciled {
            sent_seq: row.get(6)?,
            call_seq: row.get(7)?,
            report: report.map_err(|_| StoreError::Broken("report on rows that are aside"))?,
        },
    })
}

impl Reader {
    /// Returns rows that are aside, by number, after `after`, at most `most`.
    pub(crate) fn asides(&self, after: Option<LocalId>, most: usize) -> Result<Vec<AsideRow>, StoreError> {
        self.with(|conn| {
            let mut find =
                conn.prepare_cached(&format!("{} AND target.id > ?1 ORDER BY target.id LIMIT ?2", columns()))?;
            let mut rows = find.query(params![after.map_or(0, |after| after.0), signed(most as u64)])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(aside(row)?);
            }
            Ok(all)
        })
    }

    /// Returns the rows that are aside under a number.
    pub(crate) fn aside(&self, copy: u64) -> Result<Option<AsideRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(&format!("{} AND target.id = ?1", columns()))?;
            let mut rows = find.query([signed(copy)])?;
            rows.next()?.map(aside).transpose()
        })
    }
}

/// Counts the rows of each copy and what they hold, in bytes, on a connection of its own: it may take a while.
pub(crate) fn measured(
    folder: &Path,
    map: &crate::schema::Map,
    copies: Vec<AsideRow>,
) -> Result<Vec<Aside>, StoreError> {
    let conn = open_reader(folder)?;
    let tables = Ranged::all(&conn, map)?;
    let sizes = tables.iter().map(|table| size_of(&conn, table)).collect::<Result<Vec<_>, _>>()?;
    let measure = |copy: AsideRow| {
        // Its own row counts too.
        let (mut rows, mut bytes) = (1, 0);
        for sql in &sizes {
            let found: (u64, u64) =
                conn.prepare_cached(sql)?.query_row([copy.local.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            (rows, bytes) = (rows + found.0, bytes + found.1);
        }
        Ok(copy.told((rows, bytes)))
    };
    copies.into_iter().map(measure).collect()
}

fn size_of(conn: &Connection, table: &Ranged) -> Result<String, StoreError> {
    let sum = table.bytes(conn)?;
    Ok(format!("SELECT count(*), coalesce(sum({sum}), 0) FROM {} WHERE target_id = ?1", quoted(&table.name)))
}

/// The same on any connection that writes.
pub(super) fn note(
    conn: &Connection,
    now_ms: u64,
    why: Why,
    whose: &str,
    name: Option<&TargetId>,
) -> Result<(), StoreError> {
    let mut insert = conn.prepare_cached(&format!(
        "INSERT INTO berth_aside (local, since_ms, why) SELECT id, ?1, ?2 FROM target
         WHERE (?3 IS NULL OR name = ?3) AND {whose} ON CONFLICT (local) DO NOTHING"
    ))?;
    insert.execute(params![signed(now_ms), why.as_str(), name.map(TargetId::as_str)])?;
    Ok(())
}

impl Store {
    /// Writes down since when and why rows are aside; `whose` is a condition on `target`.
    pub(super) fn note_aside(&self, why: Why, whose: &str, name: Option<&TargetId>) -> Result<(), StoreError> {
        note(&self.conn, self.limit.clock.wall_ms(), why, whose, name)
    }

    /// Forgets what was written down of rows that are a target's own again.
    pub(super) fn no_longer_aside(&self, local: LocalId) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM berth_aside WHERE local = ?1")?.execute([local.0])?;
        Ok(())
    }

    /// Writes down how far the end of a copy's journal is. Says nothing when the rows are aside no longer.
    pub(crate) fn note_reconciled(&self, local: LocalId, done: &Reconciled) -> Result<(), StoreError> {
        let report = serde_json::to_string(&done.report).map_err(|_| StoreError::Broken("report"))?;
        let mut update = self
            .conn
            .prepare_cached("UPDATE berth_aside SET sent_seq = ?2, call_seq = ?3, report = ?4 WHERE local = ?1")?;
        update.execute(params![local.0, signed(done.sent_seq), signed(done.call_seq), report])?;
        Ok(())
    }

    /// Records that rows that are aside are to go: from now on no assignment can mean them. Returns whose they are; `None`
    /// when nothing is aside under the number.
    pub(crate) fn drop_aside(&self, copy: u64, note: &str) -> Result<Option<(LocalId, TargetId)>, StoreError> {
        let mut find = self.conn.prepare_cached(&format!("{} AND target.id = ?1", columns()))?;
        let found = find.query([signed(copy)])?.next()?.map(aside).transpose()?;
        let Some(AsideRow { local, target, .. }) = found else { return Ok(None) };
        self.conn
            .prepare_cached("UPDATE target SET name = '~' || id || '~' || name WHERE id = ?1 AND name NOT LIKE '~%'")?
            .execute([local.0])?;
        let mut mark = self.conn.prepare_cached(
            "INSERT INTO berth_aside (local, since_ms, why, dropping) VALUES (?1, 0, 'taken', ?2)
             ON CONFLICT (local) DO UPDATE SET dropping = coalesce(dropping, excluded.dropping)",
        )?;
        mark.execute(params![local.0, note])?;
        Ok(Some((local, target)))
    }

    /// Returns the rows that are being dropped.
    pub(crate) fn dropping(&self) -> Result<Vec<LocalId>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT local FROM berth_aside WHERE dropping IS NOT NULL")?;
        let rows = find.query_map([], |row| Ok(LocalId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes at most about `most` of them and adds them to `rows`, by table. Returns whether that were the last: then the
    /// target's own row is gone too.
    pub(crate) fn drop_some(
        &self,
        local: LocalId,
        most: usize,
        rows: &mut BTreeMap<String, u64>,
    ) -> Result<bool, StoreError> {
        if self.erase_chunk(local, most, rows)? {
            return Ok(false);
        }
        let gone =
            self.conn.prepare_cached("DELETE FROM target WHERE id = ?1 AND name LIKE '~%'")?.execute([local.0])?;
        *rows.entry("target".to_owned()).or_default() += gone as u64;
        self.no_longer_aside(local)?;
        Ok(true)
    }
}
