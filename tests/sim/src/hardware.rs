//! A machine's clocks: their rate, their jumps, and how they relate to true time.

use crate::agenda::Ns;
use shared::{Clock, Mono};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Wall time at which every run begins, in milliseconds since the Unix epoch.
const BEGINS_MS: u64 = 1_700_000_000_000;
/// What a machine's boot clock shows when a run begins: long up.
const UP: Ns = 100_000_000_000;

/// What the code on a machine sees of its clocks. Stands still while the code runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<(AtomicU64, AtomicU64)>);

impl Clock for Shown {
    fn now(&self) -> Mono {
        Mono::from_nanos(self.0.0.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> u64 {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// A machine's clocks.
#[derive(Debug)]
pub(crate) struct Hardware {
    since: Ns,
    shown: Ns,
    /// How much faster than true time, in millionths.
    ppm: i64,
    wall_off_ms: i64,
    seen: Shown,
}

impl Hardware {
    pub(crate) fn new(ppm: i64) -> Self {
        Self { since: 0, shown: UP, ppm, wall_off_ms: 0, seen: Shown::default() }
    }

    /// Returns what the code on the machine sees.
    pub(crate) fn seen(&self) -> Shown {
        self.seen.clone()
    }

    /// Returns the boot clock at `now`, and shows it.
    pub(crate) fn look(&self, now: Ns) -> Mono {
        let local = self.at(now);
        self.seen.0.0.store(local, Ordering::Relaxed);
        let wall = BEGINS_MS.saturating_add_signed(self.wall_off_ms) + local / 1_000_000;
        self.seen.0.1.store(wall, Ordering::Relaxed);
        Mono::from_nanos(local)
    }

    fn at(&self, now: Ns) -> Ns {
        let passed = i128::from(now.saturating_sub(self.since));
        self.shown + u64::try_from(passed * i128::from(1_000_000 + self.ppm) / 1_000_000).unwrap_or(0)
    }

    /// Returns the true time at which the boot clock shows `local`, unless somebody meddles with it until then.
    pub(crate) fn true_at(&self, local: Mono) -> Ns {
        let ahead = i128::from(local.as_nanos().saturating_sub(self.shown));
        let rate = i128::from(1_000_000 + self.ppm);
        self.since.saturating_add(u64::try_from((ahead * 1_000_000 + rate - 1) / rate).unwrap_or(u64::MAX))
    }

    /// Steps the boot clock.
    pub(crate) fn jump(&mut self, now: Ns, ahead: Ns) {
        self.shown = self.at(now) + ahead;
        self.since = now;
    }

    /// Steps the wall clock.
    pub(crate) fn step_wall(&mut self, by_ms: i64) {
        self.wall_off_ms += by_ms;
    }

    /// The machine was paused from `paused` to `now`, and its boot clock shows nothing of it.
    pub(crate) fn missed(&mut self, paused: Ns, now: Ns) {
        self.shown = self.at(paused);
        self.since = now;
    }

    /// The machine boots: its clock begins anew.
    pub(crate) fn boot(&mut self, now: Ns) {
        (self.since, self.shown) = (now, 1_000_000_000);
    }
}
