//! The embedded store: one SQLite file, one process. The lock on the file beside it is leadership, so a bid always wins;
//! terms fence all the same. All work happens on one thread of its own, which owns the connection.

mod discord;
mod fleet;
mod ledger;
mod moves;
mod plans;
mod rows;
mod thread;
mod weights;

use super::{
    Answer, Bid, Committed, Edited, EventFilter, Followed, Keep, KeptAnswer, Log, Missed, MoveFilter, PlanFilter,
    Position, Reign, Store, StoreError, TRIM_ROWS, View, bound, check_size, covers, decode, edits_for_followers,
    generation, millis, schema, signed, unsigned,
};
use crate::domain::{Assignments, Batch, BudgetChange, BudgetKept, SliceRecord, Snapshot, Weight};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::wire::{
    admin::{Event, Ownership, Plan, PlanHead},
    discord::Session,
    handoff::Move,
};
use shared::{Epoch, PlanId, Revision, TargetId, Term};
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};
use thread::Thread;

/// The milliseconds of the database's clock.
const NOW_MS: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// Statements that are kept prepared: more than are asked again and again.
const STATEMENTS: usize = 64;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    /// Holds the lock as long as the store lives: no second process leads on this file.
    thread: Thread,
}

impl Sqlite {
    /// Opens or creates the file. `queue` bounds the calls that wait for the thread.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when another process uses the file, it cannot be opened, or it is of a newer Berth.
    pub fn open(path: &Path, queue: usize) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|why| cannot_open(path, &why))?;
        }
        let lock = lock(path)?;
        let mut connection = Connection::open(path).map_err(|why| cannot_open(path, &why))?;
        configure(&mut connection).map_err(|why| cannot_open(path, &why))?;
        migrate(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let thread = Thread::start(connection, lock, queue).map_err(|why| cannot_open(path, &why))?;
        Ok(Self { thread })
    }

    /// Makes an empty store in memory, without a thread: every call is done when it is first polled.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when SQLite refuses.
    #[cfg(feature = "plant")]
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(|why| cannot_open(Path::new(":memory:"), &why))?;
        migrate(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { thread: Thread::none(connection) })
    }

    /// Runs `work` in a transaction on the thread.
    fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.thread.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(rejected)?;
            let value = work(&transaction)?;
            transaction.commit().map_err(|why| StoreError::Uncertain(why.to_string()))?;
            Ok(value)
        }))
    }
}

fn cannot_open(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("cannot open the store {}: {why}", path.display()))
}

fn rejected(why: rusqlite::Error) -> StoreError {
    match why.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Conflict(why.to_string()),
        _ => StoreError::Rejected(why.to_string()),
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|why| cannot_open(&name, &why))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unusable(format!(
            "another config-service uses the store {}; stop it, or name another file with --store (BERTH_CONFIG_STORE)",
            path.display()
        ))),
        Err(TryLockError::Error(why)) => Err(cannot_open(&name, &why)),
    }
}

fn configure(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(Duration::from_secs(2))
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(rejected)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migration
             (version INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT",
        )
        .map_err(rejected)?;
    let applied = {
        let mut rows =
            transaction.prepare("SELECT version, hash FROM schema_migration ORDER BY version").map_err(rejected)?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(rejected)?;
        rows.collect::<rusqlite::Result<Vec<(i64, String)>>>().map_err(rejected)?
    };
    for step in schema::pending(schema::SQLITE, &applied)? {
        transaction.execute_batch(step.sql).map_err(rejected)?;
        transaction
            .execute(
                "INSERT INTO schema_migration (version, name, hash) VALUES (?1, ?2, ?3)",
                params![step.version, step.name, step.hash()],
            )
            .map_err(rejected)?;
        tracing::info!(version = step.version, name = step.name, "applied a migration");
    }
    transaction.commit().map_err(|why| StoreError::Uncertain(why.to_string()))
}

impl Store for Sqlite {
    fn prepare(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn lead(&self, address: String, lease: Duration) -> Answer<'_, Bid> {
        self.transaction(move |db| {
            let term: i64 = db
                .query_row(
                    &format!(
                        "UPDATE leader_lease SET term = term + 1, address = ?1, expires_ms = {NOW_MS} + ?2 RETURNING term"
                    ),
                    params![address, millis(lease)],
                    |row| row.get(0),
                )
                .map_err(rejected)?;
            db.execute("UPDATE leader SET term = ?1", [term]).map_err(rejected)?;
            Ok(Bid::Won(Term(unsigned(term)?)))
        })
    }

    fn renew(&self, term: Term, lease: Duration) -> Answer<'_, ()> {
        self.transaction(move |db| {
            #[cfg(feature = "plant")]
            let term = if plant::on(Bug::ZombieLeader) { newest(db)? } else { term };
            let sql = format!("UPDATE leader_lease SET expires_ms = {NOW_MS} + ?2 WHERE term = ?1");
            let params = params![signed(term.0)?, millis(lease)];
            let renewed = db.prepare_cached(&sql).and_then(|mut renew| renew.execute(params)).map_err(rejected)?;
            if renewed == 1 { Ok(()) } else { Err(StoreError::Fenced) }
        })
    }

    fn resign(&self, term: Term) -> Answer<'_, ()> {
        self.transaction(move |db| {
            db.execute("UPDATE leader_lease SET expires_ms = 0 WHERE term = ?1", [signed(term.0)?])
                .map_err(rejected)?;
            Ok(())
        })
    }

    fn load_again(&self, term: Term, known: Assignments) -> Answer<'_, Snapshot> {
        self.transaction(move |db| {
            let counters = held(db, term)?;
            Ok(Snapshot { assignments: rows::assignments(db, known)?, ..rest(db, counters)? })
        })
    }

    fn catch_up(&self, term: Term, after: Revision, limit: usize) -> Answer<'_, Option<Missed>> {
        self.transaction(move |db| {
            let counters = held(db, term)?;
            match log(db, after, limit.saturating_add(1))? {
                Log::Changes(changes) if changes.len() <= limit => {
                    Ok(Some(Missed { rest: rest(db, counters)?, changes }))
                }
                _ => Ok(None),
            }
        })
    }

    fn commit(&self, term: Term, batch: Batch) -> Answer<'_, Committed> {
        self.transaction(move |db| {
            check_size(&batch)?;
            let (revision, epoch, now_ms) = advance(db, term, batch.writes.len(), batch.epochs(), batch.floor())?;
            let changes = batch.stamp(revision, epoch, now_ms);
            rows::write(db, &batch, &changes)?;
            rows::log(db, &changes, now_ms)?;
            ledger::history(db, &changes)?;
            let edits: Vec<_> = batch.edits.iter().map(|edit| edit.stamped(now_ms)).collect();
            ledger::edit(db, &edits)?;
            ledger::audit(db, &batch, revision, now_ms)?;
            if let Some(generation) = batch.generation {
                fleet::begin_generation(db, generation, epoch)?;
            }
            if edits_for_followers(&batch) {
                db.execute("UPDATE leader SET edits = edits + 1", []).map_err(rejected)?;
            }
            Ok(Committed { revision, epoch, changes, edits })
        })
    }

    fn changes(&self, after: Revision, limit: usize) -> Answer<'_, Log> {
        self.transaction(move |db| log(db, after, limit))
    }

    fn trim(&self, term: Term, up_to: Revision) -> Answer<'_, u64> {
        self.transaction(move |db| {
            advance(db, term, 0, 0, Epoch(0))?;
            let trimmed = db
                .execute(
                    "DELETE FROM change WHERE revision IN
                     (SELECT revision FROM change WHERE revision <= ?1 ORDER BY revision LIMIT ?2)",
                    params![signed(up_to.0)?, TRIM_ROWS],
                )
                .map_err(rejected)?;
            Ok(trimmed as u64)
        })
    }

    fn events(&self, wanted: EventFilter, limit: usize) -> Answer<'_, Vec<Event>> {
        self.transaction(move |db| ledger::events(db, &wanted, limit))
    }

    fn history(&self, target: TargetId, before: Option<Revision>, limit: usize) -> Answer<'_, Vec<Ownership>> {
        self.transaction(move |db| ledger::ownerships(db, &target, before, limit))
    }

    fn moves(&self, wanted: MoveFilter, limit: usize) -> Answer<'_, Vec<Move>> {
        self.transaction(move |db| moves::read(db, &wanted, limit))
    }

    fn plans(&self, wanted: PlanFilter, limit: usize) -> Answer<'_, Vec<PlanHead>> {
        self.transaction(move |db| plans::read(db, wanted, limit))
    }

    fn plan(&self, id: PlanId) -> Answer<'_, Option<Plan>> {
        self.transaction(move |db| plans::get(db, id))
    }

    fn kept(&self, actor: String, key: String) -> Answer<'_, Option<KeptAnswer>> {
        self.transaction(move |db| ledger::kept(db, &actor, &key))
    }

    fn weights(&self) -> Answer<'_, Vec<(TargetId, Weight)>> {
        self.transaction(weights::read)
    }

    fn weigh(&self, term: Term, weights: Vec<(TargetId, Weight)>) -> Answer<'_, ()> {
        self.transaction(move |db| {
            advance(db, term, 0, 0, Epoch(0))?;
            weights::write(db, &weights)
        })
    }

    fn budget(&self, bot: String) -> Answer<'_, Option<BudgetKept>> {
        self.transaction(move |db| discord::budget(db, &bot))
    }

    fn spend(&self, term: Term, bot: String, change: BudgetChange) -> Answer<'_, ()> {
        self.transaction(move |db| {
            advance(db, term, 0, 0, Epoch(0))?;
            discord::change(db, &bot, &change)
        })
    }

    fn slices(&self) -> Answer<'_, Vec<(String, Vec<SliceRecord>)>> {
        self.transaction(discord::slices)
    }

    fn keep_slices(&self, term: Term, bot: String, slices: Vec<SliceRecord>) -> Answer<'_, ()> {
        self.transaction(move |db| {
            advance(db, term, 0, 0, Epoch(0))?;
            discord::keep_slices(db, &bot, &slices)
        })
    }

    fn sessions(&self, id: u32, count: Option<u32>) -> Answer<'_, Vec<Session>> {
        self.transaction(move |db| discord::sessions(db, id, count))
    }

    fn keep_sessions(&self, term: Term, sessions: Vec<Session>) -> Answer<'_, ()> {
        self.transaction(move |db| {
            let (_, _, now_ms) = advance(db, term, 0, 0, Epoch(0))?;
            discord::keep(db, &sessions, now_ms)
        })
    }

    fn drop_sessions(&self, term: Term, id: u32, count: Option<u32>) -> Answer<'_, u64> {
        self.transaction(move |db| {
            advance(db, term, 0, 0, Epoch(0))?;
            discord::drop_sessions(db, id, count)
        })
    }

    fn forget(&self, term: Term, keep: Keep) -> Answer<'_, u64> {
        self.transaction(move |db| {
            let (_, _, now_ms) = advance(db, term, 0, 0, Epoch(0))?;
            ledger::forget(db, keep, signed(now_ms)?)
        })
    }

    fn view(&self) -> Answer<'_, View> {
        self.transaction(|db| {
            let (revision, epoch, edits, settled): (i64, i64, i64, i64) = db
                .query_row("SELECT revision, epoch, edits, settled FROM leader", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .map_err(rejected)?;
            let assignments = rows::assignments(db, Assignments::default())?;
            let snapshot = Snapshot { assignments, ..rest(db, (revision, epoch, settled))? };
            Ok(View { snapshot, edits: unsigned(edits)? })
        })
    }

    fn follow(&self, position: Position, limit: usize) -> Answer<'_, Followed> {
        self.transaction(move |db| {
            let sql =
                format!("SELECT edits, e.term, address, max(expires_ms - {NOW_MS}, 0) FROM leader, leader_lease e");
            let (edits, term, address, remaining): (i64, i64, String, i64) = db
                .prepare_cached(&sql)
                .and_then(|mut find| find.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))))
                .map_err(rejected)?;
            let (edits, remaining) = (unsigned(edits)?, Duration::from_millis(unsigned(remaining)?));
            let edited = if edits == position.edits {
                None
            } else {
                Some(Edited { edits, tokens: ledger::tokens(db)?, settings: ledger::settings(db)? })
            };
            let reign = Reign { term: Term(unsigned(term)?), address, remaining };
            Ok(Followed { log: log(db, position.revision, limit)?, edited, reign })
        })
    }

    /// One process: whoever follows it polls.
    fn wake(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// The counters of whoever leads for `term`: revision, epoch and settled generation.
fn held(db: &Transaction<'_>, term: Term) -> Result<(i64, i64, i64), StoreError> {
    let sql = "SELECT revision, epoch, settled FROM leader WHERE term = ?1";
    db.query_row(sql, [signed(term.0)?], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(rejected)?
        .ok_or(StoreError::Fenced)
}

/// Reads all tables but the assignments. Begins with revision, epoch and settled generation, read in the same transaction.
fn rest(db: &Transaction<'_>, (revision, epoch, settled): (i64, i64, i64)) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        revision: Revision(unsigned(revision)?),
        epoch: Epoch(unsigned(epoch)?),
        pods: rows::pods(db)?,
        assignments: Assignments::default(),
        moves: moves::running(db)?,
        tokens: ledger::tokens(db)?,
        settings: ledger::settings(db)?,
        members: fleet::members(db)?,
        fencing: fleet::fencing(db)?,
        settled: generation(settled),
        plans: plans::running(db)?,
        holds: plans::holds(db)?,
    })
}

/// Reads a piece of the log.
fn log(db: &Transaction<'_>, after: Revision, limit: usize) -> Result<Log, StoreError> {
    let after = bound(after.0);
    let (newest, oldest): (i64, Option<i64>) = db
        .prepare_cached("SELECT revision, (SELECT min(revision) FROM change) FROM leader")
        .and_then(|mut find| find.query_row([], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(rejected)?;
    if !covers(newest, oldest, after) {
        return Ok(Log::Gone);
    }
    // Cut here and not by the statement: for a limit that is a parameter SQLite prepares it anew each time.
    let mut rows =
        db.prepare_cached("SELECT body FROM change WHERE revision > ?1 ORDER BY revision").map_err(rejected)?;
    let bodies = rows.query_map([after], |row| row.get::<_, String>(0)).map_err(rejected)?;
    let changes = bodies.take(limit).map(|body| decode(&body.map_err(rejected)?)).collect::<Result<Vec<_>, _>>()?;
    Ok(Log::Changes(changes))
}

/// The term in force, whoever asks.
#[cfg(feature = "plant")]
fn newest(db: &Transaction<'_>) -> Result<Term, StoreError> {
    let term: i64 = db.query_row("SELECT term FROM leader", [], |row| row.get(0)).map_err(rejected)?;
    Ok(Term(unsigned(term)?))
}

/// Checks the term and takes `revisions` and `epochs` from the counters.
fn advance(
    db: &Transaction<'_>,
    term: Term,
    revisions: usize,
    epochs: usize,
    floor: Epoch,
) -> Result<(Revision, Epoch, u64), StoreError> {
    #[cfg(feature = "plant")]
    let term = if plant::on(Bug::ZombieLeader) { newest(db)? } else { term };
    let sql = format!(
        "UPDATE leader SET revision = revision + ?2, epoch = max(epoch, ?4) + ?3 WHERE term = ?1
         RETURNING revision, epoch, {NOW_MS}"
    );
    let params = params![signed(term.0)?, signed(revisions as u64)?, signed(epochs as u64)?, signed(floor.0)?];
    let (revision, epoch, now_ms): (i64, i64, i64) = db
        .prepare_cached(&sql)
        .and_then(|mut update| update.query_row(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
        .optional()
        .map_err(rejected)?
        .ok_or(StoreError::Fenced)?;
    Ok((Revision(unsigned(revision)?), Epoch(unsigned(epoch)?), unsigned(now_ms)?))
}

#[cfg(test)]
mod tests;
