//! What PostgreSQL keeps for a bot on Discord: its IDENTIFY budget, who has which part of its REST requests, and sessions of programs with connections of their own.

use super::super::{SESSION_LASTS_MS, json, json_of, known_shard, known_streak};
use super::{StoreError, session::Failure, signed, unsigned};
use crate::domain::{BudgetChange, BudgetKept, ShardRecord, SliceRecord};
use shared::wire::discord::{Session, Shard};
use sqlx::{PgConnection, Row};

/// Reads what is kept of a bot's budget.
pub(super) async fn budget(db: &mut PgConnection, bot: &str) -> Result<Option<BudgetKept>, Failure> {
    let body: Option<String> = sqlx::query_scalar("SELECT body FROM identify_budget WHERE bot = $1")
        .bind(bot)
        .fetch_optional(&mut *db)
        .await?;
    let Some(body) = body else { return Ok(None) };
    let sql =
        "SELECT shard, shards, streak, last_ms, recovered FROM identify_shard WHERE bot = $1 ORDER BY shards, shard";
    let rows = sqlx::query(sql).bind(bot).fetch_all(db).await?;
    let shards = rows.iter().map(|row| {
        let (shard, streak) = (known_shard(row.try_get(0)?, row.try_get(1)?)?, known_streak(row.try_get(2)?)?);
        Ok(ShardRecord { shard, streak, last_ms: unsigned(row.try_get(3)?)?, recovered: row.try_get(4)? })
    });
    Ok(Some(BudgetKept { budget: json_of(&body)?, shards: shards.collect::<Result<_, Failure>>()? }))
}

/// Writes what has changed of it. Whole columns travel as arrays.
pub(super) async fn change(db: &mut PgConnection, bot: &str, change: &BudgetChange) -> Result<(), Failure> {
    let sql = "INSERT INTO identify_budget (bot, body) VALUES ($1, $2) ON CONFLICT (bot) DO UPDATE SET body = $2";
    sqlx::query(sql).bind(bot).bind(json(&change.budget)?).execute(&mut *db).await?;
    let column = |of: fn(&ShardRecord) -> u64| {
        change.shards.iter().map(|record| signed(of(record))).collect::<Result<Vec<_>, StoreError>>()
    };
    sqlx::query(
        "INSERT INTO identify_shard (bot, shard, shards, streak, last_ms, recovered)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
         ON CONFLICT (bot, shard, shards)
         DO UPDATE SET streak = excluded.streak, last_ms = excluded.last_ms, recovered = excluded.recovered",
    )
    .bind(bot)
    .bind(column(|record| record.shard.id.into())?)
    .bind(column(|record| record.shard.count.into())?)
    .bind(column(|record| record.streak.into())?)
    .bind(column(|record| record.last_ms)?)
    .bind(change.shards.iter().map(|record| record.recovered.clone()).collect::<Vec<_>>())
    .execute(&mut *db)
    .await?;
    let column = |of: fn(&Shard) -> u32| change.calm.iter().map(|shard| i64::from(of(shard))).collect::<Vec<_>>();
    sqlx::query(
        "DELETE FROM identify_shard
         WHERE bot = $1 AND (shard, shards) IN (SELECT * FROM unnest($2::bigint[], $3::bigint[]))",
    )
    .bind(bot)
    .bind(column(|shard| shard.id))
    .bind(column(|shard| shard.count))
    .execute(db)
    .await?;
    Ok(())
}

/// Reads the slices of all bots' REST requests.
pub(super) async fn slices(db: &mut PgConnection) -> Result<Vec<(String, Vec<SliceRecord>)>, Failure> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT bot, body FROM rest_slices ORDER BY bot").fetch_all(db).await?;
    rows.into_iter().map(|(bot, body)| Ok((bot, json_of(&body)?))).collect()
}

/// Writes the slices of a bot's.
pub(super) async fn keep_slices(db: &mut PgConnection, bot: &str, slices: &[SliceRecord]) -> Result<(), Failure> {
    if slices.is_empty() {
        sqlx::query("DELETE FROM rest_slices WHERE bot = $1").bind(bot).execute(db).await?;
        return Ok(());
    }
    let sql = "INSERT INTO rest_slices (bot, body) VALUES ($1, $2) ON CONFLICT (bot) DO UPDATE SET body = $2";
    sqlx::query(sql).bind(bot).bind(json(&slices)?).execute(db).await?;
    Ok(())
}

/// Reads the sessions of a shard, of `count` or of any number, the one that was kept last first.
pub(super) async fn sessions(db: &mut PgConnection, id: u32, count: Option<u32>) -> Result<Vec<Session>, Failure> {
    let sql = "SELECT body FROM discord_session WHERE shard = $1 AND ($2::bigint IS NULL OR shards = $2)
               ORDER BY kept_ms DESC, shards DESC";
    let bodies: Vec<String> =
        sqlx::query_scalar(sql).bind(i64::from(id)).bind(count.map(i64::from)).fetch_all(db).await?;
    bodies.iter().map(|body| Ok(json_of(body)?)).collect()
}

/// Writes sessions, and removes those that Discord has forgotten long ago. Of two of one shard the last one counts.
pub(super) async fn keep(db: &mut PgConnection, sessions: &[Session], now_ms: u64) -> Result<(), Failure> {
    let now = signed(now_ms)?;
    let sql = "INSERT INTO discord_session (shard, shards, body, kept_ms) VALUES ($1, $2, $3, $4)
               ON CONFLICT (shard, shards) DO UPDATE SET body = $3, kept_ms = $4";
    for session in sessions {
        let (id, count) = (i64::from(session.shard_id), i64::from(session.shard_count));
        sqlx::query(sql).bind(id).bind(count).bind(json(session)?).bind(now).execute(&mut *db).await?;
    }
    sqlx::query("DELETE FROM discord_session WHERE kept_ms < $1").bind(now - SESSION_LASTS_MS).execute(db).await?;
    Ok(())
}

/// Removes the sessions of a shard, of `count` or of any number.
pub(super) async fn drop_sessions(db: &mut PgConnection, id: u32, count: Option<u32>) -> Result<u64, Failure> {
    let sql = "DELETE FROM discord_session WHERE shard = $1 AND ($2::bigint IS NULL OR shards = $2)";
    let done = sqlx::query(sql).bind(i64::from(id)).bind(count.map(i64::from)).execute(db).await?;
    Ok(done.rows_affected())
}
