//! For how long moves have paused their targets, and when that is too long for their plan to go on. Pure.

use super::run::Budget;
use std::time::Duration;

/// How many pauses are remembered: the newest ones.
const REMEMBERED: usize = 10_000;

/// Of how many pauses at least 1 of 100 is spoken of. Of fewer it would be the longest: one target that was frozen while another
/// took the lead would stop a small plan.
const HUNDRED: usize = 100;

/// The pauses of one plan, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    all: Vec<u64>,
    next: usize,
}

impl Pauses {
    /// Adds one.
    pub(super) fn push(&mut self, ms: u64) {
        match self.all.get_mut(self.next) {
            Some(oldest) => *oldest = ms,
            None => self.all.push(ms),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Says why they are too long; none while they are not.
    pub(super) fn too_long(&self, budget: &Budget) -> Option<String> {
        let beyond = |ms: u64, most: Duration| u128::from(ms) > most.as_millis();
        if self.all.len() >= HUNDRED {
            let p99 = self.percentile(99);
            return beyond(p99, budget.pause).then(|| format!("1 of 100 moves paused its target for {p99} ms or more"));
        }
        let longest = self.percentile(100);
        beyond(longest, budget.longest).then(|| format!("a move paused its target for {longest} ms"))
    }

    /// Returns what so many of a hundred pauses did not exceed; zero when there was none.
    pub(super) fn percentile(&self, of_hundred: usize) -> u64 {
        let mut sorted = self.all.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * of_hundred).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_pauses_that_were() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.percentile(99), 0);
        (1..=200).rev().for_each(|ms| pauses.push(ms));
        assert_eq!([50, 99, 100].map(|of| pauses.percentile(of)), [100, 198, 200]);
    }

    #[test]
    fn few_are_judged_by_the_longest_and_many_by_the_longest_but_one_in_a_hundred() {
        let budget = Budget { aborted: 0.1, pause: Duration::from_secs(2), longest: Duration::from_secs(30) };
        let too_long = |all: &[u64]| {
            let mut pauses = Pauses::default();
            all.iter().for_each(|ms| pauses.push(*ms));
            pauses.too_long(&budget)
        };
        let with = |quick: usize, slow: &[u64]| [&vec![5; quick][..], slow].concat();
        assert_eq!(too_long(&[]), None);
        assert_eq!(too_long(&with(20, &[8_000])), None, "one target was frozen while another took the lead");
        assert_eq!(too_long(&with(0, &[30_000])), None);
        assert_eq!(too_long(&with(0, &[30_001])).as_deref(), Some("a move paused its target for 30001 ms"));
        assert_eq!(too_long(&with(98, &[31_000])).as_deref(), Some("a move paused its target for 31000 ms"));
        assert_eq!(too_long(&with(99, &[31_000])), None, "99 of 100 were quick");
        assert_eq!(too_long(&with(98, &[2_000, 31_000])), None);
        let why = too_long(&with(98, &[2_001, 31_000]));
        assert_eq!(why.as_deref(), Some("1 of 100 moves paused its target for 2001 ms or more"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut pauses = Pauses::default();
        (0..REMEMBERED as u64 + 5).for_each(|ms| pauses.push(ms));
        assert_eq!(pauses.all.len(), REMEMBERED);
        assert_eq!(pauses.percentile(100), REMEMBERED as u64 + 4);
        assert_eq!(pauses.all.iter().min(), Some(&5));
    }
}
