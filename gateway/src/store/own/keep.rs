//! What Berth itself does with the rows of a bot's own tables: works as their target, and takes away what is old.

use super::{Entered, Mode};
use crate::{
    schema::{Expiry, OwnTable, TARGET, TimeUnit},
    store::{LocalId, Store, StoreError, aside::plain_name, erase::quoted, signed},
};
use rusqlite::{OptionalExtension, params};
use shared::TargetId;

impl Store {
    /// Lets Berth change a target's rows until the result is dropped: the guards hold for it too.
    pub(in crate::store) fn as_target(&self, local: LocalId) -> Result<Entered<'_>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT name FROM target WHERE id = ?1")?;
        let name: Option<String> = find.query_row([local.0], |row| row.get(0)).optional()?;
        let target: Option<TargetId> = name.and_then(|name| plain_name(&name)?.parse().ok());
        Ok(self.scope.enter(Mode::Berth, target.as_ref().map(|target| (local, target.id()))))
    }

    /// Takes rows of a target away that are older than the map says, at most `most` of each table. Returns how many went of
    /// the table of which most went.
    pub(in crate::store) fn sweep_own(&self, local: LocalId, now_ms: u64, most: usize) -> Result<usize, StoreError> {
        let _entered = self.as_target(local)?;
        let mut largest = 0;
        for table in self.map.of_targets().rev() {
            largest = largest.max(self.sweep_table(table, Some(local), now_ms, most)?);
        }
        Ok(largest)
    }

    /// The same for the tables that are the pod's.
    pub(crate) fn sweep_pods_own(&self, now_ms: u64, most: usize) -> Result<usize, StoreError> {
        let mut largest = 0;
        for table in self.map.tables.iter().rev().filter(|table| !table.is_of_targets()) {
            largest = largest.max(self.sweep_table(table, None, now_ms, most)?);
        }
        Ok(largest)
    }

    fn sweep_table(
        &self,
        table: &OwnTable,
        local: Option<LocalId>,
        now_ms: u64,
        most: usize,
    ) -> Result<usize, StoreError> {
        let Some(expiry) = &table.expiry else { return Ok(0) };
        let (name, time) = (quoted(&table.name), quoted(&expiry.column));
        let key = table.key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let whose = if local.is_some() { format!("{TARGET} = ?1") } else { "?1 IS NULL".to_owned() };
        let old = match expiry.unit {
            TimeUnit::Millis | TimeUnit::Seconds => format!("{time} < ?2"),
            // By the day: so both ways to write a time of day compare.
            TimeUnit::Text => format!("{time} < date(?2, 'unixepoch') AND {time} > '0'"),
        };
        let mut delete = self.conn.prepare_cached(&format!(
            "DELETE FROM {name} WHERE {whose} AND ({key}) IN (SELECT {key} FROM {name} WHERE {whose} AND {old} LIMIT ?3)"
        ))?;
        match delete.execute(params![local.map(|local| local.0), before(expiry, now_ms), signed(most as u64)]) {
            Ok(went) => Ok(went),
            Err(why) => {
                let why = StoreError::from(why);
                if !why.is_statement_only() {
                    return Err(why);
                }
                // Other rows name them: that is the bot's matter, not the disk's.
                tracing::warn!(table = table.name, error = %why, "rows that are old cannot go; give what names them the same retention");
                Ok(0)
            }
        }
    }
}

/// Returns the time before which rows are old, as the table counts.
fn before(expiry: &Expiry, now_ms: u64) -> i64 {
    let before_ms = now_ms.saturating_sub(u64::try_from(expiry.keep.as_millis()).unwrap_or(u64::MAX));
    signed(if expiry.unit == TimeUnit::Millis { before_ms } else { before_ms / 1_000 })
}
