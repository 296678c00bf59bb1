//! How long a target stays where it was moved to: a cooldown that doubles, and in the end the flap guard (PLACEMENT.md,
//! Rebalancing, Execution limits). What has to move moves all the same: only what is for balance waits.

use super::Policy;
use serde::{Deserialize, Serialize};

/// When a target was moved last, and how often in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How often, each time before twice its cooldown was over.
    pub times: u8,
}

impl Moved {
    /// Returns what is known after a move at `now_ms`. A target that was left alone for twice its cooldown begins anew.
    #[must_use]
    pub fn again(before: Option<Self>, policy: &Policy, now_ms: u64) -> Self {
        let in_a_row = before.filter(|before| now_ms < before.at_ms.saturating_add(2 * before.length(policy)));
        Self { at_ms: now_ms, times: in_a_row.map_or(1, |before| before.times.saturating_add(1)) }
    }

    /// Returns until when it stays, in milliseconds since 1970; none while it is frozen.
    pub fn until_ms(self, policy: &Policy) -> Option<u64> {
        (!self.is_frozen(policy)).then(|| self.at_ms.saturating_add(self.length(policy)))
    }

    /// Returns whether it has moved so often in a row that it stays until an operator moves it, or it has been left alone.
    pub fn is_frozen(self, policy: &Policy) -> bool {
        self.times >= policy.freeze_after
    }

    /// Returns whether it may not be moved for balance at `now_ms`.
    pub fn holds(self, policy: &Policy, now_ms: u64) -> bool {
        self.until_ms(policy).is_none_or(|until| now_ms < until)
    }

    fn length(self, policy: &Policy) -> u64 {
        let doublings = u32::from(self.times.saturating_sub(1)).min(20);
        policy.cooldown_ms.saturating_mul(1 << doublings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn the_cooldown_doubles_and_ten_moves_in_a_row_freeze() {
        let policy = Policy::default();
        let (mut moved, mut now) = (Moved::again(None, &policy, 0), 0);
        let mut lengths = Vec::new();
        while let Some(until) = moved.until_ms(&policy) {
            assert!(moved.holds(&policy, until - 1) && !moved.holds(&policy, until));
            lengths.push((until - now) / MINUTE);
            now = until;
            moved = Moved::again(Some(moved), &policy, now);
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560]);
        assert_eq!(moved.times, 10);
        assert!(moved.holds(&policy, u64::MAX));
    }

    #[test]
    fn who_was_left_alone_begins_anew() {
        let policy = Policy::default();
        let twice = Moved { at_ms: 0, times: 2 };
        assert_eq!(Moved::again(Some(twice), &policy, 40 * MINUTE - 1).times, 3);
        assert_eq!(Moved::again(Some(twice), &policy, 40 * MINUTE).times, 1);
    }
}
