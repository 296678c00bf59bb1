//! What the database records of moves, and the one step that makes an import a target's own rows. Everything here is written
//! in the transaction of whoever calls.

use super::restored::NO_MOVE;
use crate::store::{LocalId, Store, StoreError, signed};
use rusqlite::{OptionalExtension, params};
use shared::{Epoch, MoveId, TargetId, protocol::handoff::destination::Imported, protocol::handoff::source::Kept};

/// A target that a move takes away, or took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The move.
    pub(crate) id: MoveId,
    /// The target.
    pub(crate) target: TargetId,
    /// The epoch it was released at.
    pub(crate) epoch: Epoch,
    /// How far it is.
    pub(crate) kept: Kept,
}

/// A target that a move brings, or brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// The move.
    pub(crate) id: MoveId,
    /// The target.
    pub(crate) target: TargetId,
    /// What is here.
    pub(crate) imported: Imported,
    /// Whether it is the target's own already.
    pub(crate) switched: bool,
}

/// What the database says of moves when the pod starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    /// From this pod.
    pub(crate) out: Vec<Outgoing>,
    /// To this pod, whole.
    pub(crate) incoming: Vec<Incoming>,
}

impl Store {
    /// Returns what is recorded. What had not come whole is given up: its rows are dropped.
    pub(crate) fn moves_standing(&self) -> Result<Standing, StoreError> {
        let give_up = format!("UPDATE berth_moved_in SET state = 'leaving' WHERE state = 'coming' AND NOT {NO_MOVE}");
        self.conn.execute(&give_up, [])?;
        let mut standing = Standing::default();
        let mut find = self.conn.prepare(
            "SELECT move, target, epoch, state FROM berth_moved_out WHERE state IN ('frozen', 'released', 'dropping') ORDER BY move",
        )?;
        let mut rows = find.query([])?;
        while let Some(row) = rows.next()? {
            let (state, target): (String, String) = (row.get(3)?, row.get(1)?);
            let kept = match state.as_str() {
                "frozen" => Kept::Frozen,
                "released" => Kept::Released,
                _ => Kept::Dropping,
            };
            let target = target.parse().map_err(|_| StoreError::Broken("target of a move"))?;
            standing.out.push(Outgoing { id: MoveId(row.get(0)?), target, epoch: Epoch(row.get(2)?), kept });
        }
        let mut find = self.conn.prepare(&format!(
            "SELECT move, target, epoch, rows, bytes, state = 'switched' FROM berth_moved_in
             WHERE state IN ('whole', 'switched') AND NOT {NO_MOVE} ORDER BY move"
        ))?;
        let mut rows = find.query([])?;
        while let Some(row) = rows.next()? {
            let target: String = row.get(1)?;
            standing.incoming.push(Incoming {
                id: MoveId(row.get(0)?),
                target: target.parse().map_err(|_| StoreError::Broken("target of a move"))?,
                imported: Imported { epoch: Epoch(row.get(2)?), rows: row.get(3)?, bytes: row.get(4)? },
                switched: row.get(5)?,
            });
        }
        Ok(standing)
    }

    /// Records that a target is frozen by a move.
    pub(crate) fn freeze(
        &self,
        id: MoveId,
        local: LocalId,
        target: &TargetId,
        epoch: Epoch,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        self.set_state(local, "owned", "frozen")?;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO berth_moved_out (local, move, target, epoch, state, at_ms)
                 VALUES (?1, ?2, ?3, ?4, 'frozen', ?5)",
            )?
            .execute(params![local.0, signed(id.0), target.as_str(), signed(epoch.0), signed(now_ms)])?;
        Ok(())
    }

    /// Records that a frozen target is served here as before. Returns whether it was frozen by this move.
    pub(crate) fn unfreeze(&self, id: MoveId) -> Result<bool, StoreError> {
        let mut gone = self
            .conn
            .prepare_cached("DELETE FROM berth_moved_out WHERE move = ?1 AND state = 'frozen' RETURNING local")?;
        let local: Option<i64> = gone.query_row([signed(id.0)], |row| row.get(0)).optional()?;
        let Some(local) = local else { return Ok(false) };
        self.set_state(LocalId(local), "frozen", "owned")?;
        Ok(true)
    }

    /// Records that a frozen target is another pod's by this move.
    pub(crate) fn let_go(&self, id: MoveId) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE berth_moved_out SET state = 'released' WHERE move = ?1 AND state = 'frozen' RETURNING local",
        )?;
        let local: Option<i64> = update.query_row([signed(id.0)], |row| row.get(0)).optional()?;
        local.map_or(Ok(()), |local| self.set_state(LocalId(local), "frozen", "released"))
    }

    /// Records that the rows of a move's source may go. Returns their number; none when they are gone.
    pub(crate) fn drop_begin(&self, id: MoveId) -> Result<Option<LocalId>, StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE berth_moved_out SET state = 'dropping' WHERE move = ?1 AND state IN ('released', 'dropping')
             RETURNING local",
        )?;
        Ok(update.query_row([signed(id.0)], |row| row.get(0).map(LocalId)).optional()?)
    }

    /// Records that what a move has brought is not wanted.
    pub(crate) fn import_leaves(&self, id: MoveId) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "UPDATE berth_moved_in SET state = 'leaving' WHERE move = ?1 AND state IN ('coming', 'whole')",
            )?
            .execute([signed(id.0)])?;
        Ok(())
    }

    /// Makes what a move has brought the target's own rows. What was here of it before is put aside, or goes when only its
    /// fence was left. Returns false when nothing whole is here.
    pub(crate) fn switch(&self, id: MoveId, target: &TargetId, epoch: Epoch) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached(
            "SELECT local, epoch FROM berth_moved_in WHERE move = ?1 AND target = ?2 AND state = 'whole'",
        )?;
        let found: Option<(i64, u64)> =
            find.query_row(params![signed(id.0), target.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((local, _)) = found.filter(|(_, released)| *released < epoch.0) else { return Ok(false) };
        let mut old = self.conn.prepare_cached(
            "SELECT target.id, coalesce(berth_moved_out.state, '') FROM target
             LEFT JOIN berth_moved_out ON berth_moved_out.local = target.id WHERE name = ?1",
        )?;
        let old: Option<(i64, String)> =
            old.query_row([target.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match old {
            Some((old, state)) if state == "dropped" => {
                self.conn.prepare_cached("DELETE FROM berth_moved_out WHERE local = ?1")?.execute([old])?;
                self.conn.prepare_cached("DELETE FROM target WHERE id = ?1")?.execute([old])?;
            }
            Some((old, state)) => {
                let name = format!("~{old}~{target}");
                let state = if state.is_empty() { "quarantined" } else { "released" };
                self.conn
                    .prepare_cached("UPDATE target SET name = ?2, state = ?3 WHERE id = ?1")?
                    .execute(params![old, name, state])?;
            }
            None => {}
        }
        self.conn
            .prepare_cached("UPDATE target SET name = ?2, epoch = ?3, state = 'owned' WHERE id = ?1")?
            .execute(params![local, target.as_str(), signed(epoch.0)])?;
        self.conn.prepare_cached("UPDATE berth_moved_in SET state = 'switched' WHERE local = ?1")?.execute([local])?;
        Ok(true)
    }

    /// Returns whether everything of a target is here that a move has brought, and is not the target's own. Such a target must
    /// not begin empty, nor with what was here before: how the move ended is asked for first.
    pub(crate) fn is_unsettled(&self, target: &TargetId) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM berth_moved_in WHERE target = ?1 AND state = 'whole' AND NOT {NO_MOVE})"
        ))?;
        Ok(find.query_row([target.as_str()], |row| row.get(0))?)
    }

    /// Forgets that a move took a target away that was given back with the rows kept here: they are its own again.
    pub(crate) fn take_release_back(&self, target: &TargetId, kept: Option<Epoch>) -> Result<(), StoreError> {
        let Some(kept) = kept else { return Ok(()) };
        self.conn
            .prepare_cached(
                "DELETE FROM berth_moved_out WHERE target = ?1 AND state = 'released' AND epoch = ?2
                   AND local = (SELECT id FROM target WHERE name = ?1)",
            )?
            .execute(params![target.as_str(), signed(kept.0)])?;
        Ok(())
    }

    /// Lets a target begin anew of which only the fence is left here. Its epoch stays.
    pub(crate) fn take_fence_down(&self, target: &TargetId) -> Result<(), StoreError> {
        let mut gone = self.conn.prepare_cached(
            "DELETE FROM berth_moved_out WHERE target = ?1 AND state = 'dropped'
               AND local = (SELECT id FROM target WHERE name = ?1) RETURNING local",
        )?;
        let local: Option<i64> = gone.query_row([target.as_str()], |row| row.get(0)).optional()?;
        if let Some(local) = local {
            self.conn
                .prepare_cached(
                    "UPDATE target SET state = 'owned', applied = 0, duplicates = 0, last_event_id = NULL WHERE id = ?1",
                )?
                .execute([local])?;
        }
        Ok(())
    }

    /// Returns whether a frozen target's rows are here under this name.
    pub(crate) fn is_frozen(&self, target: &TargetId) -> Result<bool, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT state = 'frozen' FROM target WHERE name = ?1")?;
        Ok(find.query_row([target.as_str()], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    fn set_state(&self, local: LocalId, from: &str, state: &str) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE target SET state = ?3 WHERE id = ?1 AND state = ?2")?
            .execute(params![local.0, from, state])?;
        Ok(())
    }
}
