//! Waiting between attempts, and the seeded randomness behind it.

use std::time::Duration;

/// A small seeded generator (SplitMix64). Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rng(u64);

impl Rng {
    /// Makes a generator whose whole sequence follows from `seed`.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns the next number in `[0, 1)`.
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Exponential backoff with a quarter of jitter: doubles from `first` up to `most`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
    rng: Rng,
}

impl Backoff {
    /// Makes a backoff. `seed` spreads several of them apart.
    pub const fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self { first, most, attempt: 0, rng: Rng::seeded(seed) }
    }

    /// Returns how long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let wait = nominal(self.first, self.most, self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        wait.mul_f64(0.75 + 0.25 * self.rng.next_f64())
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// Returns the wait before attempt `attempt` (0 is the first retry), without jitter.
pub fn nominal(first: Duration, most: Duration, attempt: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(attempt.min(30)).unwrap_or(u32::MAX)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), 7);
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= Duration::from_millis(75) && waits[0] <= Duration::from_millis(100));
        assert!(waits[39] >= Duration::from_millis(1_500) && waits[39] <= Duration::from_secs(2));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
