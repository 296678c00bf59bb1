//! What SQLite keeps of what targets weigh.

use super::super::name;
use super::{StoreError, rejected};
use crate::domain::Weight;
use rusqlite::{Transaction, params};
use shared::TargetId;

/// Reads what is kept, by target.
pub(super) fn read(db: &Transaction<'_>) -> Result<Vec<(TargetId, Weight)>, StoreError> {
    let mut find = db.prepare("SELECT target, events, bytes, sockets FROM weight ORDER BY target").map_err(rejected)?;
    let rows = find.query_map([], |row| {
        let number = |at| row.get::<_, f64>(at).map(|number| number as f32);
        let weight = Weight { events: number(1)?, bytes: number(2)?, sockets: number(3)? };
        Ok((row.get::<_, String>(0)?, weight))
    });
    let row = |row: rusqlite::Result<(String, Weight)>| row.map_err(rejected);
    rows.map_err(rejected)?.map(|found| row(found).and_then(|(target, weight)| Ok((name(&target)?, weight)))).collect()
}

/// Writes what targets weigh, of one that is named twice what is said last; what weighs nothing is removed.
pub(super) fn write(db: &Transaction<'_>, weights: &[(TargetId, Weight)]) -> Result<(), StoreError> {
    let statement = |sql: &str| db.prepare_cached(sql).map_err(rejected);
    let mut remove = statement("DELETE FROM weight WHERE target = ?1")?;
    let mut keep = statement("INSERT OR REPLACE INTO weight (target, events, bytes, sockets) VALUES (?1, ?2, ?3, ?4)")?;
    for (target, Weight { events, bytes, sockets }) in weights {
        let done = if [events, bytes, sockets].into_iter().all(|part| *part == 0.0) {
            remove.execute([target.as_str()])
        } else {
            keep.execute(params![target.as_str(), f64::from(*events), f64::from(*bytes), f64::from(*sockets)])
        };
        done.map_err(rejected)?;
    }
    Ok(())
}
