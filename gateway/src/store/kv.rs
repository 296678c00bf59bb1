//! Keys and values of a target. Values are JSON; what has expired is as if it were not there.

use super::{LocalId, Reader, Store, StoreError, signed};
use rusqlite::{Connection, OptionalExtension, params};
use shared::TargetId;
use std::collections::BTreeMap;

/// How keys begin that are Berth's own.
pub(crate) const OWN_KEYS: &str = "berth/";

impl Store {
    /// Returns the value of a key.
    pub(crate) fn kv_get(&self, target: LocalId, key: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
        get(&self.conn, target, key, now_ms)
    }

    /// Sets a key, until `expires_ms` when that is given.
    pub(crate) fn kv_set(
        &self,
        target: LocalId,
        key: &str,
        value: &str,
        expires_ms: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO kv (target_id, key, value, expires_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms",
        )?;
        put.execute(params![target.0, key, value, expires_ms.map(signed)])?;
        Ok(())
    }

    /// Deletes a key. Returns whether it was there.
    pub(crate) fn kv_delete(&self, target: LocalId, key: &str) -> Result<bool, StoreError> {
        let mut delete = self.conn.prepare_cached("DELETE FROM kv WHERE target_id = ?1 AND key = ?2")?;
        Ok(delete.execute(params![target.0, key])? > 0)
    }

    /// Returns at most `most` keys that begin with `prefix`, in order, with their values.
    pub(crate) fn kv_scan(
        &self,
        target: LocalId,
        prefix: &str,
        most: usize,
        now_ms: u64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        scan(&self.conn, target, prefix, most, now_ms)
    }
}

impl Reader {
    /// Returns the value of a key of a target.
    pub(crate) fn kv_get(&self, target: &TargetId, key: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
        self.with(|conn| {
            let local = local(conn, target)?;
            local.map_or(Ok(None), |local| get(conn, local, key, now_ms))
        })
    }

    /// Returns at most `most` keys of a target that begin with `prefix`, in order, with their values.
    pub(crate) fn kv_scan(
        &self,
        target: &TargetId,
        prefix: &str,
        most: usize,
        now_ms: u64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.with(|conn| {
            let local = local(conn, target)?;
            local.map_or(Ok(Vec::new()), |local| scan(conn, local, prefix, most, now_ms))
        })
    }
}

impl Reader {
    /// Returns the keys of a target that `wanted` names, with their values: a key, or the beginning of keys with `*`
    /// behind it. `Err` with the wish that went beyond `most` bytes in all.
    pub(crate) fn kv_wanted(
        &self,
        target: &TargetId,
        wanted: &[String],
        most: usize,
        now_ms: u64,
    ) -> Result<Result<BTreeMap<String, String>, String>, StoreError> {
        self.with(|conn| {
            let (mut all, mut bytes) = (BTreeMap::new(), 0);
            let Some(local) = local(conn, target)? else { return Ok(Ok(all)) };
            for wish in wanted {
                let rows = match wish.strip_suffix('*') {
                    Some(prefix) => scan(conn, local, prefix, most, now_ms)?,
                    None => get(conn, local, wish, now_ms)?.map(|value| (wish.clone(), value)).into_iter().collect(),
                };
                bytes += rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                if bytes > most {
                    return Ok(Err(wish.clone()));
                }
                all.extend(rows);
            }
            Ok(Ok(all))
        })
    }
}

/// Returns the number of a target; `None` when the database has never seen it.
pub(super) fn local(conn: &Connection, target: &TargetId) -> Result<Option<LocalId>, StoreError> {
    let mut find = conn.prepare_cached("SELECT id FROM target WHERE name = ?1")?;
    Ok(find.query_row([target.as_str()], |row| row.get(0).map(LocalId)).optional()?)
}

fn get(conn: &Connection, target: LocalId, key: &str, now_ms: u64) -> Result<Option<String>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT value FROM kv WHERE target_id = ?1 AND key = ?2 AND (expires_ms IS NULL OR expires_ms > ?3)",
    )?;
    Ok(find.query_row(params![target.0, key, signed(now_ms)], |row| row.get(0)).optional()?)
}

fn scan(
    conn: &Connection,
    target: LocalId,
    prefix: &str,
    most: usize,
    now_ms: u64,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut find =
        conn.prepare_cached("SELECT key, value, expires_ms FROM kv WHERE target_id = ?1 AND key >= ?2 ORDER BY key")?;
    let mut rows = find.query(params![target.0, prefix])?;
    let mut all = Vec::new();
    while all.len() < most
        && let Some(row) = rows.next()?
    {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        // Whoever goes through all of a bot's keys does not mean Berth's.
        if key.starts_with(OWN_KEYS) && !prefix.starts_with(OWN_KEYS) {
            continue;
        }
        let expires: Option<u64> = row.get(2)?;
        if expires.is_none_or(|at| at > now_ms) {
            all.push((key, row.get(1)?));
        }
    }
    Ok(all)
}
