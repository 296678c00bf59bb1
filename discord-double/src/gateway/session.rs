//! One session: its numbered events, and those that a client which comes back is given again. Knows no connections but
//! the number of its own.

use super::{WireId, payload};
use shared::clock::Mono;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shard: (u32, u32),
    pub(crate) intents: u64,
    /// Its connection, while it has one.
    pub(crate) wire: Option<WireId>,
    /// Since when it has none.
    left: Mono,
    seq: u64,
    kept: VecDeque<(u64, Arc<str>)>,
    /// The number of the newest event that was kept and is not any more.
    forgotten: u64,
}

/// Why a session cannot go on where its client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The client has seen what never was.
    Future,
    /// What the client misses is forgotten.
    Forgotten,
}

impl Session {
    pub(crate) fn new(shard: (u32, u32), intents: u64, wire: WireId) -> Self {
        Self { shard, intents, wire: Some(wire), left: Mono::ZERO, seq: 0, kept: VecDeque::new(), forgotten: 0 }
    }

    /// The number of the newest event.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Numbers an event that will be replayed to whoever misses it; at most `most` are kept.
    pub(crate) fn event(&mut self, name: &str, data: &str, most: usize) -> Arc<str> {
        let text = self.once(name, data);
        self.kept.push_back((self.seq, Arc::clone(&text)));
        while self.kept.len() > most {
            self.forgotten = self.kept.pop_front().map_or(self.forgotten, |(seq, _)| seq);
        }
        text
    }

    /// Numbers an event that only this connection gets: READY and RESUMED.
    pub(crate) fn once(&mut self, name: &str, data: &str) -> Arc<str> {
        self.seq += 1;
        payload::dispatch(name, self.seq, data)
    }

    /// Returns what a client misses that has all up to `seq`, in order.
    pub(crate) fn missed(&self, seq: u64) -> Result<Vec<Arc<str>>, Lost> {
        match seq {
            _ if seq > self.seq => Err(Lost::Future),
            _ if seq < self.forgotten => Err(Lost::Forgotten),
            _ => Ok(self.kept.iter().filter(|(kept, _)| *kept > seq).map(|(_, text)| Arc::clone(text)).collect()),
        }
    }

    /// Its connection has ended.
    pub(crate) fn leave(&mut self, now: Mono) {
        (self.wire, self.left) = (None, now);
    }

    /// Returns whether it was left so long ago that nobody may come back.
    pub(crate) fn is_over(&self, life: Duration, now: Mono) -> bool {
        self.wire.is_none() && now.since(self.left) >= life
    }
}
