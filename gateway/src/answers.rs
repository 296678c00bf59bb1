//! How many events this pod has answered, how many of them badly, and how long that took: what a heartbeat tells of it, for tracks to
//! be compared by (PLACEMENT.md, tracks). Counts; judges nothing.

use shared::wire::{
    control::{SERVED_BOUNDS_MS, Served},
    link::Outcome,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The answers since the process began. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    errors: AtomicU64,
    took: [AtomicU64; SERVED_BOUNDS_MS.len() + 1],
}

impl Answers {
    /// Counts an answer to a router, `took` after its request came in. One that says that the event belongs elsewhere, or to nobody
    /// just now, is none of this pod's.
    pub(crate) fn answered(&self, outcome: &Outcome, took: Duration) {
        let bad = match outcome {
            Outcome::Committed { .. } => false,
            Outcome::Busy { .. } | Outcome::NotCommitted { .. } | Outcome::Late => true,
            Outcome::NotOwner { .. } | Outcome::NotServing { .. } => return,
        };
        self.0.took[Served::place(took)].fetch_add(1, Ordering::Relaxed);
        if bad {
            self.failed();
        }
    }

    /// Counts an attempt at which a handler failed.
    pub(crate) fn failed(&self) {
        self.0.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what was counted.
    pub(crate) fn all(&self) -> Served {
        let took = std::array::from_fn(|at| self.0.took[at].load(Ordering::Relaxed));
        Served { events: took.iter().sum(), errors: self.0.errors.load(Ordering::Relaxed), took }
    }
}
