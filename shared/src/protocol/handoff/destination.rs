//! The destination's side of one move (OWNERSHIP.md, Moves): whose rows it takes in, when it has them all, when they become
//! the target's own, when they are dropped. Decides nothing about rows and knows no database. It says `imported` only of
//! what is whole, verified and on disk, with the source's release in it; nothing of it is served before the leader has
//! committed.
//!
//! ```text
//! waiting ─offered─▸ coming ─whole─▸ whole ─committed─▸ switching ─switched─▸ serving ─cleaned─▸ over
//!              ▴        │ lost          └───────────┬── aborted, or closed by somebody ──▸ dropping ──▸ over
//!              └────────┘                spoiled ───┘
//! ```

use crate::wire::handoff::{MoveState, Said};
use crate::{Epoch, Mono};
use std::time::Duration;

/// The time between two reports that nothing has followed.
const AGAIN: Duration = Duration::from_millis(500);

/// What has been taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Imported {
    /// The epoch the source released the target at.
    pub epoch: Epoch,
    /// Rows that have travelled.
    pub rows: u64,
    /// Bytes that have travelled.
    pub bytes: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The move stands so, by the watch or the answer to a report.
    Told(MoveState),
    /// The source begins to send, under this attempt.
    Offered {
        /// The attempt.
        attempt: u64,
    },
    /// Everything is here, verified and on disk, up to the source's release.
    Whole(Imported),
    /// What came cannot be kept; why, in a sentence.
    Spoiled(String),
    /// What had come so far is gone: this pod has restarted.
    Lost,
    /// The rows are the target's own, and it is served.
    Switched {
        /// For how long the target accepted nothing.
        pause: Duration,
    },
    /// Every row is gone.
    Dropped,
    /// Time may have passed.
    Tick,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Take the rows of this attempt in; what an earlier one brought is dropped first. Said again when an offer is repeated.
    Import {
        /// The attempt.
        attempt: u64,
    },
    /// Refuse what is offered.
    Refuse(Refusal),
    /// Tell the leader.
    Report(Said),
    /// What came is the target's: it is switched when the target is taken up under its new epoch. Answered by
    /// [`Input::Switched`].
    Switch,
    /// Drop what came, a little at a time. Answered by [`Input::Dropped`].
    Drop,
    /// Nothing is left to do: forget the move.
    Over,
}

/// Why an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A later attempt has begun.
    Older,
    /// Everything is here already.
    Whole,
    /// The move is over, or was given up.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Waiting,
    Coming,
    Whole(Imported),
    Switching,
    Serving { pause_ms: u64 },
    Failed(String),
    Dropping,
    Over,
}

/// The destination's side of one move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    epoch: Epoch,
    attempt: u64,
    stage: Stage,
    /// When the leader is told again.
    wake: Option<Mono>,
}

impl Destination {
    /// Begins the destination's side of a move of a target that its source owns under `epoch`.
    pub const fn begin(epoch: Epoch) -> Self {
        Self { epoch, attempt: 0, stage: Stage::Waiting, wake: None }
    }

    /// Goes on with a move after a restart whose rows were all here: the leader is told once more.
    pub fn resume(now: Mono, imported: Imported) -> (Self, Vec<Output>) {
        let mut destination = Self::begin(imported.epoch);
        let outputs = destination.whole(now, imported);
        (destination, outputs)
    }

    /// Goes on with a move after a restart whose rows were the target's own already: the leader is told once more. The pause
    /// counts to when the target was served again, as far as anybody knows.
    pub fn resume_serving(now: Mono, epoch: Epoch, pause: Duration) -> (Self, Vec<Output>) {
        let mut destination = Self::begin(epoch);
        destination.become_stage(Stage::Switching, None);
        let outputs = destination.handle(now, Input::Switched { pause });
        (destination, outputs)
    }

    /// Returns whether only the leader's word may end it: it may have been told that everything is here.
    pub fn is_bound(&self) -> bool {
        !matches!(self.stage, Stage::Waiting | Stage::Coming | Stage::Failed(_))
    }

    /// Returns whether what came is not wanted, and is being dropped.
    pub fn is_dropping(&self) -> bool {
        self.stage == Stage::Dropping
    }

    /// Returns whether it is over.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Returns when [`Input::Tick`] is due.
    pub fn wake_at(&self) -> Option<Mono> {
        self.wake
    }

    /// Takes in what happened and returns what to do.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        match (self.stage.clone(), input) {
            (_, Input::Told(state)) => self.told(state),
            (Stage::Waiting, Input::Offered { attempt }) => self.offered(attempt),
            (Stage::Coming, Input::Offered { attempt }) if attempt >= self.attempt => self.offered(attempt),
            (Stage::Coming, Input::Offered { .. }) => vec![Output::Refuse(Refusal::Older)],
            (Stage::Whole(_) | Stage::Switching | Stage::Serving { .. }, Input::Offered { .. }) => {
                vec![Output::Refuse(Refusal::Whole)]
            }
            (Stage::Failed(_) | Stage::Dropping | Stage::Over, Input::Offered { .. }) => {
                vec![Output::Refuse(Refusal::Over)]
            }
            (Stage::Coming, Input::Whole(imported)) if imported.epoch == self.epoch => self.whole(now, imported),
            (Stage::Coming, Input::Whole(imported)) => {
                let detail =
                    format!("the source released epoch {}, the move is of epoch {}", imported.epoch, self.epoch);
                self.failed(now, detail)
            }
            (Stage::Waiting | Stage::Coming, Input::Spoiled(detail)) => self.failed(now, detail),
            (Stage::Coming, Input::Lost) => {
                self.become_stage(Stage::Waiting, None);
                Vec::new()
            }
            (Stage::Switching, Input::Switched { pause }) => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.become_stage(Stage::Serving { pause_ms }, Some(now.after(AGAIN)));
                vec![Output::Report(Said::Serving { pause_ms })]
            }
            (Stage::Whole(imported), Input::Tick) if self.is_due(now) => self.whole(now, imported),
            (Stage::Serving { pause_ms }, Input::Tick) if self.is_due(now) => {
                self.wake = Some(now.after(AGAIN));
                vec![Output::Report(Said::Serving { pause_ms })]
            }
            (Stage::Failed(detail), Input::Tick) if self.is_due(now) => self.failed(now, detail),
            (Stage::Dropping, Input::Dropped) => self.over(),
            _ => Vec::new(),
        }
    }

    fn offered(&mut self, attempt: u64) -> Vec<Output> {
        self.attempt = attempt;
        self.become_stage(Stage::Coming, None);
        vec![Output::Import { attempt }]
    }

    fn whole(&mut self, now: Mono, imported: Imported) -> Vec<Output> {
        self.become_stage(Stage::Whole(imported), Some(now.after(AGAIN)));
        let Imported { epoch, rows, bytes } = imported;
        vec![Output::Report(Said::Imported { epoch, rows, bytes })]
    }

    fn failed(&mut self, now: Mono, detail: String) -> Vec<Output> {
        self.become_stage(Stage::Failed(detail.clone()), Some(now.after(AGAIN)));
        vec![Output::Report(Said::Failed { detail })]
    }

    fn told(&mut self, state: MoveState) -> Vec<Output> {
        match (&self.stage, state) {
            (Stage::Whole(_), MoveState::Committed) => {
                self.become_stage(Stage::Switching, None);
                vec![Output::Switch]
            }
            // Aborted after its commit: this pod was dead, and the target went back to its source.
            (Stage::Serving { .. }, MoveState::Cleaned | MoveState::Aborted)
            | (Stage::Waiting, MoveState::Aborted | MoveState::Cleaned) => self.over(),
            // Cleaned before this pod has said that it serves: the move was closed, its target has begun anew elsewhere.
            (Stage::Coming | Stage::Whole(_) | Stage::Failed(_), MoveState::Aborted | MoveState::Cleaned)
            | (Stage::Switching, MoveState::Cleaned | MoveState::Aborted) => {
                self.become_stage(Stage::Dropping, None);
                vec![Output::Drop]
            }
            _ => Vec::new(),
        }
    }

    fn over(&mut self) -> Vec<Output> {
        self.become_stage(Stage::Over, None);
        vec![Output::Over]
    }

    fn become_stage(&mut self, stage: Stage, wake: Option<Mono>) {
        (self.stage, self.wake) = (stage, wake);
    }

    fn is_due(&self, now: Mono) -> bool {
        self.wake.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests;
