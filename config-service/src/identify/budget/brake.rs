//! The brake of a shard that identifies again and again: some times are free, then each wait is twice the one before. It is let
//! go when the shard was calm for a while. Pure.

use shared::{Mono, backoff::nominal};
use std::time::Duration;

/// The bounds of the brake.
#[derive(Debug, Clone, Copy)]
pub(in crate::identify) struct Brake {
    /// How often in a row a shard identifies without waiting.
    pub(in crate::identify) free: u32,
    /// The first wait.
    pub(in crate::identify) first: Duration,
    /// The longest wait.
    pub(in crate::identify) most: Duration,
    /// For how long a shard that may identify does not, before it counts as calm.
    pub(in crate::identify) calm: Duration,
}

/// How a shard has identified lately.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// How often in a row.
    pub(super) streak: u32,
    /// When it was last permitted to.
    pub(super) last: Mono,
    /// The fingerprint of the session it recovered from last.
    pub(super) recovered: Option<String>,
}

impl Known {
    /// A shard that identifies for the first time.
    pub(super) fn first(now: Mono) -> Self {
        Self { streak: 1, last: now, recovered: None }
    }

    /// The shard after it has identified once more.
    pub(super) fn again(&self, brake: &Brake, now: Mono) -> Self {
        let streak = if self.is_calm(brake, now) { 1 } else { self.streak.saturating_add(1) };
        Self { streak, last: now, recovered: self.recovered.clone() }
    }

    /// Returns when it may identify again.
    pub(super) fn free_at(&self, brake: &Brake) -> Mono {
        self.last.after(self.wait(brake))
    }

    /// Whether it has been quiet for so long that what was before does not count.
    pub(super) fn is_calm(&self, brake: &Brake, now: Mono) -> bool {
        now >= self.free_at(brake).after(brake.calm)
    }

    fn wait(&self, brake: &Brake) -> Duration {
        match self.streak.checked_sub(brake.free.max(1)) {
            Some(over) => nominal(brake.first, brake.most, over),
            None => Duration::ZERO,
        }
    }
}
