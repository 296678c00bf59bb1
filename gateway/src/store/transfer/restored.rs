//! Imports that no move brings: rows out of a dead pod's replica (OWNERSHIP.md, Data 4). They land as those of a move do, under
//! numbers of their own, with a note of where they come from. One becomes the target's rows only when the target is given to
//! this pod with exactly that copy. Decides nothing about who restores what.

use super::import::Importer;
use crate::replica::Lineage;
use crate::store::{KeptRow, Reader, Store, StoreError, signed};
use rusqlite::{OptionalExtension, params};
use shared::wire::control::Life;
use shared::{Epoch, MoveId, TargetId};

/// Numbers from here on are no moves': those are revisions, which never come so far.
const FIRST: u64 = 1 << 62;
/// The same for a query.
pub(super) const NO_MOVE: &str = "move >= 4611686018427387904";

/// Where restored rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Whose replica.
    pub(crate) lineage: Lineage,
    /// How far that database was.
    pub(crate) commit_seq: u64,
    /// The same, as Litestream counts, when it has said so.
    pub(crate) txid: Option<u64>,
}

/// What stands about a target that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProvenanceRow {
    /// Where its rows come from.
    pub(crate) source: Source,
    /// The last epoch it was owned under in that copy.
    pub(crate) epoch: Epoch,
    /// Its journal was restored up to here.
    pub(crate) journal_seq: u64,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
}

/// A restored copy that is whole and not its target's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Its number.
    pub(crate) id: MoveId,
    /// The target.
    pub(crate) target: TargetId,
    /// The last epoch it was owned under.
    pub(crate) epoch: Epoch,
    /// Whose replica it is from.
    pub(crate) life: Life,
}

/// What there is when the pod starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imports {
    /// Whole ones.
    pub(crate) waiting: Vec<Waiting>,
    /// The first number that is free.
    pub(crate) next: u64,
}

impl Store {
    /// Returns the restored copies that wait. With `fresh` what had not come whole is given up: its rows are dropped.
    pub(crate) fn restored_imports(&self, fresh: bool) -> Result<Imports, StoreError> {
        if fresh {
            let give_up = format!("UPDATE berth_moved_in SET state = 'leaving' WHERE state = 'coming' AND {NO_MOVE}");
            self.conn.execute(&give_up, [])?;
        }
        let mut find = self.conn.prepare_cached(&format!(
            "SELECT i.move, i.target, i.epoch, p.pod, p.incarnation FROM berth_moved_in i
             JOIN berth_provenance p ON p.target_id = i.local AND p.epoch = i.epoch
             WHERE i.state = 'whole' AND i.{NO_MOVE} ORDER BY i.move"
        ))?;
        let rows = find.query_map([], |row| {
            let texts: (String, String, String) = (row.get(1)?, row.get(3)?, row.get(4)?);
            Ok((MoveId(row.get(0)?), Epoch(row.get(2)?), texts))
        })?;
        let mut waiting = Vec::new();
        for row in rows {
            let (id, epoch, (target, pod, incarnation)) = row?;
            let broken = |_| StoreError::Broken("note of what was restored");
            waiting.push(Waiting {
                id,
                epoch,
                target: target.parse().map_err(broken)?,
                life: Life { pod: pod.parse().map_err(broken)?, incarnation: incarnation.parse().map_err(broken)? },
            });
        }
        let last = "SELECT coalesce(max(move), 0) FROM berth_moved_in";
        let last: u64 = self.conn.query_row(last, [], |row| row.get(0))?;
        Ok(Imports { waiting, next: last.saturating_add(1).max(FIRST) })
    }

    /// Returns the restored copy of a target that is whole and not its rows yet.
    pub(crate) fn restored(&self, target: &TargetId) -> Result<Option<(MoveId, Epoch)>, StoreError> {
        let mut find = self.conn.prepare_cached(&format!(
            "SELECT move, epoch FROM berth_moved_in WHERE target = ?1 AND state = 'whole' AND {NO_MOVE}
             ORDER BY move DESC LIMIT 1"
        ))?;
        let found = find.query_row([target.as_str()], |row| Ok((MoveId(row.get(0)?), Epoch(row.get(1)?))));
        Ok(found.optional()?)
    }

    /// Forgets the import whose rows are the target's own: what is to be known of it stands beside them.
    pub(crate) fn restored_settled(&self, id: MoveId) -> Result<(), StoreError> {
        let mut gone = self.conn.prepare_cached("DELETE FROM berth_moved_in WHERE move = ?1 AND state = 'switched'")?;
        gone.execute([signed(id.0)])?;
        Ok(())
    }

    /// Makes restored copies that wait in a database nobody serves from its targets' rows, as they were to become. Where the
    /// target has come here another way since, its rows are the newer ones and stay: so a pod's own report has it.
    pub(super) fn settle_restored(&self) -> Result<(), StoreError> {
        let mut own = self.conn.prepare_cached("SELECT epoch FROM target WHERE name = ?1")?;
        for Waiting { id, target, epoch, .. } in self.restored_imports(true)?.waiting {
            let own: Option<u64> = own.query_row([target.as_str()], |row| row.get(0)).optional()?;
            if own.is_some_and(|own| own > epoch.0) {
                continue;
            }
            // As if it had been given to that pod under the very next epoch, of which nobody has heard.
            self.switch(id, &target, epoch.next())?;
            let mut back = self.conn.prepare_cached("UPDATE target SET epoch = ?2 WHERE name = ?1")?;
            back.execute(params![target.as_str(), signed(epoch.0)])?;
        }
        Ok(())
    }
}

impl Importer {
    /// Writes down where an import's rows come from, in the transaction that makes it whole.
    pub(crate) fn note_source(&self, id: MoveId, source: &Source, now_ms: u64) -> Result<(), StoreError> {
        let Source { lineage, commit_seq, txid } = source;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO berth_provenance
                   (target_id, epoch, generation, pod, incarnation, commit_seq, txid, journal_seq, at_ms)
                 SELECT local, epoch, ?2, ?3, ?4, ?5, ?6, journal_seq, ?7 FROM berth_moved_in
                 WHERE move = ?1 AND state = 'whole'",
            )?
            .execute(params![
                signed(id.0),
                lineage.generation,
                lineage.pod.as_str(),
                lineage.incarnation.as_str(),
                signed(*commit_seq),
                txid.map(signed),
                signed(now_ms)
            ])?;
        Ok(())
    }
}

impl Reader {
    /// Returns the restored copies that wait, of targets after `after`.
    pub(in crate::store) fn restored_after(&self, after: Option<&TargetId>) -> Result<Vec<KeptRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(&format!(
                "SELECT target, epoch FROM berth_moved_in WHERE state = 'whole' AND {NO_MOVE} AND target > ?1"
            ))?;
            let after = after.map_or("", TargetId::as_str);
            let rows = find.query_map([after], |row| Ok((row.get::<_, String>(0)?, Epoch(row.get(1)?))))?;
            let kept = rows.map(|row| {
                let (name, epoch) = row?;
                let target = name.parse().map_err(|_| StoreError::Broken("target of an import"))?;
                Ok(KeptRow { target, epoch, whole: true })
            });
            kept.collect()
        })
    }

    /// Returns where the rows of a target come from that were restored, the last time last; nothing when they never were.
    pub(crate) fn provenance(&self, target: &TargetId) -> Result<Vec<ProvenanceRow>, StoreError> {
        self.with(|conn| {
            let mut find = conn.prepare_cached(
                "SELECT p.generation, p.pod, p.incarnation, p.commit_seq, p.txid, p.epoch, p.journal_seq, p.at_ms
                 FROM berth_provenance p JOIN target t ON t.id = p.target_id WHERE t.name = ?1 ORDER BY p.epoch",
            )?;
            let mut rows = find.query([target.as_str()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (pod, incarnation): (String, String) = (row.get(1)?, row.get(2)?);
                let broken = |_| StoreError::Broken("note of where rows come from");
                let lineage = Lineage {
                    generation: row.get(0)?,
                    pod: pod.parse().map_err(broken)?,
                    incarnation: incarnation.parse().map_err(broken)?,
                };
                found.push(ProvenanceRow {
                    source: Source { lineage, commit_seq: row.get(3)?, txid: row.get(4)? },
                    epoch: Epoch(row.get(5)?),
                    journal_seq: row.get(6)?,
                    at_ms: row.get(7)?,
                });
            }
            Ok(found)
        })
    }
}
