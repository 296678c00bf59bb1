//! A bot as the gateway takes it: a synchronous [`Handler`] or an [`AsyncHandler`]. Decides nothing; says which it is.

use super::{Acquired, AsyncHandler, Handler};
use crate::schema::Tables;
use shared::TargetId;
use std::{fmt, sync::Arc};

/// A bot. Any [`Handler`] becomes one by itself; an [`AsyncHandler`] by [`Bot::asynchronous`]. Cheap to clone; all clones
/// are one.
#[derive(Clone)]
pub struct Bot {
    pub(crate) way: Way,
    tables: Option<Arc<Tables>>,
}

/// How a bot is called.
#[derive(Clone)]
pub(crate) enum Way {
    /// On the writer's thread, inside the event's transaction.
    Sync(Arc<dyn Handler>),
    /// Beside it, without a transaction; what it says is applied afterwards.
    Async(Arc<dyn AsyncHandler>),
}

impl Bot {
    /// Makes a bot of a synchronous handler.
    pub fn new(handler: impl Handler) -> Self {
        Self { way: Way::Sync(Arc::new(handler)), tables: None }
    }

    /// Makes a bot of an asynchronous handler.
    pub fn asynchronous(handler: impl AsyncHandler) -> Self {
        Self { way: Way::Async(Arc::new(handler)), tables: None }
    }

    /// Gives the bot tables of its own, which it brings along in its program. The others come with `--migrations`.
    #[must_use]
    pub fn tables(mut self, tables: Tables) -> Self {
        self.tables = Some(Arc::new(tables));
        self
    }

    /// Returns the same bot, tables and all, with another handler in its handler's place.
    pub(crate) fn answered_by(self, handler: impl AsyncHandler) -> Self {
        Self { way: Way::Async(Arc::new(handler)), ..self }
    }

    /// Returns the tables that it brings along.
    pub(crate) fn own_tables(&self) -> Option<&Tables> {
        self.tables.as_deref()
    }

    /// Tells the handler that the pod begins to serve a target.
    pub(crate) fn on_acquire(&self, acquired: &Acquired<'_>) {
        match &self.way {
            Way::Sync(handler) => handler.on_acquire(acquired),
            Way::Async(handler) => handler.on_acquire(acquired),
        }
    }

    /// Asks the handler for what it keeps in memory for a target.
    pub(crate) fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        match &self.way {
            Way::Sync(handler) => handler.export_volatile(target),
            Way::Async(handler) => handler.export_volatile(target),
        }
    }

    /// Gives it back.
    pub(crate) fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        match &self.way {
            Way::Sync(handler) => handler.import_volatile(target, state),
            Way::Async(handler) => handler.import_volatile(target, state),
        }
    }

    /// Returns what the handler calls itself, and its version; the program's name when it says nothing.
    pub(crate) fn called(&self) -> (String, Option<String>) {
        let described = match &self.way {
            Way::Sync(_) => None,
            Way::Async(handler) => Some(handler.describe()),
        };
        let (name, version) = described.map(|said| (said.name, said.version)).unwrap_or_default();
        let program = || {
            let path = std::env::current_exe().ok()?;
            Some(path.file_stem()?.to_string_lossy().into_owned())
        };
        (name.or_else(program).unwrap_or_else(|| "bot".to_owned()), version)
    }

    /// Tells the handler that the pod has stopped serving a target.
    pub(crate) fn on_release(&self, target: &TargetId) {
        match &self.way {
            Way::Sync(handler) => handler.on_release(target),
            Way::Async(handler) => handler.on_release(target),
        }
    }
}

impl<H: Handler> From<H> for Bot {
    fn from(handler: H) -> Self {
        Self::new(handler)
    }
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Sync(_) => "Bot(synchronous)",
            Way::Async(_) => "Bot(asynchronous)",
        })
    }
}
