//! How often an upload may be asked for. Each one is a PUT that costs money: so many at once, so many per second on average
//! (LITESTREAM.md, "Knowing that a commit is replicated"). Decides nothing about what is uploaded.
//!
//! The fuller the bucket, the shorter the pause: a lone event is acknowledged at once, a busy pod waits longer and longer
//! between two uploads until it is at its average, and groups what comes meanwhile.

use shared::Mono;
use std::time::Duration;

/// A token bucket with a pause that follows what is left in it.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    burst: f64,
    per_second: f64,
    tokens: f64,
    counted: Mono,
    last: Option<Mono>,
}

impl Pace {
    /// Makes a full bucket of at least one token.
    pub(crate) fn new(now: Mono, burst: u32, per_second: f64) -> Self {
        let burst = f64::from(burst.max(1));
        Self { burst, per_second: per_second.max(0.001), tokens: burst, counted: now, last: None }
    }

    /// Takes a token: an upload begins. More than there are may be taken by what cannot wait.
    pub(crate) fn take(&mut self, now: Mono) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(-self.burst);
        self.last = Some(now);
    }

    /// Gives a token back: nothing was uploaded for it.
    pub(crate) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Returns when the next upload may begin.
    pub(crate) fn next_at(&mut self, now: Mono) -> Mono {
        self.refill(now);
        let missing = (1.0 - self.tokens).max(0.0);
        let filled = now.after(Duration::from_secs_f64(missing / self.per_second));
        let paused = self.last.map_or(now, |last| last.after(self.pause()));
        filled.max(paused)
    }

    /// Returns the pause between two uploads as the bucket stands: none when it is full, the average one when it is empty.
    pub(crate) fn pause(&self) -> Duration {
        let left = if self.burst > 1.0 { ((self.tokens - 1.0) / (self.burst - 1.0)).clamp(0.0, 1.0) } else { 0.0 };
        // A bucket that was full just before is as good as full: a few events after a quiet time do not wait.
        let left = (left * 1.25).min(1.0);
        Duration::from_secs_f64((1.0 - left) / self.per_second)
    }

    fn refill(&mut self, now: Mono) {
        let passed = now.since(self.counted).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.counted = self.counted.max(now);
    }
}

#[cfg(test)]
mod tests;
