//! The order of events on their way to the owners. Several of a target are under way at once, each behind the one before: its
//! owner commits none before that one (docs/adr/0034). Decides nothing about what an event is or whether it arrives.

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use shared::{TargetId, event::Event};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// What an event comes behind: one of its target that is still under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind(Option<(String, Settled)>);

/// Whether an event is done with.
type Settled = Arc<AtomicBool>;

impl Behind {
    /// Says in the event what it comes behind, as long as that is not done with.
    pub(super) fn mark(&self, event: &mut Event) {
        let before = self.0.as_ref().filter(|(_, settled)| !settled.load(Ordering::Acquire));
        event.comes_behind(before.map(|(id, _)| id.as_str()));
    }
}

/// Takes an event to its owner, and goes on until that is done.
pub(super) type Deliver = dyn Fn(Event, Behind) -> BoxFuture<'static, Delivered> + Send + Sync;

/// How many may be under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// In all.
    pub(super) at_once: usize,
    /// Of one target.
    pub(super) in_a_row: usize,
}

/// The events of one target.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(Place, Event)>,
    under_way: usize,
    /// What the next one comes behind.
    last: Behind,
    /// Whether it stands in `turns`.
    in_turn: bool,
}

/// The events on their way.
pub(super) struct Lanes {
    lanes: HashMap<TargetId, Lane>,
    /// Targets of which another event may begin.
    turns: VecDeque<TargetId>,
    under_way: FuturesUnordered<BoxFuture<'static, (TargetId, Settled, Place, Delivered)>>,
    room: Room,
    events: usize,
    bytes: usize,
}

fn weight(event: &Event) -> usize {
    event.body.len() + event.id.len() + 512
}

impl Lanes {
    /// Makes lanes with room for so many under way.
    pub(super) fn new(room: Room) -> Self {
        let under_way = FuturesUnordered::new();
        Self { lanes: HashMap::new(), turns: VecDeque::new(), under_way, room, events: 0, bytes: 0 }
    }

    /// Takes an event in.
    pub(super) fn push(&mut self, place: Place, event: Event, deliver: &Deliver) {
        self.events += 1;
        self.bytes += weight(&event);
        let target = event.target.clone();
        self.lanes.entry(target.clone()).or_default().waiting.push_back((place, event));
        self.turn(target);
        self.start(deliver);
    }

    /// Lets a target have its turn, if another event of it may begin.
    fn turn(&mut self, target: TargetId) {
        let Some(lane) = self.lanes.get_mut(&target) else { return };
        let may = !lane.waiting.is_empty() && lane.under_way < self.room.in_a_row;
        if may && !std::mem::replace(&mut lane.in_turn, true) {
            self.turns.push_back(target);
        }
    }

    fn start(&mut self, deliver: &Deliver) {
        while self.under_way.len() < self.room.at_once
            && let Some(target) = self.turns.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&target) else { continue };
            lane.in_turn = false;
            let Some((place, event)) = lane.waiting.pop_front() else { continue };
            lane.under_way += 1;
            let settled = Settled::default();
            let behind = std::mem::replace(&mut lane.last, Behind(Some((event.id.clone(), Arc::clone(&settled)))));
            self.bytes -= weight(&event);
            let (of, delivering) = (target.clone(), deliver(event, behind));
            self.under_way.push(Box::pin(async move { (of, settled, place, delivering.await) }));
            self.turn(target);
        }
    }

    /// Waits for the next event that is done with; for ever while there is none. May be given up and asked again.
    pub(super) async fn next(&mut self, deliver: &Deliver) -> (Place, Delivered) {
        if self.under_way.is_empty() {
            std::future::pending::<()>().await;
        }
        let Some((target, settled, place, delivered)) = self.under_way.next().await else {
            std::future::pending().await
        };
        settled.store(true, Ordering::Release);
        self.events -= 1;
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.under_way -= 1;
            if lane.under_way == 0 && lane.waiting.is_empty() {
                self.lanes.remove(&target);
            } else {
                self.turn(target);
            }
        }
        self.start(deliver);
        (place, delivered)
    }

    /// Forgets what is not under way yet.
    pub(super) fn forget_waiting(&mut self) {
        self.events = self.under_way.len();
        self.bytes = 0;
        self.turns.clear();
        self.lanes.retain(|_, lane| {
            (lane.waiting, lane.in_turn) = (VecDeque::new(), false);
            lane.under_way > 0
        });
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
