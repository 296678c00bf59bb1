//! For whom a connection works at the moment: for Berth, for a bot's statement on behalf of a target, or for a bot's
//! migration. SQLite asks here when it prepares a statement ([`judge`]); the guards ask here which target it is.

use super::judge::judge;
use crate::{schema::Map, store::LocalId};
use rusqlite::{
    Connection,
    functions::FunctionFlags,
    hooks::{AuthAction, AuthContext, Authorization},
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// For whom a connection prepares statements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::store) enum Mode {
    /// Berth itself: everything is allowed.
    #[default]
    Berth,
    /// A bot's statement on the writer.
    Bot,
    /// A bot's statement on a reading connection, where a target's rows are seen through views. The word is a secret: it
    /// begins the names of the views that read the tables.
    Sandbox(Arc<str>),
    /// A bot's migration.
    Migration,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    target: Option<(LocalId, Arc<str>)>,
    /// Why a statement was refused.
    reason: Option<String>,
}

/// The handle; all clones are one. A connection's own, never locked for long.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Scope {
    state: Arc<Mutex<State>>,
    map: Arc<OnceLock<Arc<Map>>>,
    /// What the names begin with of what notes changes for a copy.
    notes: Arc<OnceLock<Arc<str>>>,
}

impl Scope {
    /// Lets a connection ask here.
    pub(in crate::store) fn install(&self, conn: &Connection) -> rusqlite::Result<()> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS | FunctionFlags::SQLITE_DETERMINISTIC;
        let scope = self.clone();
        conn.create_scalar_function("current_target", 0, flags, move |_| {
            Ok(scope.with(|state| state.target.as_ref().map(|(local, _)| local.0)))
        })?;
        let scope = self.clone();
        conn.create_scalar_function("current_target_key", 0, flags, move |_| {
            Ok(scope.with(|state| state.target.as_ref().map(|(_, key)| key.to_string())))
        })?;
        let scope = self.clone();
        conn.authorizer(Some(move |asked: AuthContext<'_>| {
            // A statement fires these whoever wrote it; nobody can name them.
            if scope.notes.get().is_some_and(|word| is_note(&asked, word)) {
                return Authorization::Allow;
            }
            scope.with(|state| match judge(&state.mode, scope.map.get().map(|map| &**map), &asked) {
                Ok(()) => Authorization::Allow,
                Err(why) => {
                    state.reason.get_or_insert(why);
                    Authorization::Deny
                }
            })
        }))
    }

    /// Says which tables are the bot's. The first word counts.
    pub(in crate::store) fn set_map(&self, map: Arc<Map>) {
        let _ = self.map.set(map);
    }

    /// Says what the names begin with of what notes changes for a copy. The first word counts.
    pub(in crate::store) fn set_notes(&self, word: Arc<str>) {
        let _ = self.notes.set(word);
    }

    /// Lets the connection work in a mode, for a target with its key, until the result is dropped.
    pub(in crate::store) fn enter(&self, mode: Mode, target: Option<(LocalId, &str)>) -> Entered<'_> {
        let target = target.map(|(local, key)| (local, Arc::from(key)));
        self.with(|state| *state = State { mode, target, reason: None });
        Entered(self)
    }

    /// Returns why the last statement was refused.
    pub(in crate::store) fn reason(&self) -> Option<String> {
        self.with(|state| state.reason.take())
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns whether something is asked of the notes of a copy.
fn is_note(asked: &AuthContext<'_>, word: &str) -> bool {
    match asked.action {
        AuthAction::Insert { table_name } | AuthAction::Read { table_name, .. } => table_name.starts_with(word),
        AuthAction::Function { function_name } => function_name.starts_with(word),
        _ => false,
    }
}

/// While this lives, the connection works for somebody else than Berth.
#[derive(Debug)]
#[must_use = "dropped at once, it changes nothing"]
pub(in crate::store) struct Entered<'s>(&'s Scope);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.with(|state| *state = State::default());
    }
}
