//! Two generations of shards beside each other: what the new ones remember until their turn has come, what the old ones brought
//! last, and where one goes on behind the other (docs/adr/0033). Pure.
//!
//! ```text
//!   old   … a b c d e │ closed                 its tail, by guild:  … a b c d e
//!   new     … b c d e f g h …                  what it remembers:       b c d e f g h
//!                     └─ from here on it is the new one's: f g h
//! ```

use super::connector::Dispatch;
use shared::{
    TargetId,
    event::{Event, EventKey},
    wire::discord::{Shard, ShardTail},
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How long a new shard remembers what came, as long as its turn is not near. What an old one brings before it closes came to the
/// new one at most so much earlier.
const RING: Duration = Duration::from_secs(5);

/// How long an old one remembers: more than that, and what the messages of a change take on their way.
const TAIL: Duration = Duration::from_secs(15);

/// So many events in a row that are alike are the same ones, although each by itself may have happened before.
const SURE: usize = 3;

/// Most events that an old one remembers.
const MOST: usize = 32_768;

/// What an event is known by in another session: what it is for, and a hash of what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    lane: String,
    hash: u64,
}

/// Returns the mark of an event; what is the shard's own stands under no name, since the shards have others.
pub(super) fn mark(own: &TargetId, event: &Event, dispatch: &Dispatch) -> Mark {
    let lane = if event.target == *own { String::new() } else { event.target.to_string() };
    let EventKey(bytes) = EventKey::new(&dispatch.name, &dispatch.data);
    let (half, _) = bytes.split_at(8);
    let hash = half.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte)) & !1;
    // Such a thing is known by its name and its id.
    let once = event.id.strip_prefix(dispatch.name.as_str()).is_some_and(|rest| rest.starts_with(':'));
    Mark { lane, hash: hash | u64::from(once) }
}

/// What an old shard brought lately.
#[derive(Debug, Default)]
pub(super) struct Tail {
    since: Option<Instant>,
    seen: VecDeque<(Instant, Mark)>,
}

impl Tail {
    /// Remembers from now on, without a gap.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.since, self.seen) = (Some(now), VecDeque::new());
    }

    /// Returns whether it remembers at all.
    pub(super) fn records(&self) -> bool {
        self.since.is_some()
    }

    /// Remembers nothing any more.
    pub(super) fn end(&mut self) {
        (self.since, self.seen) = (None, VecDeque::new());
    }

    /// Notes what came. With `all`, nothing is old enough to be forgotten.
    pub(super) fn push(&mut self, now: Instant, mark: Mark, all: bool) {
        if self.since.is_none() {
            return;
        }
        self.seen.push_back((now, mark));
        while self.seen.len() > MOST || !all && self.seen.front().is_some_and(|(at, _)| now - *at > TAIL) {
            self.seen.pop_front();
        }
    }

    /// Returns whether it remembers for as long as it has to.
    pub(super) fn covers(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now - since >= TAIL)
    }

    /// Returns it as it travels.
    pub(super) fn told(&self, shard: Shard) -> ShardTail {
        let mut events: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (_, mark) in &self.seen {
            events.entry(mark.lane.clone()).or_default().push(mark.hash);
        }
        ShardTail { shard: shard.to_string(), events }
    }
}

/// Something that a new shard remembers.
#[derive(Debug)]
pub(super) struct Remembered {
    at: Instant,
    /// Its number in the session.
    pub(super) seq: u64,
    /// What it is.
    pub(super) event: Event,
    mark: Mark,
}

/// What a new shard remembers.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Remembered>);

impl Ring {
    /// Notes what came.
    pub(super) fn push(&mut self, at: Instant, seq: u64, event: Event, mark: Mark) {
        self.0.push_back(Remembered { at, seq, event, mark });
    }

    /// Returns how many events are here.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what is old, and what is more than `most`; returns their numbers.
    pub(super) fn forget(&mut self, now: Instant, most: usize) -> Vec<u64> {
        let old = self.0.iter().take_while(|one| now - one.at > RING).count();
        let gone = old.max(self.0.len().saturating_sub(most));
        self.0.drain(..gone).map(|one| one.seq).collect()
    }

    /// Takes everything out: each with whether it is behind what the old shards brought.
    pub(super) fn take(&mut self, tails: &[ShardTail]) -> Vec<(Remembered, bool)> {
        let mut lanes: HashMap<&str, Vec<u64>> = HashMap::new();
        for one in &self.0 {
            lanes.entry(one.mark.lane.as_str()).or_default().push(one.mark.hash);
        }
        let mut passed: HashMap<String, usize> = HashMap::new();
        for (lane, came) in &lanes {
            // Of the old shards one has the lane; the shards' own lane several may have.
            let brought = tails.iter().filter_map(|tail| tail.events.get(*lane));
            passed.insert((*lane).to_owned(), brought.map(|brought| overlap(brought, came)).max().unwrap_or(0));
        }
        let split = |one: Remembered| {
            let left = passed.get_mut(&one.mark.lane).filter(|left| **left > 0);
            let is_new = left.is_none();
            left.into_iter().for_each(|left| *left -= 1);
            (one, is_new)
        };
        self.0.drain(..).map(split).collect()
    }
}

/// Returns how many of those that `came` first were `brought` before: up to where the last that was brought stands among them, with as
/// many as possible of those before it. What a session begins with may stand before that. One place that might be another by
/// chance is none: then something is brought again, and nothing is left out.
fn overlap(brought: &[u64], came: &[u64]) -> usize {
    let alike = |place: usize| {
        came[..place].iter().rev().zip(brought.iter().rev()).take_while(|(came, brought)| came == brought).count()
    };
    let sure = |place: usize, alike: usize| {
        alike > 0 && (alike == place || alike >= SURE || came[place - alike..place].iter().any(|hash| is_once(*hash)))
    };
    let places = (1..=came.len()).map(|place| (place, alike(place))).filter(|(place, alike)| sure(*place, *alike));
    // Of two that are as good the first one.
    places.rev().max_by_key(|(_, alike)| *alike).map_or(0, |(place, _)| place)
}

/// Returns whether a hash is of something that happens once, and has an id for ever.
const fn is_once(hash: u64) -> bool {
    hash & 1 == 1
}

#[cfg(test)]
mod tests;
