//! How many events a pod has answered, how many of them badly, and how long that took: counted from the start of its process, so
//! that two reports make what happened between them, and those of several pods can be added up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The bounds of [`Served::took`], in milliseconds: an answer counts in the first place whose bound it does not exceed.
pub const SERVED_BOUNDS_MS: [f64; 15] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0];

/// The answers of a pod to events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Events that were answered, whatever the answer was.
    pub events: u64,
    /// Those of them that were not committed or came too late, and attempts at which a handler failed.
    pub errors: u64,
    /// How long the answers took, from the door to the answer: how many up to 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500,
    /// 1000, 2500, 5000, 10000 ms, and longer.
    pub took: [u64; SERVED_BOUNDS_MS.len() + 1],
}

impl Served {
    /// Returns in which place of [`Served::took`] an answer counts that took so long.
    pub fn place(took: Duration) -> usize {
        let ms = took.as_secs_f64() * 1_000.0;
        SERVED_BOUNDS_MS.iter().position(|bound| ms <= *bound).unwrap_or(SERVED_BOUNDS_MS.len())
    }

    /// Returns the sum of two.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.events = self.events.saturating_add(other.events);
        self.errors = self.errors.saturating_add(other.errors);
        self.took.iter_mut().zip(&other.took).for_each(|(mine, theirs)| *mine = mine.saturating_add(*theirs));
        self
    }

    /// Returns what was counted since `before`; none when the process has begun anew since.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut between = Self {
            events: self.events.checked_sub(before.events)?,
            errors: self.errors.checked_sub(before.errors)?,
            took: self.took,
        };
        for (mine, theirs) in between.took.iter_mut().zip(&before.took) {
            *mine = mine.checked_sub(*theirs)?;
        }
        Some(between)
    }

    /// Returns what so many of a hundred answers did not exceed, in milliseconds, as exactly as the bounds are; none without an
    /// answer. Longer than every bound counts as the last one.
    pub fn percentile_ms(&self, of_hundred: u64) -> Option<f64> {
        let all: u128 = self.took.iter().map(|count| u128::from(*count)).sum();
        let wanted = (all * u128::from(of_hundred)).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.took.iter().position(|count| {
            seen += u128::from(*count);
            seen >= wanted
        })?;
        Some(SERVED_BOUNDS_MS[at.min(SERVED_BOUNDS_MS.len() - 1)])
    }
}

#[cfg(test)]
mod tests;
