//! What the writer tells the rest of the pod about itself, without being asked: how busy it is, whether it can write, and
//! that it still turns.

use shared::{Mono, wire::control::TargetWeight};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a smoothed rate remembers.
const MEMORY: Duration = Duration::from_secs(10);
/// How often the rate is worked out.
const EVERY: Duration = Duration::from_secs(1);

/// How long the writer may be at one thing. It sleeps for a second at most, and a handler has milliseconds.
const STUCK: Duration = Duration::from_secs(5);

/// A flush that takes longer than this says that the disk is slow (OWNERSHIP.md, Leases 14).
const SLOW: Duration = Duration::from_secs(1);
/// How long that is held against it.
const SLOW_FOR: Duration = Duration::from_secs(5);

/// What others may read.
#[derive(Debug)]
pub(crate) struct Shared {
    writable: AtomicBool,
    rate: AtomicU64,
    turned: AtomicU64,
    /// Since when the disk is at a commit, in nanoseconds; 0 when it is at none.
    flushing: AtomicU64,
    /// Until when the disk counts as slow.
    slow_until: AtomicU64,
    /// What the busiest targets do, until it is told.
    weights: Mutex<Vec<TargetWeight>>,
    /// How often it was told what they do.
    windows: AtomicU64,
}

impl Shared {
    /// Makes what is told of a writer that begins now and can write.
    pub(crate) fn new(now: Mono) -> Self {
        let turned = AtomicU64::new(now.as_nanos());
        let (flushing, slow_until) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            writable: AtomicBool::new(true),
            rate: AtomicU64::new(0),
            turned,
            flushing,
            slow_until,
            weights: Mutex::default(),
            windows: AtomicU64::new(0),
        }
    }

    /// Notes that the writer begins something new.
    pub(crate) fn turns(&self, now: Mono) {
        self.turned.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Returns for how long the writer has been at one thing, when that is too long: a handler that does not return, which
    /// nothing can interrupt, or a disk that does not answer.
    pub(crate) fn stuck(&self, now: Mono) -> Option<Duration> {
        let at_it = now.since(Mono::from_nanos(self.turned.load(Ordering::Relaxed)));
        (at_it >= STUCK).then_some(at_it)
    }

    /// Notes that the disk begins a commit.
    pub(crate) fn flush_began(&self, now: Mono) {
        self.flushing.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Notes that the disk has ended it.
    pub(crate) fn flush_ended(&self, now: Mono) {
        let began = Mono::from_nanos(self.flushing.swap(0, Ordering::Relaxed));
        if now.since(began) > SLOW {
            self.slow_until.store(now.after(SLOW_FOR).as_nanos(), Ordering::Relaxed);
        }
    }

    /// Returns whether the disk is, or was lately, too slow for the pod's word about others to count (OWNERSHIP.md,
    /// Leases 14).
    pub(crate) fn is_disk_slow(&self, now: Mono) -> bool {
        let began = self.flushing.load(Ordering::Relaxed);
        let at_it = if began == 0 { Duration::ZERO } else { now.since(Mono::from_nanos(began)) };
        at_it > SLOW || now.as_nanos() < self.slow_until.load(Ordering::Relaxed)
    }

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

    /// Notes what the busiest targets do.
    pub(crate) fn weights(&self, weights: Vec<TargetWeight>) {
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
        self.windows.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often it was noted what the busiest targets do.
    pub(crate) fn windows(&self) -> u64 {
        self.windows.load(Ordering::Relaxed)
    }

    /// Returns what was noted of the busiest targets, once.
    pub(crate) fn take_weights(&self) -> Vec<TargetWeight> {
        std::mem::take(&mut *self.weights.lock().unwrap_or_else(PoisonError::into_inner))
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
