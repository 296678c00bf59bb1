//! When a dead child is started again. Pure: the supervisor says how long it lived, this says how long to wait.

use std::time::Duration;

/// A life this long counts as a success and wipes the slate.
const HEALTHY: Duration = Duration::from_secs(10);
/// The longest wait.
const MOST: Duration = Duration::from_secs(30);

/// A child's record of deaths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Restarts {
    in_a_row: u32,
    hopeless: u32,
}

/// What to do about a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Start it again after this wait.
    After(Duration),
    /// It cannot start here; say so and stop.
    GiveUp,
}

impl Restarts {
    /// Begins a record. While the cluster has never been ready, a child that fails `hopeless` times in a row will not get
    /// better by itself.
    pub(super) const fn new(hopeless: u32) -> Self {
        Self { in_a_row: 0, hopeless }
    }

    /// Takes note of a death after `lived`. `ever_ready` says whether the whole cluster was ready once: from then on
    /// nothing is given up, as under Kubernetes. `killed` says that a signal from elsewhere ended it, which is no sign
    /// that it cannot start.
    pub(super) fn died(&mut self, lived: Duration, ever_ready: bool, killed: bool) -> Next {
        if lived >= HEALTHY {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if !ever_ready && !killed && self.in_a_row >= self.hopeless {
            return Next::GiveUp;
        }
        match self.in_a_row {
            1 => Next::After(Duration::ZERO),
            n => Next::After(shared::backoff::nominal(Duration::from_secs(1), MOST, n - 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn a_dead_child_is_back_at_once_and_then_ever_more_slowly() {
        let mut restarts = Restarts::new(3);
        let waits: Vec<_> = (0..9)
            .map(|_| match restarts.died(SHORT, true, false) {
                Next::After(wait) => wait.as_secs(),
                Next::GiveUp => panic!("a running cluster gives nothing up"),
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn ten_seconds_of_life_wipe_the_slate() {
        let mut restarts = Restarts::new(3);
        for _ in 0..5 {
            restarts.died(SHORT, true, false);
        }
        assert_eq!(restarts.died(HEALTHY, true, false), Next::After(Duration::ZERO));
        assert_eq!(restarts.died(SHORT, true, false), Next::After(Duration::from_secs(1)));
    }

    #[test]
    fn what_cannot_start_is_given_up_before_the_cluster_was_ever_ready() {
        let mut restarts = Restarts::new(3);
        assert_ne!(restarts.died(SHORT, false, false), Next::GiveUp);
        assert_ne!(restarts.died(SHORT, false, true), Next::GiveUp);
        assert_ne!(restarts.died(SHORT, false, true), Next::GiveUp, "killed from outside");
        assert_eq!(restarts.died(SHORT, false, false), Next::GiveUp);
    }
}
