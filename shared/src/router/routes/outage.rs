//! When to speak of an outage: at its start, every ten seconds while it lasts, and at its end. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// Time between two lines about the same outage.
const AGAIN: Duration = Duration::from_secs(10);

/// One thing that may be out of reach.
#[derive(Debug, Default)]
pub(super) struct Outage {
    said: Option<Instant>,
}

impl Outage {
    /// Notes a failure and returns whether to speak of it.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let speak = self.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        if speak {
            self.said = Some(now);
        }
        speak
    }

    /// Notes a success and returns whether an outage has ended by it.
    pub(super) fn ended(&mut self) -> bool {
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_at_its_start_every_ten_seconds_and_at_its_end() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let after = |s| start + Duration::from_secs(s);
        assert!(!outage.ended());
        let said: Vec<u64> = (0..25).filter(|s| outage.failed(after(*s))).collect();
        assert_eq!(said, [0, 10, 20]);
        assert!(outage.ended() && !outage.ended() && outage.failed(after(26)));
    }
}
