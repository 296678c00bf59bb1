//! What is going to happen, by true time. Two things of one instant happen in the order in which they were put here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// True time, in nanoseconds since the run began.
pub(crate) type Ns = u64;

/// A millisecond.
pub(crate) const MS: Ns = 1_000_000;
/// A second.
pub(crate) const SECOND: Ns = 1_000 * MS;

#[derive(Debug)]
struct Entry<T> {
    at: Ns,
    order: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The agenda.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    order: u64,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), order: 0 }
    }

    /// Puts something down for `at`.
    pub(crate) fn put(&mut self, at: Ns, what: T) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, what }));
    }

    /// Takes the next thing.
    pub(crate) fn next(&mut self) -> Option<(Ns, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }

    /// Returns how many things were ever put here.
    pub(crate) fn steps(&self) -> u64 {
        self.order
    }
}
