//! The order of events on their way to the owners: one after the other for each target, targets beside each other, so many at
//! once. Decides nothing about what an event is or whether it arrives.

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use shared::{TargetId, event::Event};
use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// Which event of which session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) session: u64,
    pub(super) seq: u64,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// Its owner has committed it.
    Committed,
    /// Its owner had it before.
    Duplicate,
    /// It fits no link: nobody can be given it.
    TooLarge,
}

/// Takes an event to its owner, and goes on until that is done.
pub(super) type Deliver = dyn Fn(Event) -> BoxFuture<'static, Delivered> + Send + Sync;

/// The events on their way.
pub(super) struct Lanes {
    /// What waits behind the one of its target that is under way; a target is here as long as one is.
    behind: HashMap<TargetId, VecDeque<(Place, Event)>>,
    /// What waits for one of the places.
    ready: VecDeque<(Place, Event)>,
    under_way: FuturesUnordered<BoxFuture<'static, (TargetId, Place, Delivered)>>,
    at_once: usize,
    events: usize,
    bytes: usize,
}

fn weight(event: &Event) -> usize {
    event.body.len() + event.id.len() + 512
}

impl Lanes {
    /// Makes room for `at_once` events under way.
    pub(super) fn new(at_once: usize) -> Self {
        let under_way = FuturesUnordered::new();
        Self { behind: HashMap::new(), ready: VecDeque::new(), under_way, at_once, events: 0, bytes: 0 }
    }

    /// Takes an event in.
    pub(super) fn push(&mut self, place: Place, event: Event, deliver: &Deliver) {
        self.events += 1;
        self.bytes += weight(&event);
        match self.behind.entry(event.target.clone()) {
            Entry::Occupied(mut lane) => lane.get_mut().push_back((place, event)),
            Entry::Vacant(lane) => {
                lane.insert(VecDeque::new());
                self.ready.push_back((place, event));
            }
        }
        self.start(deliver);
    }

    fn start(&mut self, deliver: &Deliver) {
        while self.under_way.len() < self.at_once
            && let Some((place, event)) = self.ready.pop_front()
        {
            self.bytes -= weight(&event);
            let (target, delivering) = (event.target.clone(), deliver(event));
            self.under_way.push(Box::pin(async move { (target, place, delivering.await) }));
        }
    }

    /// Waits for the next event that is done with; for ever while there is none. May be given up and asked again.
    pub(super) async fn next(&mut self, deliver: &Deliver) -> (Place, Delivered) {
        if self.under_way.is_empty() {
            std::future::pending::<()>().await;
        }
        let Some((target, place, delivered)) = self.under_way.next().await else { std::future::pending().await };
        self.events -= 1;
        match self.behind.get_mut(&target).map(VecDeque::pop_front) {
            Some(Some(next)) => self.ready.push_back(next),
            _ => drop(self.behind.remove(&target)),
        }
        self.start(deliver);
        (place, delivered)
    }

    /// Forgets what is not under way yet.
    pub(super) fn forget_waiting(&mut self) {
        let waiting = self.ready.len() + self.behind.values().map(VecDeque::len).sum::<usize>();
        self.ready.clear();
        self.behind.values_mut().for_each(VecDeque::clear);
        self.events -= waiting;
        self.bytes = 0;
    }

    /// Returns how many events are here.
    pub(super) fn len(&self) -> usize {
        self.events
    }

    /// Returns how many bytes those take that are not under way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
