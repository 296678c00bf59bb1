//! When an upload is asked for, what its answer proves, and what follows when none comes. Pure: the caller brings the time
//! and carries out what is decided. Knows no socket, no store and no event.
//!
//! ```text
//! committed ─▸ asked, or old enough ─▸ its turn (pace) ─▸ Sync ─ ok ─▸ ReadSeal ─ none ─▸ Replicated(what was committed
//!                                          ▲               │              │                  before Sync was said)
//!                                          └── failed: wait a little ◂────┘ └ SEALED ─▸ Sealed: nothing is said any more
//! ```
//! The seal is read **after** the upload and never before (OWNERSHIP.md, Data 3): whoever takes the lineage over seals it
//! first and lists it then, so that either it finds what was uploaded, or this pod finds the seal.

use super::pace::Pace;
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::{Mono, wire::replication::Standing};
use std::{collections::VecDeque, time::Duration};

/// The wait after a first failure; it doubles. Whoever uploads is looked for that often, if it is not there: that costs nothing.
const AGAIN: Duration = Duration::from_millis(250);
/// The longest wait after a failure.
const AGAIN_MOST: Duration = Duration::from_secs(5);
/// Round trips that are remembered.
const ROUNDS: usize = 16;

/// What the core goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Uploads at once.
    pub(crate) burst: u32,
    /// Uploads per second on average.
    pub(crate) per_second: f64,
    /// How old a commit may get that nobody waits for before its upload is asked for: what is not asked is not known.
    pub(crate) unasked: Duration,
    /// How long failures are borne before sources that wait for the replica are refused.
    pub(crate) patience: Duration,
    /// Whether all sources are served as `local` then, instead.
    pub(crate) degrade: bool,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The database holds this commit; everything up to `asked` is waited for.
    Committed {
        /// The last commit.
        seq: u64,
        /// The last one that somebody waits for.
        asked: u64,
    },
    /// What an upload came to.
    Synced(Result<(), String>),
    /// Whoever uploads is not there, and nothing was uploaded.
    Absent(String),
    /// Whether the lineage is sealed.
    Seal(Result<bool, String>),
    /// Everything that is committed is to be uploaded now, whoever waits for it and whatever that costs.
    Flush,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Upload all that is committed now.
    Sync,
    /// Read whether the lineage is sealed.
    ReadSeal,
    /// Everything up to this commit is uploaded, and the lineage was not sealed after that.
    Replicated(u64),
    /// The replica stands otherwise than before.
    Stands(Standing),
}

/// An upload that is under way.
#[derive(Debug)]
struct Flight {
    /// What was committed when it began.
    upto: u64,
    began: Mono,
    /// It is uploaded, and the seal is being read.
    uploaded: bool,
    /// When the oldest commit that it covers was made.
    oldest: Option<Mono>,
}

/// The core.
#[derive(Debug)]
pub(crate) struct Core {
    rules: Rules,
    pace: Pace,
    begun: Mono,
    committed: u64,
    asked: u64,
    replicated: u64,
    flush: bool,
    flight: Option<Flight>,
    /// When the oldest commit was made that no upload covers.
    uncovered: Option<Mono>,
    /// Since when no upload succeeds, how often one has failed, and when the next one may begin.
    trouble: Option<Mono>,
    failed: u32,
    again_at: Mono,
    /// Whether one has succeeded since the start.
    proven: bool,
    stands: Standing,
    rounds: VecDeque<Duration>,
}

impl Core {
    /// Begins with a database whose last commit is `committed`. What of it is uploaded is not known.
    pub(crate) fn new(now: Mono, rules: Rules, committed: u64) -> Self {
        Self {
            pace: Pace::new(now, rules.burst, rules.per_second),
            rules,
            begun: now,
            committed,
            asked: 0,
            replicated: 0,
            flush: false,
            flight: None,
            uncovered: Some(now),
            trouble: None,
            failed: 0,
            again_at: now,
            proven: false,
            stands: Standing::Starting,
            rounds: VecDeque::with_capacity(ROUNDS),
        }
    }

    /// Takes in what has happened.
    pub(crate) fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.stands == Standing::Sealed {
            return outputs;
        }
        match input {
            Input::Committed { seq, asked } => {
                if seq > self.committed {
                    self.committed = seq;
                    self.uncovered.get_or_insert(now);
                }
                self.asked = self.asked.max(asked);
                #[cfg(feature = "plant")]
                if plant::on(Bug::AcknowledgesBeforeUpload) {
                    outputs.push(Output::Replicated(seq));
                }
            }
            Input::Synced(Ok(())) => {
                if let Some(flight) = self.flight.as_mut().filter(|flight| !flight.uploaded) {
                    flight.uploaded = true;
                    outputs.push(Output::ReadSeal);
                }
            }
            #[cfg(feature = "plant")]
            Input::Seal(Ok(true)) if plant::on(Bug::SealNotChecked) => self.proved(now, &mut outputs),
            Input::Seal(Ok(true)) => {
                self.flight = None;
                self.stands = Standing::Sealed;
                return vec![Output::Stands(Standing::Sealed)];
            }
            Input::Seal(Ok(false)) => self.proved(now, &mut outputs),
            Input::Synced(Err(_)) | Input::Seal(Err(_)) => self.failed(now),
            Input::Absent(_) => {
                // No PUT was made, and how often others failed says nothing about the one that is waited for.
                self.pace.give_back();
                self.failed = 0;
                self.failed(now);
            }
            Input::Flush => self.flush = true,
            Input::Tick => {}
        }
        if self.flight.is_none() && self.due_at(now).is_some_and(|at| at <= now) {
            self.pace.take(now);
            self.flush = false;
            self.flight =
                Some(Flight { upto: self.committed, began: now, uploaded: false, oldest: self.uncovered.take() });
            outputs.push(Output::Sync);
        }
        let stands = self.standing(now);
        if stands != self.stands {
            self.stands = stands;
            outputs.push(Output::Stands(stands));
        }
        outputs
    }

    fn proved(&mut self, now: Mono, outputs: &mut Vec<Output>) {
        // A seal that was read before the upload proves nothing.
        let Some(flight) = self.flight.take_if(|flight| flight.uploaded) else { return };
        (self.proven, self.trouble, self.failed, self.again_at) = (true, None, 0, now);
        self.replicated = self.replicated.max(flight.upto);
        if self.rounds.len() == ROUNDS {
            self.rounds.pop_front();
        }
        self.rounds.push_back(now.since(flight.began));
        outputs.push(Output::Replicated(self.replicated));
    }

    fn failed(&mut self, now: Mono) {
        let Some(flight) = self.flight.take() else { return };
        self.trouble.get_or_insert(flight.began);
        self.uncovered = flight.oldest.or(self.uncovered);
        let wait = shared::backoff::nominal(AGAIN, AGAIN_MOST, self.failed);
        self.failed = self.failed.saturating_add(1);
        self.again_at = now.after(wait);
    }

    fn standing(&self, now: Mono) -> Standing {
        let since = self.trouble.or(self.flight.as_ref().map(|flight| flight.began));
        let given_up = since.is_some_and(|since| now.since(since) >= self.rules.patience);
        match (given_up, self.rules.degrade) {
            (true, true) => Standing::Degraded,
            (true, false) => Standing::Closed,
            (false, _) if !self.proven => Standing::Starting,
            (false, _) if self.trouble.is_some() => Standing::Behind,
            (false, _) => Standing::Replicating,
        }
    }

    /// Returns when the next upload is to begin; none while one is under way, or there is nothing to upload.
    fn due_at(&mut self, now: Mono) -> Option<Mono> {
        if self.flight.is_some() {
            return None;
        }
        if self.flush {
            return Some(now);
        }
        let wanted = if !self.proven {
            Some(self.begun)
        } else if self.asked > self.replicated {
            Some(now)
        } else if self.committed > self.replicated {
            Some(self.uncovered.unwrap_or(now).after(self.rules.unasked))
        } else {
            None
        };
        wanted.map(|at| at.max(self.again_at).max(self.pace.next_at(now)))
    }

    /// Returns when it has to be told that time has passed.
    pub(crate) fn wake_at(&mut self, now: Mono) -> Option<Mono> {
        if self.stands == Standing::Sealed {
            return None;
        }
        let since = self.trouble.or(self.flight.as_ref().map(|flight| flight.began));
        let out = matches!(self.stands, Standing::Closed | Standing::Degraded);
        let over = since.filter(|_| !out).map(|since| since.after(self.rules.patience));
        self.due_at(now).into_iter().chain(over).min()
    }

    /// Returns how the replica stands.
    pub(crate) const fn stands(&self) -> Standing {
        self.stands
    }

    /// Returns when the oldest commit was made that is not known to be uploaded.
    pub(crate) fn oldest(&self) -> Option<Mono> {
        self.flight.as_ref().and_then(|flight| flight.oldest).or(self.uncovered)
    }

    /// Returns what an acknowledgement takes that waits for the replica: the slowest of the last round trips, and the pause
    /// before its turn. None while that is not known, or none would come.
    pub(crate) fn takes(&self) -> Option<Duration> {
        let slowest = self.rounds.iter().max().filter(|_| self.stands == Standing::Replicating)?;
        Some(*slowest + self.pace.pause())
    }
}

#[cfg(test)]
mod tests;
