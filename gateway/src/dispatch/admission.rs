//! How much may wait on this pod. Counted at the door, before the writer is troubled; given back when the event is done.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bounds, and how far they are used.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    most_events: usize,
    most_bytes: usize,
    events: AtomicUsize,
    bytes: AtomicUsize,
}

/// The place of one event. It is given back by being dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    bounds: Arc<Bounds>,
    bytes: usize,
}

impl Admission {
    /// Makes bounds with nothing in them.
    pub(crate) fn new(most_events: usize, most_bytes: usize) -> Self {
        Self(Arc::new(Bounds { most_events, most_bytes, events: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }))
    }

    /// Gives a place for an event of `bytes`, unless that would pass a bound.
    pub(crate) fn admit(&self, bytes: usize) -> Option<Permit> {
        let bounds = &self.0;
        let permit = Permit { bounds: Arc::clone(bounds), bytes };
        let events = bounds.events.fetch_add(1, Ordering::Relaxed) + 1;
        let total = bounds.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Too much gives itself back.
        (events <= bounds.most_events && total <= bounds.most_bytes).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.bounds.events.fetch_sub(1, Ordering::Relaxed);
        self.bounds.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let admission = Admission::new(2, 100);
        let (first, second) = (admission.admit(60), admission.admit(40));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(0).is_none());
        drop(first);
        assert!(admission.admit(61).is_none());
        assert!(admission.admit(60).is_some());
    }
}
