//! Counting within windows of time: so many in so long. Knows no clock; what is counted is the caller's business.

use crate::settings::Rate;
use shared::clock::Mono;
use std::time::Duration;

/// A window that begins with the first use and starts anew when it is over.
#[derive(Debug, Default)]
pub(crate) struct Window {
    began: Option<Mono>,
    used: u32,
}

/// What is left of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) uses: u32,
    pub(crate) reset_after: Duration,
}

impl Window {
    /// Uses one, or says after how long there is one again.
    pub(crate) fn take(&mut self, rate: Rate, now: Mono) -> Result<Left, Duration> {
        let left = self.left(rate, now);
        if left.uses == 0 {
            return Err(left.reset_after);
        }
        if self.began.is_none_or(|began| now.since(began) >= rate.period) {
            (self.began, self.used) = (Some(now), 0);
        }
        self.used += 1;
        Ok(self.left(rate, now))
    }

    /// Looks without using any. A window that has not begun takes its whole period from the first use.
    pub(crate) fn left(&self, rate: Rate, now: Mono) -> Left {
        match self.began.map(|began| now.since(began)) {
            Some(age) if age < rate.period => {
                Left { uses: rate.most.saturating_sub(self.used), reset_after: rate.period.saturating_sub(age) }
            }
            _ => Left { uses: rate.most, reset_after: rate.period },
        }
    }
}

#[cfg(test)]
mod tests;
