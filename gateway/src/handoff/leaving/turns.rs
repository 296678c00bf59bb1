//! Whose turn it is among the moves that leave this pod: to be looked at, to be copied, to be frozen, to be sent. Pure. Small
//! targets of one destination are looked at and sent many at once; what few wait for is bounded by places, that are free again
//! when the target is served elsewhere, or here again.

use super::{super::state::Limits, together::Cargo};
use shared::{MoveId, PodId};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How long a frozen target waits for others that are being frozen, to travel with them.
const COMPANY: Duration = Duration::from_millis(5);

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// These go to one destination.
    Look(PodId, Vec<MoveId>),
    Copy(MoveId),
    Freeze(MoveId),
    /// These are sent together.
    Carry(PodId, Vec<Cargo>),
}

/// Those who wait, each once, in their order.
#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<MoveId>,
    members: HashSet<MoveId>,
}

impl Queue {
    fn push(&mut self, id: MoveId) {
        if self.members.insert(id) {
            self.order.push_back(id);
        }
    }

    fn pop(&mut self) -> Option<MoveId> {
        loop {
            let id = self.order.pop_front()?;
            if self.members.remove(&id) {
                return Some(id);
            }
        }
    }

    fn take(&mut self, most: usize) -> Vec<MoveId> {
        std::iter::from_fn(|| self.pop()).take(most).collect()
    }

    fn leave(&mut self, id: MoveId) {
        self.members.remove(&id);
    }
}

/// A queue with so many places in front of it.
#[derive(Debug)]
struct Places {
    queue: Queue,
    taken: HashSet<MoveId>,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { queue: Queue::default(), taken: HashSet::new(), most: most.max(1) }
    }

    fn next(&mut self) -> Option<MoveId> {
        if self.taken.len() >= self.most {
            return None;
        }
        let id = self.queue.pop()?;
        self.taken.insert(id);
        Some(id)
    }
}

/// One destination.
#[derive(Debug, Default)]
struct Lane {
    to_look: Queue,
    looking: bool,
    cargo: Vec<Cargo>,
    /// Since when the first of them waits.
    waits_since: Option<Instant>,
    carrying: bool,
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.to_look.members.is_empty() && !self.looking && self.cargo.is_empty() && !self.carrying
    }
}

/// Who waits, and who has a place.
#[derive(Debug)]
pub(super) struct Turns {
    lanes: BTreeMap<PodId, Lane>,
    copy: Places,
    freeze: Places,
    freeze_small: Places,
    /// Small ones whose freeze is under way.
    freezing: HashSet<MoveId>,
    together: usize,
}

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            lanes: BTreeMap::new(),
            copy: Places::new(limits.copying),
            freeze: Places::new(limits.frozen),
            freeze_small: Places::new(limits.together),
            freezing: HashSet::new(),
            together: limits.together.max(1),
        }
    }

    pub(super) fn await_look(&mut self, to: &PodId, id: MoveId) {
        self.lanes.entry(to.clone()).or_default().to_look.push(id);
    }

    pub(super) fn await_copy(&mut self, id: MoveId) {
        self.copy.queue.push(id);
    }

    pub(super) fn await_freeze(&mut self, id: MoveId) {
        self.freeze.queue.push(id);
    }

    pub(super) fn await_freeze_small(&mut self, id: MoveId) {
        self.freeze_small.queue.push(id);
    }

    pub(super) fn await_carry(&mut self, to: &PodId, cargo: Cargo, now: Instant) {
        let lane = self.lanes.entry(to.clone()).or_default();
        lane.waits_since.get_or_insert(now);
        lane.cargo.push(cargo);
    }

    /// A target was frozen before this process began.
    pub(super) fn froze_before(&mut self, id: MoveId) {
        self.freeze.taken.insert(id);
    }

    /// The answer to a freeze has come.
    pub(super) fn froze(&mut self, id: MoveId) {
        self.freezing.remove(&id);
    }

    /// A copy has come to its end.
    pub(super) fn copied(&mut self, id: MoveId) {
        self.copy.taken.remove(&id);
    }

    /// A target is not frozen here, or not any more.
    pub(super) fn thawed(&mut self, id: MoveId) {
        self.freeze.taken.remove(&id);
        self.freeze_small.taken.remove(&id);
        self.freezing.remove(&id);
    }

    /// Nothing of what a move was at or waited for goes on.
    pub(super) fn stopped(&mut self, id: MoveId) {
        self.copied(id);
        self.copy.queue.leave(id);
        self.freeze.queue.leave(id);
        self.freeze_small.queue.leave(id);
        self.lanes.values_mut().for_each(|lane| lane.to_look.leave(id));
    }

    /// A move is over.
    pub(super) fn over(&mut self, id: MoveId) {
        self.stopped(id);
        self.thawed(id);
    }

    /// A destination was asked.
    pub(super) fn looked(&mut self, to: &PodId) {
        if let Some(lane) = self.lanes.get_mut(to) {
            lane.looking = false;
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }

    /// A destination was sent to.
    pub(super) fn carried(&mut self, to: &PodId) {
        if let Some(lane) = self.lanes.get_mut(to) {
            lane.carrying = false;
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }

    /// Returns the next turn; none when everybody has to wait.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn> {
        for (to, lane) in &mut self.lanes {
            if !lane.looking && !lane.to_look.members.is_empty() {
                lane.looking = true;
                return Some(Turn::Look(to.clone(), lane.to_look.take(self.together)));
            }
        }
        if let Some(id) = self.copy.next() {
            return Some(Turn::Copy(id));
        }
        if let Some(id) = self.freeze.next() {
            return Some(Turn::Freeze(id));
        }
        if let Some(id) = self.freeze_small.next() {
            self.freezing.insert(id);
            return Some(Turn::Freeze(id));
        }
        let alone = self.freezing.is_empty();
        for (to, lane) in &mut self.lanes {
            let has_waited = lane.waits_since.is_some_and(|since| now.duration_since(since) >= COMPANY);
            if !lane.carrying && !lane.cargo.is_empty() && (alone || has_waited) {
                (lane.carrying, lane.waits_since) = (true, None);
                return Some(Turn::Carry(to.clone(), std::mem::take(&mut lane.cargo)));
            }
        }
        None
    }

    /// Returns how long until somebody has waited long enough for company; none when nobody waits for that.
    pub(super) fn carries_in(&self, now: Instant) -> Option<Duration> {
        let waiting = self.lanes.values().filter(|lane| !lane.carrying).filter_map(|lane| lane.waits_since);
        waiting.min().map(|since| (since + COMPANY).saturating_duration_since(now))
    }

    /// Returns how many have a place because they are frozen, or are being frozen.
    pub(super) fn frozen(&self) -> usize {
        self.freeze.taken.len() + self.freeze_small.taken.len()
    }

    /// Returns those who wait for a place, and for nothing else.
    pub(super) fn waiting(&self) -> BTreeSet<MoveId> {
        let queues = [&self.copy.queue, &self.freeze.queue, &self.freeze_small.queue];
        queues.into_iter().flat_map(|queue| queue.members.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests;
