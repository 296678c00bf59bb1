//! What the writer tells the rest of the pod about itself, without being asked: how busy it is, and whether it can write.

use shared::Mono;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// How long a smoothed rate remembers.
const MEMORY: Duration = Duration::from_secs(10);
/// How often the rate is worked out.
const EVERY: Duration = Duration::from_secs(1);

/// What others may read.
#[derive(Debug)]
pub(crate) struct Shared {
    writable: AtomicBool,
    rate: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self { writable: AtomicBool::new(true), rate: AtomicU64::new(0) }
    }
}

impl Shared {
    /// Notes whether the last commit succeeded. Returns what was noted before.
    pub(crate) fn writable(&self, writable: bool) -> bool {
        self.writable.swap(writable, Ordering::AcqRel)
    }

    /// Returns whether the last commit succeeded.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    /// Notes the smoothed rate of applied events.
    pub(crate) fn events_per_second(&self, rate: f64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    /// Returns the smoothed rate of applied events, per second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }
}

/// A rate, smoothed exponentially.
#[derive(Debug)]
pub(crate) struct Rate {
    since: Mono,
    count: u64,
    rate: f64,
}

impl Rate {
    /// Makes a rate of nothing.
    pub(crate) fn new(now: Mono) -> Self {
        Self { since: now, count: 0, rate: 0.0 }
    }

    /// Counts events.
    pub(crate) fn add(&mut self, events: u64) {
        self.count += events;
    }

    /// Works the rate out anew, once a second; otherwise says nothing.
    pub(crate) fn tick(&mut self, now: Mono) -> Option<f64> {
        let passed = now.since(self.since);
        if passed < EVERY {
            return None;
        }
        let seconds = passed.as_secs_f64();
        let weight = 1.0 - (-seconds / MEMORY.as_secs_f64()).exp();
        self.rate += weight * (self.count as f64 / seconds - self.rate);
        (self.since, self.count) = (now, 0);
        Some(self.rate)
    }
}
