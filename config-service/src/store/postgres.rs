//! The store on PostgreSQL. Each call is at most one transaction, bounded in time here and on the server; what is known
//! about its outcome when it fails is decided in one place (`session`).

mod discord;
mod fleet;
mod ledger;
mod moves;
mod plans;
mod rows;
mod session;
mod wake;
mod weights;

use super::{
    Answer, Bid, Committed, Edited, EventFilter, Followed, Keep, KeptAnswer, Log, Missed, MoveFilter, PlanFilter,
    Position, Store, StoreError, TRIM_ROWS, View, check_size, edits_for_followers, generation, millis, schema, signed,
    unsigned,
};
use crate::domain::{Assignments, Batch, BudgetChange, BudgetKept, SliceRecord, Snapshot, Weight};
use session::{Failure, session};
use shared::wire::{
    admin::{Event, Ownership, Plan, PlanHead},
    discord::Session,
    handoff::Move,
};
use shared::{Epoch, PlanId, Revision, TargetId, Term};
use sqlx::{
    ConnectOptions, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use std::{str::FromStr, time::Duration};
use tokio::sync::Semaphore;

/// The key of the advisory lock under which migrations are applied: `berth` in ASCII.
const MIGRATION_LOCK: i64 = 0x62_6572_7468;

/// A commit, a renewal and a reader of the log may be under way at once, and one connection listens.
const MIN_CONNECTIONS: u32 = 4;

/// How many times longer than an ordinary call reading everything may take.
const LOAD_PATIENCE: u32 = 60;

/// The milliseconds of the database's clock.
const NOW_MS: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A store on PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    timeout: Duration,
    /// The bound of the pool.
    connections: u32,
    /// How many processes have a pool like this one.
    replicas: u32,
    /// Bounds those who read the log, so that a crowd of returning watchers leaves connections to the leader.
    log_readers: Semaphore,
    listener: wake::Listener,
}

impl Postgres {
    /// Makes a store that connects when it is first used. `connections` bounds the pool, `timeout` each call.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when `url` is no URL of a PostgreSQL database. The text does not show the URL: it may
    /// hold a password.
    pub fn new(url: &str, connections: u32, timeout: Duration) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Unusable("the store is no valid postgres:// URL".to_owned()))?;
        let limit = timeout.as_millis().max(1).to_string();
        let options = options
            .application_name("berth-config-service")
            .options([
                ("statement_timeout", limit.as_str()),
                ("lock_timeout", limit.as_str()),
                ("idle_in_transaction_session_timeout", "1000"),
                // Tables of one row are never analysed: the planner takes each for a thousand rows, and would have each look at
                // the log compiled for half a second, which takes no millisecond.
                ("jit", "off"),
                ("default_transaction_isolation", "read committed"),
                ("client_min_messages", "warning"),
                // An acknowledged assignment survives a crash of the server, whatever its defaults are.
                ("synchronous_commit", "on"),
            ])
            .disable_statement_logging();
        let connections = connections.max(MIN_CONNECTIONS);
        let pool =
            PgPoolOptions::new().max_connections(connections).acquire_timeout(timeout).connect_lazy_with(options);
        let log_readers = Semaphore::new((connections / 2).max(1) as usize);
        let listener = wake::Listener::default();
        Ok(Self { pool, timeout, connections, replicas: 1, log_readers, listener })
    }

    /// Says how many processes share the database, this one among them: together they must fit into its `max_connections`.
    #[must_use]
    pub fn shared_by(self, replicas: u32) -> Self {
        Self { replicas: replicas.max(1), ..self }
    }

    /// Refuses a server that cannot take the connections of all processes at once.
    async fn fits(&self, db: &mut PgConnection) -> Result<(), Failure> {
        let room: i32 = sqlx::query_scalar(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true)::int, 0)",
        )
        .fetch_one(db)
        .await?;
        let (each, replicas) = (self.connections, self.replicas);
        if i64::from(each) * i64::from(replicas) <= i64::from(room) {
            return Ok(());
        }
        let text = format!(
            "{replicas} config-services (--replicas) with {each} connections each (--store-connections) take {}, and \
             PostgreSQL has {room} for them; lower one of the two, or raise its max_connections",
            u64::from(each) * u64::from(replicas)
        );
        Err(StoreError::Unusable(text).into())
    }

    /// Reads something that others than the leader's task ask for: in their turn.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, session::Failure>,
    ) -> Result<T, StoreError> {
        let turn = self.log_readers.acquire().await;
        let _turn = turn.map_err(|_| StoreError::Rejected("the store is closed".to_owned()))?;
        session(&self.pool, self.timeout, async |db| {
            writable(db).await?;
            work(db).await
        })
        .await
    }
}

/// Refuses a server that takes no changes: what it holds may be older than what the primary has.
async fn writable(db: &mut PgConnection) -> Result<(), Failure> {
    let read_only = sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'on'").fetch_one(db).await?;
    if read_only { Err(StoreError::Rejected(session::READ_ONLY.to_owned()).into()) } else { Ok(()) }
}

impl Store for Postgres {
    fn prepare(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            session(&self.pool, self.timeout, async |db| {
                self.fits(db).await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *db).await?;
                sqlx::raw_sql(
                    "CREATE TABLE IF NOT EXISTS schema_migration
                     (version bigint PRIMARY KEY, name text NOT NULL, hash text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
                )
                .execute(&mut *db)
                .await?;
                let applied = sqlx::query_as::<_, (i64, String)>("SELECT version, hash FROM schema_migration ORDER BY version")
                    .fetch_all(&mut *db)
                    .await?;
                for step in schema::pending(schema::POSTGRES, &applied)? {
                    sqlx::raw_sql(step.sql).execute(&mut *db).await?;
                    sqlx::query("INSERT INTO schema_migration (version, name, hash) VALUES ($1, $2, $3)")
                        .bind(step.version)
                        .bind(step.name)
                        .bind(step.hash())
                        .execute(&mut *db)
                        .await?;
                    tracing::info!(version = step.version, name = step.name, "applied a migration");
                }
                Ok(())
            })
            .await
        })
    }

    fn lead(&self, address: String, lease: Duration) -> Answer<'_, Bid> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            let row = sqlx::query(
                "SELECT address, greatest(extract(epoch FROM expires_at - clock_timestamp()), 0)::double precision
                 FROM leader_lease WHERE expires_at > clock_timestamp() FOR UPDATE",
            )
            .fetch_optional(&mut *db)
            .await?;
            if let Some(row) = row {
                let remaining = Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or_default();
                return Ok(Bid::Held { address: row.try_get(0)?, remaining });
            }
            // Two bidders may both have found nobody: the row's lock decides, the second finds it taken.
            let term: Option<i64> = sqlx::query_scalar(
                "UPDATE leader_lease SET term = term + 1, address = $1,
                        expires_at = clock_timestamp() + make_interval(secs => $2)
                 WHERE expires_at <= clock_timestamp() RETURNING term",
            )
            .bind(&address)
            .bind(lease.as_secs_f64())
            .fetch_optional(&mut *db)
            .await?;
            let Some(term) = term else {
                return Ok(Bid::Held { address: String::new(), remaining: lease });
            };
            // Waits for a transaction that the term before may still have under way, and fences all later ones.
            sqlx::query("UPDATE leader SET term = $1").bind(term).execute(&mut *db).await?;
            wake::all(db).await?;
            Ok(Bid::Won(Term(unsigned(term)?)))
        }))
    }

    fn renew(&self, term: Term, lease: Duration) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            let renewed = sqlx::query(
                "UPDATE leader_lease SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE term = $1",
            )
            .bind(signed(term.0)?)
            .bind(lease.as_secs_f64())
            .execute(&mut *db)
            .await?;
            if renewed.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Fenced.into()) }
        }))
    }

    fn resign(&self, term: Term) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            sqlx::query("UPDATE leader_lease SET expires_at = '-infinity' WHERE term = $1")
                .bind(signed(term.0)?)
                .execute(&mut *db)
                .await?;
            wake::all(db).await
        }))
    }

    fn load_again(&self, term: Term, known: Assignments) -> Answer<'_, Snapshot> {
        // A large database takes its time; the bound of ordinary calls would keep anyone from ever leading it.
        Box::pin(session(&self.pool, self.timeout * LOAD_PATIENCE, async move |db| {
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *db).await?;
            let leader = held(db, term).await?;
            let assignments = rows::assignments(db, known).await?;
            Ok(Snapshot { assignments, ..rest(db, &leader).await? })
        }))
    }

    fn catch_up(&self, term: Term, after: Revision, limit: usize) -> Answer<'_, Option<Missed>> {
        Box::pin(session(&self.pool, self.timeout * LOAD_PATIENCE, async move |db| {
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *db).await?;
            let leader = held(db, term).await?;
            match rows::changes(db, after, limit.saturating_add(1)).await? {
                Log::Changes(changes) if changes.len() <= limit => {
                    Ok(Some(Missed { rest: rest(db, &leader).await?, changes }))
                }
                _ => Ok(None),
            }
        }))
    }

    fn commit(&self, term: Term, batch: Batch) -> Answer<'_, Committed> {
        Box::pin(async move {
            check_size(&batch)?;
            session(&self.pool, self.timeout, async |db| write(db, term, &batch).await).await
        })
    }

    fn changes(&self, after: Revision, limit: usize) -> Answer<'_, Log> {
        Box::pin(self.read(async move |db| rows::changes(db, after, limit).await))
    }

    fn events(&self, wanted: EventFilter, limit: usize) -> Answer<'_, Vec<Event>> {
        Box::pin(self.read(async move |db| ledger::events(db, &wanted, limit).await))
    }

    fn history(&self, target: TargetId, before: Option<Revision>, limit: usize) -> Answer<'_, Vec<Ownership>> {
        Box::pin(self.read(async move |db| ledger::ownerships(db, &target, before, limit).await))
    }

    fn moves(&self, wanted: MoveFilter, limit: usize) -> Answer<'_, Vec<Move>> {
        Box::pin(self.read(async move |db| moves::read(db, &wanted, limit).await))
    }

    fn plans(&self, wanted: PlanFilter, limit: usize) -> Answer<'_, Vec<PlanHead>> {
        Box::pin(self.read(async move |db| plans::read(db, wanted, limit).await))
    }

    fn plan(&self, id: PlanId) -> Answer<'_, Option<Plan>> {
        Box::pin(self.read(async move |db| plans::get(db, id).await))
    }

    fn kept(&self, actor: String, key: String) -> Answer<'_, Option<KeptAnswer>> {
        Box::pin(self.read(async move |db| ledger::kept(db, &actor, &key).await))
    }

    fn weights(&self) -> Answer<'_, Vec<(TargetId, Weight)>> {
        Box::pin(session(&self.pool, self.timeout * LOAD_PATIENCE, async move |db| weights::read(db).await))
    }

    fn weigh(&self, term: Term, weights: Vec<(TargetId, Weight)>) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            advance(db, term, 0, 0, Epoch(0)).await?;
            weights::write(db, weights).await
        }))
    }

    fn budget(&self, bot: String) -> Answer<'_, Option<BudgetKept>> {
        Box::pin(session(&self.pool, self.timeout, async move |db| discord::budget(db, &bot).await))
    }

    fn spend(&self, term: Term, bot: String, change: BudgetChange) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            advance(db, term, 0, 0, Epoch(0)).await?;
            discord::change(db, &bot, &change).await
        }))
    }

    fn slices(&self) -> Answer<'_, Vec<(String, Vec<SliceRecord>)>> {
        Box::pin(session(&self.pool, self.timeout, async move |db| discord::slices(db).await))
    }

    fn keep_slices(&self, term: Term, bot: String, slices: Vec<SliceRecord>) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            advance(db, term, 0, 0, Epoch(0)).await?;
            discord::keep_slices(db, &bot, &slices).await
        }))
    }

    fn sessions(&self, id: u32, count: Option<u32>) -> Answer<'_, Vec<Session>> {
        Box::pin(self.read(async move |db| discord::sessions(db, id, count).await))
    }

    fn keep_sessions(&self, term: Term, sessions: Vec<Session>) -> Answer<'_, ()> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            let (_, _, now_ms) = advance(db, term, 0, 0, Epoch(0)).await?;
            discord::keep(db, &sessions, now_ms).await
        }))
    }

    fn drop_sessions(&self, term: Term, id: u32, count: Option<u32>) -> Answer<'_, u64> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            advance(db, term, 0, 0, Epoch(0)).await?;
            discord::drop_sessions(db, id, count).await
        }))
    }

    fn forget(&self, term: Term, keep: Keep) -> Answer<'_, u64> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            let (_, _, now_ms) = advance(db, term, 0, 0, Epoch(0)).await?;
            ledger::forget(db, keep, signed(now_ms)?).await
        }))
    }

    fn trim(&self, term: Term, up_to: Revision) -> Answer<'_, u64> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            advance(db, term, 0, 0, Epoch(0)).await?;
            let trimmed = sqlx::query(
                "DELETE FROM change WHERE revision IN
                 (SELECT revision FROM change WHERE revision <= $1 ORDER BY revision LIMIT $2)",
            )
            .bind(signed(up_to.0)?)
            .bind(TRIM_ROWS)
            .execute(&mut *db)
            .await?;
            Ok(trimmed.rows_affected())
        }))
    }

    fn view(&self) -> Answer<'_, View> {
        Box::pin(session(&self.pool, self.timeout * LOAD_PATIENCE, async move |db| {
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *db).await?;
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *db).await?;
            writable(db).await?;
            let leader = sqlx::query("SELECT revision, epoch, settled, edits FROM leader").fetch_one(&mut *db).await?;
            let edits = unsigned(leader.try_get(3)?)?;
            let assignments = rows::assignments(db, Assignments::default()).await?;
            Ok(View { snapshot: Snapshot { assignments, ..rest(db, &leader).await? }, edits })
        }))
    }

    fn follow(&self, position: Position, limit: usize) -> Answer<'_, Followed> {
        Box::pin(session(&self.pool, self.timeout, async move |db| {
            let (log, edits, reign) = rows::follow(db, position.revision, limit).await?;
            let edited = if edits == position.edits {
                None
            } else {
                Some(Edited { edits, tokens: ledger::tokens(db).await?, settings: ledger::settings(db).await? })
            };
            Ok(Followed { log, edited, reign })
        }))
    }

    fn wake(&self) -> Answer<'_, ()> {
        Box::pin(self.listener.heard(&self.pool))
    }
}

/// Keeps the counters of whoever leads for `term` as they are until the transaction ends, and returns them: revision, epoch and
/// settled generation.
async fn held(db: &mut PgConnection, term: Term) -> Result<PgRow, Failure> {
    let leader = sqlx::query("SELECT revision, epoch, settled FROM leader WHERE term = $1 FOR UPDATE")
        .bind(signed(term.0)?)
        .fetch_optional(db)
        .await?;
    Ok(leader.ok_or(StoreError::Fenced)?)
}

/// Reads all tables but the assignments. `leader` begins with revision, epoch and settled generation, read in the same
/// transaction.
async fn rest(db: &mut PgConnection, leader: &PgRow) -> Result<Snapshot, Failure> {
    Ok(Snapshot {
        revision: Revision(unsigned(leader.try_get(0)?)?),
        epoch: Epoch(unsigned(leader.try_get(1)?)?),
        pods: rows::pods(db).await?,
        assignments: Assignments::default(),
        moves: moves::running(db).await?,
        tokens: ledger::tokens(db).await?,
        settings: ledger::settings(db).await?,
        members: fleet::members(db).await?,
        fencing: fleet::fencing(db).await?,
        settled: generation(leader.try_get(2)?),
        plans: plans::running(db).await?,
        holds: plans::holds(db).await?,
    })
}

/// Checks the term and takes `revisions` and `epochs` from the counters. Its row lock is held until the transaction ends.
async fn advance(
    db: &mut PgConnection,
    term: Term,
    revisions: usize,
    epochs: usize,
    floor: Epoch,
) -> Result<(Revision, Epoch, u64), Failure> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!(
        "UPDATE leader SET revision = revision + $2, epoch = greatest(epoch, $4) + $3 WHERE term = $1
         RETURNING revision, epoch, {NOW_MS}"
    )))
    .bind(signed(term.0)?)
    .bind(signed(revisions as u64)?)
    .bind(signed(epochs as u64)?)
    .bind(signed(floor.0)?)
    .fetch_optional(db)
    .await?
    .ok_or(StoreError::Fenced)?;
    Ok((Revision(unsigned(row.try_get(0)?)?), Epoch(unsigned(row.try_get(1)?)?), unsigned(row.try_get(2)?)?))
}

async fn write(db: &mut PgConnection, term: Term, batch: &Batch) -> Result<Committed, Failure> {
    let (revision, epoch, now_ms) = advance(db, term, batch.writes.len(), batch.epochs(), batch.floor()).await?;
    let changes = batch.stamp(revision, epoch, now_ms);
    rows::write(db, batch, &changes).await?;
    rows::log(db, &changes, now_ms).await?;
    ledger::history(db, &changes).await?;
    let edits: Vec<_> = batch.edits.iter().map(|edit| edit.stamped(now_ms)).collect();
    ledger::edit(db, &edits).await?;
    ledger::audit(db, batch, revision, now_ms).await?;
    if let Some(generation) = batch.generation {
        fleet::begin_generation(db, generation, epoch).await?;
    }
    let edited = edits_for_followers(batch);
    if edited {
        sqlx::query("UPDATE leader SET edits = edits + 1").execute(&mut *db).await?;
    }
    if edited || batch.generation.is_some() || !changes.is_empty() {
        wake::all(db).await?;
    }
    Ok(Committed { revision, epoch, changes, edits })
}
