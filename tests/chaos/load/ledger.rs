//! What was sent when and acknowledged when, per target, in order; and what follows from it: how long targets waited. Knows
//! no network.

use shared::Mono;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// An event that was acknowledged: sent first, acknowledged at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// When it was sent for the first time.
    pub(crate) sent: Mono,
    /// When it was acknowledged.
    pub(crate) acknowledged: Mono,
}

#[derive(Debug, Default)]
struct Row {
    promises: Vec<Promise>,
    pending: Option<Mono>,
}

/// The book of all targets.
#[derive(Debug)]
pub(crate) struct Ledger {
    rows: Vec<Mutex<Row>>,
    count: AtomicU64,
    failed: AtomicU64,
}

impl Ledger {
    /// Opens the book for so many targets.
    pub(crate) fn new(targets: usize) -> Self {
        Self {
            rows: (0..targets).map(|_| Mutex::default()).collect(),
            count: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn row(&self, i: usize) -> MutexGuard<'_, Row> {
        self.rows[i].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many targets there are.
    pub(crate) fn targets(&self) -> usize {
        self.rows.len()
    }

    /// The next event of a target is sent for the first time.
    pub(crate) fn sent(&self, i: usize, at: Mono) {
        self.row(i).pending = Some(at);
    }

    /// It is acknowledged.
    pub(crate) fn acknowledged(&self, i: usize, at: Mono) {
        let mut row = self.row(i);
        if let Some(sent) = row.pending.take() {
            row.promises.push(Promise { sent, acknowledged: at });
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events have been acknowledged.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A delivery was not answered with an acknowledgement.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many deliveries were not.
    pub(crate) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many events of a target have been acknowledged.
    pub(crate) fn promised(&self, i: usize) -> u64 {
        self.row(i).promises.len() as u64
    }

    /// When a target was first acknowledged something at or after `since`; nothing when it has not been yet.
    pub(crate) fn served_since(&self, i: usize, since: Mono) -> Option<Mono> {
        let row = self.row(i);
        // In order: look from the end.
        row.promises.iter().rev().map(|promise| promise.acknowledged).take_while(|at| *at >= since).last()
    }

    /// The longest that an event of these targets waited for its acknowledgement, of those that waited at some time from
    /// `from` to `until`. What waits still, waits at least until now.
    pub(crate) fn longest_wait(&self, targets: &[usize], from: Mono, until: Mono, now: Mono) -> Duration {
        let of = |i: &usize| {
            let row = self.row(*i);
            let answered = row.promises.iter().rev().take_while(|promise| promise.acknowledged >= from);
            let answered = answered.filter(|promise| promise.sent <= until);
            let waited = answered.map(|promise| promise.acknowledged.since(promise.sent));
            waited.chain(row.pending.filter(|sent| *sent <= until).map(|sent| now.since(sent))).max()
        };
        targets.iter().filter_map(of).max().unwrap_or_default()
    }

    /// The longest that an event waited of those that were sent and acknowledged from `from` to `until`: what it takes when
    /// nothing is wrong.
    pub(crate) fn longest_within(&self, from: Mono, until: Mono) -> Duration {
        let mut longest = Duration::ZERO;
        for i in 0..self.rows.len() {
            let row = self.row(i);
            let late = row.promises.iter().rev().take_while(|promise| promise.sent >= from);
            let within = late.filter(|promise| promise.acknowledged <= until);
            longest =
                within.map(|promise| promise.acknowledged.since(promise.sent)).max().unwrap_or_default().max(longest);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_longest_wait_counts_only_events_that_waited_in_the_window() {
        let ledger = Ledger::new(2);
        for (i, sent, acknowledged) in [(0, 0, 900), (0, 1_000, 1_300), (1, 1_100, 1_150), (0, 1_400, 1_500)] {
            ledger.sent(i, at(sent));
            ledger.acknowledged(i, at(acknowledged));
        }
        let wait = |targets: &[usize], from, until| ledger.longest_wait(targets, at(from), at(until), at(5_000));
        assert_eq!(wait(&[0, 1], 1_000, 1_350), Duration::from_millis(300));
        assert_eq!(wait(&[1], 1_000, 1_350), Duration::from_millis(50));
        assert_eq!(wait(&[0], 800, 850), Duration::from_millis(900), "it waited across the beginning");
        ledger.sent(1, at(4_000));
        assert_eq!(wait(&[1], 3_000, 4_500), Duration::from_secs(1), "it waits still");
        assert_eq!(wait(&[1], 3_000, 3_500), Duration::ZERO, "it was not sent yet");
        let within = |from, until| ledger.longest_within(at(from), at(until));
        assert_eq!(
            (within(1_000, 1_400), within(1_050, 1_400)),
            (Duration::from_millis(300), Duration::from_millis(50))
        );
        assert_eq!(ledger.served_since(0, at(950)), Some(at(1_300)));
        assert_eq!(ledger.served_since(1, at(1_200)), None);
    }
}
