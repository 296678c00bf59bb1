//! What SQLite keeps for a bot on Discord: its IDENTIFY budget, who has which part of its REST requests, and sessions of programs with connections of their own.

use super::super::{SESSION_LASTS_MS, json, json_of, known_shard, known_streak, unsigned};
use super::{StoreError, rejected, signed};
use crate::domain::{BudgetChange, BudgetKept, ShardRecord, SliceRecord};
use rusqlite::{OptionalExtension, Transaction, params};
use shared::wire::discord::Session;

/// Reads what is kept of a bot's budget.
pub(super) fn budget(db: &Transaction<'_>, bot: &str) -> Result<Option<BudgetKept>, StoreError> {
    let sql = "SELECT body FROM identify_budget WHERE bot = ?1";
    let body = db.query_row(sql, [bot], |row| row.get::<_, String>(0)).optional().map_err(rejected)?;
    let Some(body) = body else { return Ok(None) };
    let sql =
        "SELECT shard, shards, streak, last_ms, recovered FROM identify_shard WHERE bot = ?1 ORDER BY shards, shard";
    let mut find = db.prepare_cached(sql).map_err(rejected)?;
    let rows = find
        .query_map([bot], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .map_err(rejected)?;
    let shards = rows.map(|row| {
        let (id, count, streak, last, recovered): (i64, i64, i64, i64, Option<String>) = row.map_err(rejected)?;
        let (shard, streak) = (known_shard(id, count)?, known_streak(streak)?);
        Ok(ShardRecord { shard, streak, last_ms: unsigned(last)?, recovered })
    });
    Ok(Some(BudgetKept { budget: json_of(&body)?, shards: shards.collect::<Result<_, StoreError>>()? }))
}

/// Writes what has changed of it.
pub(super) fn change(db: &Transaction<'_>, bot: &str, change: &BudgetChange) -> Result<(), StoreError> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        db.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(rejected)
    };
    run("INSERT OR REPLACE INTO identify_budget (bot, body) VALUES (?1, ?2)", &[&bot, &json(&change.budget)?])?;
    for ShardRecord { shard, streak, last_ms, recovered } in &change.shards {
        let sql = "INSERT OR REPLACE INTO identify_shard (bot, shard, shards, streak, last_ms, recovered)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        run(sql, &[&bot, &shard.id, &shard.count, streak, &signed(*last_ms)?, recovered])?;
    }
    for shard in &change.calm {
        let sql = "DELETE FROM identify_shard WHERE bot = ?1 AND shard = ?2 AND shards = ?3";
        run(sql, &[&bot, &shard.id, &shard.count])?;
    }
    Ok(())
}

/// Reads the slices of all bots' REST requests.
pub(super) fn slices(db: &Transaction<'_>) -> Result<Vec<(String, Vec<SliceRecord>)>, StoreError> {
    let mut find = db.prepare_cached("SELECT bot, body FROM rest_slices ORDER BY bot").map_err(rejected)?;
    let rows = find.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).map_err(rejected)?;
    rows.map(|row| row.map_err(rejected).and_then(|(bot, body)| Ok((bot, json_of(&body)?)))).collect()
}

/// Writes the slices of a bot's.
pub(super) fn keep_slices(db: &Transaction<'_>, bot: &str, slices: &[SliceRecord]) -> Result<(), StoreError> {
    let done = if slices.is_empty() {
        db.execute("DELETE FROM rest_slices WHERE bot = ?1", [bot])
    } else {
        db.execute("INSERT OR REPLACE INTO rest_slices (bot, body) VALUES (?1, ?2)", params![bot, json(&slices)?])
    };
    done.map(drop).map_err(rejected)
}

/// Reads the sessions of a shard, of `count` or of any number, the one that was kept last first.
pub(super) fn sessions(db: &Transaction<'_>, id: u32, count: Option<u32>) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT body FROM discord_session WHERE shard = ?1 AND (?2 IS NULL OR shards = ?2)
               ORDER BY kept_ms DESC, shards DESC";
    let mut find = db.prepare_cached(sql).map_err(rejected)?;
    let bodies = find.query_map(params![id, count], |row| row.get::<_, String>(0)).map_err(rejected)?;
    bodies.map(|body| json_of(&body.map_err(rejected)?)).collect()
}

/// Writes sessions, and removes those that Discord has forgotten long ago.
pub(super) fn keep(db: &Transaction<'_>, sessions: &[Session], now_ms: u64) -> Result<(), StoreError> {
    let now = signed(now_ms)?;
    let sql = "INSERT OR REPLACE INTO discord_session (shard, shards, body, kept_ms) VALUES (?1, ?2, ?3, ?4)";
    let mut write = db.prepare_cached(sql).map_err(rejected)?;
    for session in sessions {
        write.execute(params![session.shard_id, session.shard_count, json(session)?, now]).map_err(rejected)?;
    }
    db.execute("DELETE FROM discord_session WHERE kept_ms < ?1", [now - SESSION_LASTS_MS]).map_err(rejected)?;
    Ok(())
}

/// Removes the sessions of a shard, of `count` or of any number.
pub(super) fn drop_sessions(db: &Transaction<'_>, id: u32, count: Option<u32>) -> Result<u64, StoreError> {
    let sql = "DELETE FROM discord_session WHERE shard = ?1 AND (?2 IS NULL OR shards = ?2)";
    db.execute(sql, params![id, count]).map(|rows| rows as u64).map_err(rejected)
}
