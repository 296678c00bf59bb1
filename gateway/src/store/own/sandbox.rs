//! Where handlers that do not run on the writer's thread read: connections of their own that only read, on which each of
//! the bot's tables is a view of one target's rows.
//!
//! ```text
//! SELECT … FROM warnings ─→ temp.warnings ─→ temp.<secret>_0 ─→ main.warnings WHERE target_id = current_target()
//! ```
//!
//! A plain name means the temporary view, since temporary names win. The table itself may be read only from within the
//! second view, whose name nobody can guess: SQLite calls a view by its name when it asks for permission, and a statement
//! could call a subquery like the first one.

use super::{Mode, Scope, SqlLimits, StatementError, run::Call};
use crate::{
    handlers::sql::{Params, Rows},
    schema::Map,
    store::{LocalId, StoreError, TimeLimit, erase::quoted, open_reader},
};
use rusqlite::{Connection, OptionalExtension, limits::Limit};
use shared::{Clock, TargetId};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

/// Connections that are kept open when nobody reads.
const KEPT: usize = 4;

/// The least that a value may hold, in bytes, however small an answer has to be: as much as the value of a key.
const VALUE: usize = 1 << 20;

/// The longest pattern of LIKE and GLOB, in bytes: the work of one step grows with it.
const PATTERN: i32 = 128;

/// Steps between two looks at the clock. One step may work on a value of the full length, so there are few.
const STEPS_PER_LOOK: i32 = 50;

/// The connections.
#[derive(Debug)]
pub(in crate::store) struct Sandboxes {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    map: Arc<Map>,
    limits: SqlLimits,
    free: Mutex<Vec<Sandbox>>,
}

#[derive(Debug)]
struct Sandbox {
    conn: Connection,
    scope: Scope,
    word: Arc<str>,
    limit: Arc<TimeLimit>,
}

impl Sandboxes {
    /// Reads the database in `folder`; a connection is opened when it is needed.
    pub(in crate::store) fn new(folder: PathBuf, clock: Arc<dyn Clock>, map: Arc<Map>, limits: SqlLimits) -> Self {
        Self { folder, clock, map, limits, free: Mutex::default() }
    }

    /// Returns whose the tables' rows are.
    pub(in crate::store) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// Runs a bot's query for a target.
    pub(in crate::store) fn query(
        &self,
        target: &TargetId,
        statement: &str,
        params: &Params,
    ) -> Result<Rows, StatementError> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sandbox = match free {
            Some(sandbox) => sandbox,
            None => self.open()?,
        };
        let found = self.run(&sandbox, target, statement, params);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(sandbox);
        }
        found
    }

    fn run(&self, on: &Sandbox, target: &TargetId, sql: &str, params: &Params) -> Result<Rows, StatementError> {
        let mut find =
            on.conn.prepare_cached("SELECT id FROM main.target WHERE name = ?1").map_err(StoreError::from)?;
        let local: Option<i64> =
            find.query_row([target.as_str()], |row| row.get(0)).optional().map_err(StoreError::from)?;
        let local = local.map(LocalId);
        let _entered = on.scope.enter(Mode::Sandbox(Arc::clone(&on.word)), local.map(|local| (local, target.id())));
        on.limit.set(Some(self.clock.now().after(self.limits.read)));
        let call = Call { conn: &on.conn, scope: &on.scope, limits: &self.limits, target, local };
        let found = call.rows(sql, params);
        on.limit.set(None);
        match found {
            Err(StatementError::Store(why)) if why.is_interrupted() => {
                let most = self.limits.read;
                Err(StatementError::Failed(format!("the query took longer than {most:?} (--sql-read-timeout)")))
            }
            found => found,
        }
    }

    fn open(&self) -> Result<Sandbox, StoreError> {
        let conn = open_reader(&self.folder)?;
        let scope = Scope::default();
        scope.set_map(Arc::clone(&self.map));
        scope.install(&conn)?;
        let word: Arc<str> = format!("berth_{}", uuid::Uuid::new_v4().simple()).into();
        for (i, table) in self.map.of_targets().enumerate() {
            let (view, behind) = (quoted(&table.name), quoted(&format!("{word}_{i}")));
            conn.execute_batch(&format!(
                "CREATE TEMP VIEW {behind} AS SELECT * FROM main.{view} WHERE target_id = current_target();
                 CREATE TEMP VIEW {view} AS SELECT * FROM temp.{behind};"
            ))?;
        }
        let limit = Arc::new(TimeLimit::new(Arc::clone(&self.clock)));
        let watched = Arc::clone(&limit);
        let is_over = move || {
            let at = watched.at.load(Ordering::Relaxed);
            at != u64::MAX && watched.clock.now().as_nanos() > at
        };
        conn.progress_handler(STEPS_PER_LOOK, Some(is_over))?;
        let most = i32::try_from(self.limits.bytes.max(VALUE)).unwrap_or(i32::MAX);
        conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, most)?;
        conn.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN)?;
        Ok(Sandbox { conn, scope, word, limit })
    }
}
