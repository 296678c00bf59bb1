//! For how long moves have paused their targets. Pure.

/// How many pauses are remembered: the newest ones.
const REMEMBERED: usize = 10_000;

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

    /// Returns how many are remembered.
    pub(super) fn len(&self) -> usize {
        self.all.len()
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
    fn the_oldest_are_forgotten() {
        let mut pauses = Pauses::default();
        (0..REMEMBERED as u64 + 5).for_each(|ms| pauses.push(ms));
        assert_eq!(pauses.len(), REMEMBERED);
        assert_eq!(pauses.percentile(100), REMEMBERED as u64 + 4);
        assert_eq!(pauses.all.iter().min(), Some(&5));
    }
}
