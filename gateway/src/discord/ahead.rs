//! Connections that are prepared before their shard is this pod's. The library waits a second before it opens one; that second
//! passes here while the old holder still listens. Until the shard has come nothing is opened, and Discord hears nothing.

use super::connector::Session;
use serde::{Deserialize, Serialize};
use shared::{TargetId, wire::discord::Shard};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a connection stays prepared. A move that takes longer begins one anew.
const KEEP: Duration = Duration::from_secs(30);

/// Connections that are prepared at once; the oldest gives way.
const MOST: usize = 64;

/// What the pod that gets a shard is told before it gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Coming {
    /// The shard's target.
    pub(crate) target: TargetId,
    /// Its session. By the time the shard comes its number is older than the one in the rows: some events are told again,
    /// and known by their numbers.
    pub(crate) session: Session,
}

/// A connection that nobody listens to yet.
#[derive(Debug)]
struct Prepared<S> {
    shard: Shard,
    session: Session,
    until: Instant,
    socket: S,
}

/// The connections that are prepared.
#[derive(Debug)]
pub(super) struct Ahead<S>(Mutex<VecDeque<Prepared<S>>>);

impl<S> Default for Ahead<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Ahead<S> {
    /// Keeps a connection for a while that would go on with `session`.
    pub(super) fn keep(&self, shard: Shard, session: Session, socket: S) {
        let mut prepared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        prepared.retain(|one| one.until > now && one.shard != shard);
        if prepared.len() >= MOST {
            prepared.pop_front();
        }
        prepared.push_back(Prepared { shard, session, until: now + KEEP, socket });
    }

    /// Takes out the connection of a shard, if it goes on with `session` where that is resumed, and from no later on.
    pub(super) fn take(&self, shard: Shard, session: &Session) -> Option<S> {
        let mut prepared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = prepared.iter().position(|one| one.shard == shard)?;
        let one = prepared.remove(at)?;
        let same = (&one.session.id, &one.session.url) == (&session.id, &session.url);
        (same && one.session.seq <= session.seq && one.until > Instant::now()).then_some(one.socket)
    }
}

#[cfg(test)]
mod tests;
