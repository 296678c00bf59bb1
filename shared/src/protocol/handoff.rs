//! A planned move of one target as the leader decides it (OWNERSHIP.md, Moves): what was said or happened goes in, what the
//! move becomes comes out. Knows neither the rows that travel nor the database: a decision is true once it is committed, and
//! then [`Handoff::become_at`] is called.
//!
//! ```text
//! copying ──frozen (source)──► frozen ──┐                             ┌──serving (destination)──┐
//!    │ └──────imported (destination)────┴──► imported ──► committed ──┴── closed by somebody ────┴──► cleaned
//!    └──failed, cancelled, buried, reassigned, too slow ──► aborted   (from every state before committed)
//!                                                             ▲ committed, and the destination lost with what it had: the
//!                                                               target is the source's again, with the rows it has kept
//! ```
//!
//! The source's own release stands behind every commit (Leases 8): a destination says that it has imported a target only
//! after it has read the end of the source's stream, and that end is written once the freeze is on the source's disk.

pub mod destination;
pub mod source;

#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::handoff::{Move, MoveState, Said};
use crate::{Epoch, Mono, MoveId, PodId};
use std::time::Duration;

/// How long a move may stay where it is before it is aborted. Both are settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patience {
    /// From the freeze to the commit: for so long the target accepts nothing.
    pub frozen: Duration,
    /// Without a word of progress from the source while it copies, or waits for its turn to copy.
    pub stalled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { frozen: Duration::from_secs(2), stalled: Duration::from_secs(60) }
    }
}

/// A move as its leader stands to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handoff {
    /// Which move.
    pub id: MoveId,
    /// The source.
    pub from: PodId,
    /// The destination.
    pub to: PodId,
    /// The epoch the source owns the target under.
    pub epoch: Epoch,
    /// How far it is, as committed.
    pub state: MoveState,
    /// When this leader first knew it in that state, or last heard of progress while it is copied.
    pub since: Mono,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A pod reported. That the report is of the pod's present incarnation was checked before.
    Said {
        /// Who.
        by: PodId,
        /// What.
        said: Said,
    },
    /// A pod was failed over, or another life took its name: what it had in memory or on disk is out of reach.
    Buried(PodId),
    /// The source does not own the target under the move's epoch any more.
    Reassigned,
    /// Somebody does not want the move any more.
    Cancel(String),
    /// The target has begun anew elsewhere after the commit, and somebody says that the source's rows are not needed.
    Closed(String),
    /// The target was given back to the source after the commit, with the rows that it has kept: the destination is dead and
    /// what it left does not have them. Only the leader's own assignment of the target says so.
    GivenBack,
    /// Time has passed, or a new leader has read the move from the database.
    Tick,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The move gets this state. In the transaction that makes it `committed`, the destination becomes the target's owner
    /// with the next epoch; `imported` need not be seen by anybody when `committed` follows it in the same answer.
    Become {
        /// The state.
        state: MoveState,
        /// Why, when it is aborted.
        detail: Option<String>,
    },
    /// The copy goes on: rows and bytes that have travelled.
    Progress {
        /// Rows.
        rows: u64,
        /// Bytes.
        bytes: u64,
    },
    /// The target accepted no event for so many milliseconds.
    Paused(u64),
}

impl Handoff {
    /// Makes it of a move as it was begun, or read from the database, at `now`.
    pub fn new(entry: &Move, now: Mono) -> Self {
        let Move { id, from, to, epoch, state, .. } = entry.clone();
        Self { id, from, to, epoch, state, since: now }
    }

    /// Says what follows from an event. Nothing does when the event says nothing new, comes from somebody whose word it is
    /// not, or is too late. Changes nothing: call [`Handoff::become_at`] when a decision is committed.
    pub fn step(&self, now: Mono, patience: &Patience, event: &Event) -> Vec<Decision> {
        match self.state {
            MoveState::Copying | MoveState::Frozen => self.before_import(now, patience, event),
            MoveState::Imported => self.imported(event),
            MoveState::Committed => self.committed(event),
            MoveState::Cleaned | MoveState::Aborted => Vec::new(),
        }
    }

    /// Notes a committed state.
    pub fn become_at(&mut self, now: Mono, state: MoveState) {
        (self.state, self.since) = (state, now);
    }

    /// Notes that the source has reported progress: its patience starts afresh while it copies, and only then.
    pub fn progressed(&mut self, now: Mono) {
        if self.state == MoveState::Copying {
            self.since = now;
        }
    }

    /// Returns when [`Event::Tick`] will have something to decide; none when time changes nothing.
    pub fn wake_at(&self, patience: &Patience) -> Option<Mono> {
        match self.state {
            MoveState::Copying => Some(self.since.after(patience.stalled)),
            MoveState::Frozen => Some(self.since.after(patience.frozen)),
            MoveState::Imported => Some(self.since),
            MoveState::Committed | MoveState::Cleaned | MoveState::Aborted => None,
        }
    }

    fn before_import(&self, now: Mono, patience: &Patience, event: &Event) -> Vec<Decision> {
        match event {
            Event::Said { by, said } => self.said(by, said),
            Event::Buried(_) | Event::Reassigned | Event::Cancel(_) => self.broken(event),
            Event::Closed(_) | Event::GivenBack => Vec::new(),
            Event::Tick if self.wake_at(patience).is_none_or(|at| now < at) => Vec::new(),
            #[cfg(feature = "plant")]
            Event::Tick if self.state == MoveState::Frozen && plant::on(Bug::CommitsByTimeout) => {
                vec![turn(MoveState::Committed)]
            }
            Event::Tick if self.state == MoveState::Frozen => abort(format!(
                "it was frozen for longer than {:?}; the source serves on, try again when the pods are less busy",
                patience.frozen
            )),
            Event::Tick => abort(format!("the source reported no progress for {:?}", patience.stalled)),
        }
    }

    fn said(&self, by: &PodId, said: &Said) -> Vec<Decision> {
        let (source, destination) = (*by == self.from, *by == self.to);
        match said {
            Said::Progress { rows, bytes } if source => vec![Decision::Progress { rows: *rows, bytes: *bytes }],
            #[cfg(feature = "plant")]
            Said::Frozen { .. } if source && plant::on(Bug::CommitsBeforeImport) => vec![turn(MoveState::Committed)],
            Said::Frozen { epoch } if source && *epoch == self.epoch && self.state == MoveState::Copying => {
                vec![turn(MoveState::Frozen)]
            }
            Said::Imported { epoch, rows, bytes } if destination && *epoch == self.epoch => vec![
                Decision::Progress { rows: *rows, bytes: *bytes },
                turn(MoveState::Imported),
                turn(MoveState::Committed),
            ],
            Said::Failed { detail } if source || destination => abort(format!("{by}: {detail}")),
            _ => Vec::new(),
        }
    }

    /// The destination has everything: what was recorded is carried on by whoever leads, unless a pod was lost since.
    fn imported(&self, event: &Event) -> Vec<Decision> {
        match event {
            Event::Buried(_) | Event::Reassigned | Event::Cancel(_) => self.broken(event),
            Event::Said { .. } | Event::Tick => vec![turn(MoveState::Committed)],
            Event::Closed(_) | Event::GivenBack => Vec::new(),
        }
    }

    /// The destination is the owner, and stays it: its own word that it serves ends the move, for until then the source's
    /// rows may be needed. Or somebody's word that nobody needs them any more. When they were needed, the move has failed.
    fn committed(&self, event: &Event) -> Vec<Decision> {
        match event {
            Event::Said { by, said: Said::Serving { pause_ms } } if *by == self.to => {
                vec![Decision::Paused(*pause_ms), turn(MoveState::Cleaned)]
            }
            Event::GivenBack => {
                abort(format!("{} was lost with what it had; the target is at its source again", self.to))
            }
            Event::Closed(why) => vec![Decision::Become { state: MoveState::Cleaned, detail: Some(why.clone()) }],
            _ => Vec::new(),
        }
    }

    fn broken(&self, event: &Event) -> Vec<Decision> {
        match event {
            Event::Buried(pod) if *pod == self.from => abort(format!("the source {pod} was lost")),
            Event::Buried(pod) if *pod == self.to => abort(format!("the destination {pod} was lost")),
            Event::Reassigned => abort("the source does not own the target any more".to_owned()),
            Event::Cancel(why) => abort(why.clone()),
            _ => Vec::new(),
        }
    }
}

fn turn(state: MoveState) -> Decision {
    Decision::Become { state, detail: None }
}

fn abort(detail: String) -> Vec<Decision> {
    vec![Decision::Become { state: MoveState::Aborted, detail: Some(detail) }]
}

#[cfg(test)]
mod tests;
