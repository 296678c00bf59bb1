//! How far a session is: what came, and up to where all of it is committed. Pure. Events are committed in no order, since
//! each goes to the owner of its guild; a session is resumed only from where nothing before is open.

use std::collections::BTreeSet;

/// How far a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Which session, counted by whoever holds the connection: what belongs to one before says nothing here.
    session: u64,
    /// The number of the last event that came.
    received: u64,
    /// Events that came and are not committed.
    open: BTreeSet<u64>,
}

impl Progress {
    /// Begins a session, or goes on with one, at `seq`. What is still open belongs to the one before.
    pub(super) fn begin(&mut self, seq: u64) {
        *self = Self { session: self.session + 1, received: seq, open: BTreeSet::new() };
    }

    /// Returns which session it is.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// Notes what came and is done with.
    pub(super) fn passed(&mut self, seq: u64) {
        self.received = self.received.max(seq);
    }

    /// Notes an event that is to be committed. Returns whether it is new: what came before a connection broke comes again
    /// when it is resumed from further back.
    pub(super) fn came(&mut self, seq: u64) -> bool {
        let new = seq > self.received;
        if new {
            self.received = seq;
            self.open.insert(seq);
        }
        new
    }

    /// Notes that an event is committed.
    pub(super) fn committed(&mut self, session: u64, seq: u64) {
        if session == self.session {
            self.open.remove(&seq);
        }
    }

    /// Returns the number of the last event that came.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Returns up to where everything is committed.
    pub(super) fn safe(&self) -> u64 {
        self.open.first().map_or(self.received, |first| first - 1)
    }
}

#[cfg(test)]
mod tests;
