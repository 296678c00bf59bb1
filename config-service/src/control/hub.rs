//! Tells the watchers. The newest changes lie in a ring; each watcher reads it at its own pace from its own position, so a
//! slow one costs no memory: it falls out of the ring and is told to resync.

use crate::domain::Change;
use shared::{Revision, shutdown::Shutdown};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The hub of one term. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Mutex<Ring>,
    newest: watch::Sender<Revision>,
    seats: Arc<Semaphore>,
    closed: Shutdown,
}

#[derive(Debug)]
struct Ring {
    /// The revision before the oldest change in the ring.
    before: Revision,
    /// Changes of consecutive revisions.
    changes: VecDeque<Arc<Change>>,
    capacity: usize,
}

/// What lies behind a position.
#[derive(Debug)]
pub(super) enum Tail {
    /// Changes, in order; none when the position is the newest.
    Changes(Vec<Arc<Change>>),
    /// The position is older than the ring.
    Older,
    /// The position is beyond the newest revision.
    Beyond,
}

impl Hub {
    /// Makes a hub that stands at `revision` and remembers `capacity` changes. Watches end when `closed` is cancelled.
    pub(super) fn new(revision: Revision, capacity: usize, watchers: usize, closed: Shutdown) -> Self {
        let ring = Ring { before: revision, changes: VecDeque::new(), capacity: capacity.max(1) };
        Self(Arc::new(Inner {
            ring: Mutex::new(ring),
            newest: watch::Sender::new(revision),
            seats: Arc::new(Semaphore::new(watchers)),
            closed,
        }))
    }

    /// Takes a watcher's seat; none when all are taken.
    pub(super) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.seats).try_acquire_owned().ok()
    }

    /// Returns how many seats are free.
    pub(super) fn free_seats(&self) -> usize {
        self.0.seats.available_permits()
    }

    /// Publishes committed changes, which continue the revisions published before.
    pub(super) fn publish(&self, changes: impl IntoIterator<Item = Change>) {
        let newest = {
            let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                if ring.changes.len() == ring.capacity {
                    ring.changes.pop_front();
                    ring.before = Revision(ring.before.0 + 1);
                }
                ring.changes.push_back(Arc::new(change));
            }
            ring.newest()
        };
        self.0.newest.send_replace(newest);
    }

    /// Returns at most `limit` changes behind `position`.
    pub(super) fn after(&self, position: Revision, limit: usize) -> Tail {
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if position > ring.newest() {
            return Tail::Beyond;
        }
        let Some(skip) = position.0.checked_sub(ring.before.0) else {
            return Tail::Older;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Tail::Changes(ring.changes.iter().skip(skip).take(limit).cloned().collect())
    }

    /// Returns the newest revision.
    pub(super) fn newest(&self) -> Revision {
        *self.0.newest.borrow()
    }

    /// Returns whether the ring still continues a position.
    pub(super) fn continues(&self, position: Revision) -> bool {
        matches!(self.after(position, 0), Tail::Changes(_))
    }

    /// Returns a receiver that wakes when something is published. Taken before looking, so that nothing is missed.
    pub(super) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.0.newest.subscribe()
    }

    /// Waits until the hub is closed: the term is over, or the service stops.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl Ring {
    fn newest(&self) -> Revision {
        Revision(self.before.0 + self.changes.len() as u64)
    }
}
