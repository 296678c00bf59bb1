//! What a handler is told when the pod begins to serve a target: which one, and on demand what is kept of it by Berth.

use super::{
    Guild, HandlerError,
    guild::{GUILD_KEY, STANDING_KEY},
};
use crate::store::{LocalId, Store, StoreError};
use shared::{Epoch, TargetId};
use std::fmt;

/// A target that the pod begins to serve.
pub struct Acquired<'a> {
    pub(crate) target: &'a TargetId,
    pub(crate) local: LocalId,
    pub(crate) epoch: Epoch,
    pub(crate) now_ms: u64,
    pub(crate) store: &'a Store,
}

impl fmt::Debug for Acquired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquired").field("target", &self.target).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Acquired<'_> {
    /// Returns the target's name.
    pub fn target(&self) -> &TargetId {
        self.target
    }

    /// Returns the fencing token of this ownership.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns what Discord's gateway told of the guild last; `None` for other targets, and for a guild that nothing was told
    /// of. It is read when it is asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub fn guild(&self) -> Result<Option<Guild>, HandlerError> {
        kept(self.store, self.local, self.now_ms)
            .map(|[guild, standing]| Guild::of_rows(guild.as_deref(), standing.as_deref()))
            .map_err(|why| HandlerError::Retry(format!("the guild cannot be read: {why}")))
    }
}

/// Returns a guild's rows.
pub(crate) fn kept(store: &Store, local: LocalId, now_ms: u64) -> Result<[Option<String>; 2], StoreError> {
    Ok([store.kv_get(local, GUILD_KEY, now_ms)?, store.kv_get(local, STANDING_KEY, now_ms)?])
}
