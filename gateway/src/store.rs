//! The pod's database: one SQLite file, in WAL mode, flushed at every commit. This module is the only one that knows SQL;
//! it decides nothing about leases, order or retries. [`Store`] is the writer's connection and is owned by the writer
//! thread; [`Reader`] reads beside it; [`checkpoint`] moves the WAL into the file on a thread of its own.

pub(crate) mod aside;
pub(crate) mod checkpoint;
mod dead;
pub(crate) mod drill;
mod erase;
pub(crate) mod export;
mod inbox;
mod journal;
mod kv;
pub(crate) mod life;
mod migrate;
mod outbox;
mod own;
mod reader;
mod seq;
mod session;
mod sweep;
mod tail;
mod target;
mod timer;
pub(crate) mod transfer;
mod uncounted;
mod verify;
mod volatile;

pub(crate) use aside::{AsideRow, Reconciled};
pub(crate) use dead::Revived;
pub(crate) use journal::{Entry, Resumed, State};
pub(crate) use kv::OWN_KEYS;
pub(crate) use outbox::{Claimed, NewCall, OpenCall, Settled};
pub(crate) use own::{SqlLimits, StatementError};
pub(crate) use reader::{KeptRow, Reader};
pub(crate) use sweep::Retention;
pub(crate) use tail::TailEvent;
pub(crate) use target::{Delta, LocalId, Opened, Remembered};
pub(crate) use verify::{Thorough, has_root, verify};

use crate::replication::Commits;
use crate::schema::{Map, SchemaError, Tables};
use own::Scope;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use seq::Counted;
use shared::{Clock, Incarnation, Mono};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use transfer::{Changed, Follower, Plan};

/// The oldest SQLite without the WAL-reset bug that an external checkpointer triggers.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The file's name in the data folder.
pub(crate) const FILE: &str = "berth.db";

/// How many steps of SQLite's virtual machine pass between two looks at the clock: some microseconds.
const STEPS_PER_LOOK: i32 = 100;

/// The size to which the WAL is cut back when it starts over, in bytes. What is longer is waiting for a checkpoint.
pub(crate) const WAL_KEPT: u64 = 4 << 20;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own word.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The library is too old.
    #[error(
        "SQLite {found} is too old; Berth needs 3.51.3 or newer, since older ones can corrupt a WAL under checkpoints"
    )]
    TooOld {
        /// Its version.
        found: &'static str,
    },
    /// The file was written by a newer Berth.
    #[error("the database has schema {found}, this version knows {known}; run the newer version")]
    Newer {
        /// The file's.
        found: u32,
        /// The newest this binary knows.
        known: u32,
    },
    /// A migration that ran here is not the one in this binary.
    #[error("migration {version} of the database is not the one of this version; was the file made by another build?")]
    Foreign {
        /// Which.
        version: u32,
    },
    /// The bot's own tables cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A target was assigned here while what a move has brought of it waits for the leader's word on that move.
    #[error("rows of the target came with a move whose end is not known here yet")]
    Unsettled,
    /// A row holds what Berth never writes.
    #[error("the database holds a broken {0}")]
    Broken(&'static str),
    /// The file is damaged.
    #[error("the database is corrupt: {0}")]
    Corrupt(String),
    /// The file cannot be reached.
    #[error("cannot open {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl StoreError {
    /// Returns whether one statement was refused and the transaction goes on as if it had not been tried.
    pub(crate) fn is_statement_only(&self) -> bool {
        let code = match self {
            Self::Sqlite(why) => why.sqlite_error_code(),
            _ => None,
        };
        matches!(code, Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch))
    }

    /// Returns whether the time limit ended it.
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(self, Self::Sqlite(why) if why.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
    }
}

/// Until when statements may run; beyond it they are interrupted.
#[derive(Debug)]
struct TimeLimit {
    clock: Arc<dyn Clock>,
    at: AtomicU64,
}

impl TimeLimit {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, at: AtomicU64::new(u64::MAX) }
    }

    /// Lets a connection's statements end when their time is up.
    fn watch(limit: &Arc<Self>, conn: &Connection) -> rusqlite::Result<()> {
        let limit = Arc::clone(limit);
        let is_over = move || {
            let at = limit.at.load(Ordering::Relaxed);
            at != u64::MAX && limit.clock.now().as_nanos() > at
        };
        conn.progress_handler(STEPS_PER_LOOK, Some(is_over))
    }

    fn set(&self, at: Option<Mono>) {
        self.at.store(at.map_or(u64::MAX, Mono::as_nanos), Ordering::Relaxed);
    }
}

/// The writer's connection. One per pod.
#[derive(Debug)]
pub(crate) struct Store {
    conn: Connection,
    limit: Arc<TimeLimit>,
    /// For whom statements are prepared.
    scope: Scope,
    map: Arc<Map>,
    limits: SqlLimits,
    /// What travels with a target.
    plan: Arc<Plan>,
    /// Notes what changes of targets that are copied.
    follower: Follower,
    counted: Counted,
}

impl Store {
    /// Opens or creates the database in `folder` and brings its schema up to date.
    pub(crate) fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        tables: &Tables,
        limits: SqlLimits,
    ) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::TooOld { found: rusqlite::version() });
        }
        std::fs::create_dir_all(folder).map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
        let mut conn = Connection::open(folder.join(FILE))?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(StoreError::Broken("journal mode: the file system of the data folder cannot do WAL"));
        }
        conn.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {WAL_KEPT};
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;
             PRAGMA secure_delete = ON;"
        ))?;
        wait_for_locks(&conn)?;
        // REPLACE must not pass by the guards of the rows it takes away.
        conn.execute_batch("PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON;")?;
        conn.set_prepared_statement_cache_capacity(128);
        migrate::run(&mut conn, clock.wall_ms())?;
        let scope = Scope::default();
        scope.install(&conn)?;
        let map = Arc::new(own::bring(&mut conn, &scope, tables, clock.wall_ms())?);
        scope.set_map(Arc::clone(&map));
        let plan = Arc::new(Plan::new(&conn, Arc::clone(&map))?);
        let word: Arc<str> = format!("berth_{}", uuid::Uuid::new_v4().simple()).into();
        scope.set_notes(Arc::clone(&word));
        let follower = Follower::new(&conn, Arc::clone(&plan), word)?;
        let limit = Arc::new(TimeLimit::new(clock));
        TimeLimit::watch(&limit, &conn)?;
        let counted = Counted::begin(&conn)?;
        Ok(Self { conn, limit, scope, map, limits, plan, follower, counted })
    }

    /// Returns the life of this database.
    pub(crate) fn incarnation(&self) -> Result<Incarnation, StoreError> {
        let text: String = self.conn.query_row("SELECT incarnation FROM meta", [], |row| row.get(0))?;
        text.parse().map_err(|_| StoreError::Broken("incarnation"))
    }

    /// Returns the version of the schema.
    pub(crate) const fn schema() -> u32 {
        migrate::newest()
    }

    /// Interrupts statements that run beyond `at`; `None` lifts the limit.
    pub(crate) fn limit(&self, at: Option<Mono>) {
        self.limit.set(at);
    }

    /// Returns whose the rows of the bot's own tables are.
    pub(crate) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// Returns what travels with a target.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Begins to note what changes of a target, for a copy that sees the database as it is now.
    pub(crate) fn follow(&self, target: LocalId) -> Result<(), StoreError> {
        self.follower.follow(&self.conn, target)
    }

    /// Returns what changed of a target since the last time.
    pub(crate) fn changed(&self, target: LocalId) -> Result<Option<Changed>, StoreError> {
        self.follower.follows(target).then(|| self.follower.take(&self.conn, target)).transpose()
    }

    /// Notes nothing of a target any more.
    pub(crate) fn leave(&self, target: LocalId) {
        self.follower.leave(&self.conn, target);
    }

    /// Begins a group commit and counts it. The same row says up to which one the replica went by then: it is written beside
    /// what there is to write, never by itself, so that a pod at rest has nothing to upload.
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        self.run("BEGIN IMMEDIATE")?;
        let mut count = self.conn.prepare_cached(
            "UPDATE meta SET commit_seq = commit_seq + 1, replicated_seq = max(replicated_seq, ?1) RETURNING commit_seq",
        )?;
        self.counted.begins(count.query_row([signed(self.counted.replicated())], |row| row.get(0))?);
        Ok(())
    }

    /// Notes that everything up to a commit is in the replica.
    pub(crate) fn replicated(&self, seq: u64) {
        self.counted.reached(seq);
    }

    /// Makes the group durable. A failure that leaves it whole in the WAL ends the process.
    pub(crate) fn commit(&self) -> Result<(), StoreError> {
        self.conn.prepare_cached("COMMIT")?.execute([]).map_err(uncounted::or_end)?;
        self.counted.ended();
        Ok(())
    }

    /// Returns how far the commits are, for others to look at.
    pub(crate) fn commits(&self) -> &Arc<Commits> {
        self.counted.commits()
    }

    /// Undoes the group. Says nothing when SQLite has undone it already.
    pub(crate) fn rollback(&self) {
        if self.in_transaction()
            && let Err(why) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %why, "cannot roll back");
        }
    }

    /// Returns whether a transaction is open: SQLite ends it by itself when it is interrupted or the disk fails.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.conn.is_autocommit()
    }

    /// Begins an event's part of the group.
    pub(crate) fn savepoint(&self) -> Result<(), StoreError> {
        self.run("SAVEPOINT event")
    }

    /// Keeps the event's part.
    pub(crate) fn release(&self) -> Result<(), StoreError> {
        self.run("RELEASE event")
    }

    /// Undoes the event's part.
    pub(crate) fn undo(&self) -> Result<(), StoreError> {
        self.run("ROLLBACK TO event")?;
        self.run("RELEASE event")
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Opens a database for a test that is about the bot's tables only.
    #[cfg(test)]
    pub(crate) fn open_for_tests(folder: &Path, tables: &Tables) -> Result<Self, StoreError> {
        let read = std::time::Duration::from_secs(30);
        let limits = SqlLimits { rows: 100, bytes: 10_000, statement: 1_000, params: 10, read };
        Self::open(folder, Arc::new(shared::clock::ManualClock::new(1_700_000_000_000)), tables, limits)
    }

    /// Lets a test meddle with the connection: fill the disk, forbid writing.
    #[cfg(test)]
    pub(crate) fn pragma(&self, text: &str) {
        self.conn.execute_batch(text).expect("a pragma of a test");
    }
}

/// Opens a connection that only reads.
fn open_reader(folder: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(folder.join(FILE), flags)?;
    wait_for_locks(&conn)?;
    Ok(conn)
}

/// Lets a connection wait for another one's lock, 5 s at most: in steps of a millisecond. Litestream holds the writer's lock for a
/// moment again and again, and SQLite's own steps of up to 100 ms pass by most of the time in between.
fn wait_for_locks(conn: &Connection) -> Result<(), StoreError> {
    const STEP: Duration = Duration::from_millis(1);
    const STEPS: i32 = 5_000;
    conn.busy_handler(Some(|step| {
        std::thread::sleep(STEP);
        step < STEPS
    }))?;
    Ok(())
}

/// SQLite's integers are signed; everything Berth counts fits.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Headers as they stand in a row; none is NULL.
fn headers_text(headers: &[(String, String)]) -> Option<String> {
    if headers.is_empty() { None } else { serde_json::to_string(headers).ok() }
}

fn headers_from(text: Option<&str>) -> Result<Vec<(String, String)>, StoreError> {
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(text).map_err(|_| StoreError::Broken("header row")))
}

#[cfg(test)]
mod tests;
