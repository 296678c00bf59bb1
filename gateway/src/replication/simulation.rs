//! The door through which the simulation asks when an upload is wanted and what its answer proves. Exists only with the feature
//! `plant`; decides nothing itself.

use super::core::{Core, Input, Output, Rules};
use shared::{Mono, wire::replication::Standing};
use std::time::Duration;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Upload all that is committed now.
    Sync,
    /// Read whether the lineage is sealed.
    ReadSeal,
    /// Everything up to this commit may be said to be done.
    Replicated(u64),
    /// Somebody has taken the lineage over.
    Sealed,
}

/// The agent of a pod's replica, with the settings that it has by default.
#[derive(Debug)]
pub struct Agent(Core);

impl Agent {
    /// Begins with a database whose last commit is `committed`.
    pub fn new(now: Mono, committed: u64) -> Self {
        let rules = Rules {
            burst: 20,
            per_second: 2.0,
            unasked: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            degrade: false,
        };
        Self(Core::new(now, rules, committed))
    }

    fn hear(&mut self, now: Mono, input: Input) -> Vec<Wants> {
        let outputs = self.0.handle(now, input).into_iter();
        let wants = outputs.filter_map(|output| match output {
            Output::Sync => Some(Wants::Sync),
            Output::ReadSeal => Some(Wants::ReadSeal),
            Output::Replicated(seq) => Some(Wants::Replicated(seq)),
            Output::Stands(Standing::Sealed) => Some(Wants::Sealed),
            Output::Stands(_) => None,
        });
        wants.collect()
    }

    /// The database holds this commit, and somebody waits for those up to `asked`.
    pub fn committed(&mut self, now: Mono, seq: u64, asked: u64) -> Vec<Wants> {
        self.hear(now, Input::Committed { seq, asked })
    }

    /// An upload has succeeded, or not.
    pub fn synced(&mut self, now: Mono, ok: bool) -> Vec<Wants> {
        let done = if ok { Ok(()) } else { Err(String::new()) };
        self.hear(now, Input::Synced(done))
    }

    /// Whether the lineage is sealed, if the store has said it.
    pub fn seal(&mut self, now: Mono, sealed: Option<bool>) -> Vec<Wants> {
        self.hear(now, Input::Seal(sealed.ok_or_else(String::new)))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Mono) -> Vec<Wants> {
        self.hear(now, Input::Tick)
    }

    /// Returns when it has to be told that.
    pub fn wake_at(&mut self, now: Mono) -> Option<Mono> {
        self.0.wake_at(now)
    }

    /// Returns whether events that wait for the replica are refused.
    pub fn is_closed(&self) -> bool {
        self.0.stands() == Standing::Closed
    }
}
