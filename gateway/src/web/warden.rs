//! Looks after the exchanges that are under way: one whose target is no longer this pod's to act for is cut at once.
//! Knows no HTTP.

use crate::ownership::{Guard, Ownership};
use shared::{lease::Use, shutdown::Shutdown};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How often it looks. A pod stops acting 400 ms before its lease is over.
const LOOK: Duration = Duration::from_millis(100);

/// The warden. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Warden(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ownership: Ownership,
    watched: Mutex<Watched>,
    begun: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    last: u64,
    under_way: HashMap<u64, Exchange>,
}

#[derive(Debug)]
struct Exchange {
    guard: Guard,
    cut: Shutdown,
    /// Whether it has no end of its own.
    endless: bool,
}

/// What ties an exchange to its guard. Dropped, nobody looks after it any more.
#[derive(Debug)]
pub(crate) struct Tether {
    warden: Warden,
    id: u64,
    guard: Guard,
    cut: Shutdown,
}

impl Tether {
    /// Returns what is cancelled when the guard no longer holds.
    pub(crate) fn cut(&self) -> &Shutdown {
        &self.cut
    }

    /// Says that the exchange has no end of its own: a tunnel, a stream of events.
    pub(crate) fn is_endless(&self) {
        self.warden.with(|watched| {
            if let Some(exchange) = watched.under_way.get_mut(&self.id) {
                exchange.endless = true;
            }
        });
    }

    /// Returns whether the guard holds now.
    pub(crate) fn holds(&self) -> bool {
        self.warden.0.ownership.check(&self.guard, Use::Act).is_ok()
    }
}

impl Warden {
    /// Makes a warden; [`Warden::run`] does its work.
    pub(crate) fn new(ownership: Ownership) -> Self {
        Self(Arc::new(Inner { ownership, watched: Mutex::default(), begun: Notify::new() }))
    }

    /// Ties an exchange to its guard.
    pub(crate) fn tie(&self, guard: Guard) -> Tether {
        let cut = Shutdown::new();
        let id = self.with(|watched| {
            watched.last += 1;
            watched.under_way.insert(watched.last, Exchange { guard: guard.clone(), cut: cut.clone(), endless: false });
            watched.last
        });
        self.0.begun.notify_one();
        Tether { warden: self.clone(), id, guard, cut }
    }

    /// Cuts what has no end of its own.
    pub(crate) fn cut_endless(&self) {
        self.cut(|exchange| exchange.endless);
    }

    /// Cuts all that is under way.
    pub(crate) fn cut_all(&self) {
        self.cut(|_| true);
    }

    fn cut(&self, which: impl Fn(&Exchange) -> bool) {
        self.with(|watched| watched.under_way.values().filter(|it| which(it)).for_each(|it| it.cut.cancel()));
    }

    /// Looks until `stop`. Costs nothing while nothing is under way.
    pub(crate) async fn run(self, stop: Shutdown) {
        let looking = async {
            loop {
                if self.look() == 0 {
                    self.0.begun.notified().await;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(looking).await;
    }

    /// Cuts what no longer holds, and returns how much is under way.
    fn look(&self) -> usize {
        self.cut(|exchange| self.0.ownership.check(&exchange.guard, Use::Act).is_err());
        self.with(|watched| watched.under_way.len())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Watched) -> T) -> T {
        act(&mut self.0.watched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        self.warden.with(|watched| watched.under_way.remove(&self.id));
    }
}
