//! How many requests may wait for an owner, and how many bytes they may hold. Over the bound a request is refused at
//! once: a queue that grows without end helps nobody.

use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Parking {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    parked: Gauge,
}

/// A place among those who wait; goes back when dropped.
#[derive(Debug)]
pub struct Slot {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    parked: Gauge,
}

impl Parking {
    /// Makes room for `requests` requests and `bytes` bytes of bodies. `parked` shows how many wait.
    pub fn new(requests: usize, bytes: usize, parked: Gauge) -> Self {
        let semaphore = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { requests: semaphore(requests), bytes: semaphore(bytes), parked }
    }

    /// Takes a place for a request with `bytes` bytes of body, if there is one.
    pub fn take(&self, bytes: usize) -> Option<Slot> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        self.parked.inc();
        Some(Slot { _request: request, _bytes: bytes, parked: self.parked.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.parked.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_count_and_by_bytes_and_come_back() {
        let parked = Gauge::default();
        let parking = Parking::new(2, 100, parked.clone());
        let first = parking.take(60).expect("room");
        assert!(parking.take(41).is_none(), "over the bytes");
        let second = parking.take(40).expect("room");
        assert!(parking.take(0).is_none(), "over the count");
        assert_eq!(parked.get(), 2);
        drop((first, second));
        assert_eq!(parked.get(), 0);
        assert!(parking.take(100).is_some() && parking.take(101).is_none());
    }
}
