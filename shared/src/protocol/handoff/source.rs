//! The source's side of one move (OWNERSHIP.md, Moves): when it copies, when it freezes, when it lets go, and what it tells
//! the leader. Decides nothing about rows and knows neither the destination nor the database. It unfreezes only on hearing
//! that the move was aborted, whatever time passes; a restart goes on from what the pod's database recorded.
//!
//! ```text
//! waiting ─turn─▸ copying ─copied─▸ ready ─turn─▸ freezing ─froze─▸ frozen ─committed─▸ released ─cleaned─▸ dropping ─▸ over
//!                    └──────────────┴── aborted ──▸ over               └── aborted ──▸ unfreezing ──▸ over
//! ```

use crate::backoff;
#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::handoff::{MoveState, Said};
use crate::{Epoch, Mono};
use std::time::Duration;

/// How long a freeze may last before the leader is told of it. A move that is quicker is one report cheaper: the
/// destination's `imported` carries the release.
const QUIET: Duration = Duration::from_millis(200);
/// The time between two reports that nothing has followed.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest wait between two questions how a move ended whose rows are kept here. Nobody waits for them, and where the
/// move is forgotten nobody ever answers.
const LONGEST: Duration = Duration::from_secs(60);
/// How often that wait has doubled when it is the longest.
const DOUBLED: u32 = 6;
/// The wait before a copy begins anew that came to nothing.
const RETRY: Duration = Duration::from_millis(200);

/// What is still to be sent once the target is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rest {
    /// Everything: nothing was copied before, or what was copied is lost.
    Whole,
    /// What changed since the copy.
    Changes,
}

/// What a pod that restarts finds in its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// The target is frozen.
    Frozen,
    /// It was given away; its rows are kept.
    Released,
    /// It was given away and its rows are being dropped.
    Dropping,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The move stands so, by the watch or the answer to a report.
    Told(MoveState),
    /// What was waited for has its turn.
    Turn,
    /// All but this has been taken by the destination.
    Copied(Rest),
    /// The destination has nothing of what was sent to it.
    Lost,
    /// The target cannot be moved.
    Failed(String),
    /// The target is frozen, on disk.
    Froze,
    /// The destination has taken the rest, and with it the release.
    Sent,
    /// The target is served again, or is another pod's matter.
    Unfrozen,
    /// Every row is gone.
    Dropped,
    /// Of all the moves that run, this is none: its end was missed.
    Missed,
    /// Time may have passed.
    Tick,
}

/// What to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Wait for a turn to copy: so many copies run at once. Answered by [`Input::Turn`].
    AwaitCopy,
    /// Copy, while the target is served, under this attempt. Attempts only grow.
    Copy {
        /// The attempt.
        attempt: u64,
    },
    /// Wait for a turn to freeze: so many targets of a pod are frozen at once. Answered by [`Input::Turn`].
    AwaitFreeze,
    /// Freeze the target and record it. Answered by [`Input::Froze`] or [`Input::Failed`].
    Freeze,
    /// Send the rest, with the release at its end. Answered by [`Input::Sent`] or [`Input::Lost`].
    SendRest {
        /// What.
        rest: Rest,
        /// The attempt.
        attempt: u64,
    },
    /// Tell the leader.
    Report(Said),
    /// Stop copying and sending.
    Stop,
    /// Serve the target again. Answered by [`Input::Unfrozen`].
    Unfreeze,
    /// Record that the target is another pod's now by this move: its rows are kept and never served.
    Release,
    /// Drop the rows, a little at a time. Answered by [`Input::Dropped`].
    Drop,
    /// Nothing is left to do: forget the move.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Waiting,
    Copying,
    Ready(Rest),
    Freezing(Rest),
    Frozen,
    Unfreezing,
    Failed(String),
    Released,
    Dropping,
    Over,
}

/// The source's side of one move.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    epoch: Epoch,
    attempt: u64,
    stage: Stage,
    /// When the leader is told, or the copy is tried, again.
    wake: Option<Mono>,
    /// How often the leader was asked since it was last heard, or since that was last missed.
    asked: u32,
}

impl Source {
    /// Begins the source's side of a move of a target that is owned here under `epoch`. Attempts are counted from `attempt`
    /// on: a pod that restarts gives a higher one than before. Returns what to do first.
    pub fn begin(epoch: Epoch, attempt: u64) -> (Self, Vec<Output>) {
        (Self { epoch, attempt, stage: Stage::Waiting, wake: None, asked: 0 }, vec![Output::AwaitCopy])
    }

    /// Goes on with a move after a restart, from what the database recorded.
    pub fn resume(now: Mono, epoch: Epoch, attempt: u64, kept: Kept) -> (Self, Vec<Output>) {
        let mut source = Self { epoch, attempt, stage: Stage::Released, wake: None, asked: 0 };
        let outputs = match kept {
            Kept::Frozen => source.frozen(now, Rest::Whole),
            Kept::Released => Vec::new(),
            Kept::Dropping => source.drop_rows(),
        };
        (source, outputs)
    }

    /// Returns whether the target may accept nothing because of this move.
    pub fn is_frozen(&self) -> bool {
        matches!(self.stage, Stage::Freezing(_) | Stage::Frozen | Stage::Unfreezing)
    }

    /// Returns whether only the leader's word may end it: the target is frozen, or was given away.
    fn is_bound(&self) -> bool {
        self.is_frozen() || matches!(self.stage, Stage::Released | Stage::Dropping)
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
            (_, Input::Missed) => self.missed(now),
            (Stage::Waiting, Input::Turn) => {
                self.become_stage(Stage::Copying, None);
                vec![Output::Copy { attempt: self.attempt }]
            }
            (Stage::Copying, Input::Copied(rest)) => {
                self.become_stage(Stage::Ready(rest), None);
                vec![Output::AwaitFreeze]
            }
            (Stage::Copying | Stage::Ready(_), Input::Lost) => {
                self.attempt += 1;
                self.become_stage(Stage::Waiting, Some(now.after(RETRY)));
                vec![Output::Stop]
            }
            (Stage::Waiting, Input::Tick) if self.is_due(now) => {
                self.wake = None;
                vec![Output::AwaitCopy]
            }
            (Stage::Ready(rest), Input::Turn) => {
                self.become_stage(Stage::Freezing(rest), None);
                #[cfg(feature = "plant")]
                if plant::on(Bug::SendsBeforeFrozen) {
                    return [vec![Output::Freeze], self.frozen(now, rest)].concat();
                }
                vec![Output::Freeze]
            }
            (Stage::Freezing(rest), Input::Froze) => self.frozen(now, rest),
            // What was copied is gone, and the freeze is under way: everything follows it.
            (Stage::Freezing(_), Input::Lost) => {
                self.attempt += 1;
                self.become_stage(Stage::Freezing(Rest::Whole), None);
                Vec::new()
            }
            (Stage::Frozen, Input::Lost) => {
                self.attempt += 1;
                vec![Output::SendRest { rest: Rest::Whole, attempt: self.attempt }]
            }
            (Stage::Waiting | Stage::Copying | Stage::Ready(_) | Stage::Freezing(_), Input::Failed(detail)) => {
                self.become_stage(Stage::Failed(detail.clone()), Some(now.after(AGAIN)));
                vec![Output::Stop, Output::Report(Said::Failed { detail })]
            }
            // Frozen it stays: only the leader's word lets it go.
            (Stage::Frozen, Input::Failed(detail)) => {
                self.wake = Some(now.after(AGAIN));
                vec![Output::Report(Said::Failed { detail })]
            }
            #[cfg(feature = "plant")]
            (Stage::Frozen, Input::Tick) if self.is_due(now) && plant::on(Bug::UnfreezesByItself) => {
                self.become_stage(Stage::Unfreezing, None);
                vec![Output::Stop, Output::Unfreeze]
            }
            (Stage::Frozen | Stage::Released, Input::Tick) if self.is_due(now) => self.ask(now),
            (Stage::Failed(detail), Input::Tick) if self.is_due(now) => {
                self.wake = Some(now.after(AGAIN));
                vec![Output::Report(Said::Failed { detail })]
            }
            (Stage::Unfreezing, Input::Unfrozen) | (Stage::Dropping, Input::Dropped) => self.over(),
            _ => Vec::new(),
        }
    }

    fn told(&mut self, state: MoveState) -> Vec<Output> {
        match (&self.stage, state) {
            (Stage::Freezing(_) | Stage::Frozen, MoveState::Aborted) => {
                self.become_stage(Stage::Unfreezing, None);
                vec![Output::Stop, Output::Unfreeze]
            }
            (Stage::Waiting | Stage::Copying | Stage::Ready(_) | Stage::Failed(_), state) if ends(state) => {
                // Committed without a release from here: there is nothing that this side may let go of.
                let mut outputs = vec![Output::Stop];
                outputs.extend(self.over());
                outputs
            }
            (Stage::Frozen, MoveState::Committed) => {
                self.become_stage(Stage::Released, None);
                vec![Output::Stop, Output::Release]
            }
            (Stage::Frozen, MoveState::Cleaned) => {
                let mut outputs = vec![Output::Stop, Output::Release];
                outputs.extend(self.drop_rows());
                outputs
            }
            (Stage::Released, MoveState::Cleaned) => self.drop_rows(),
            // Aborted after its commit: the target was given back, and the rows that were kept are its own again.
            (Stage::Released, MoveState::Aborted) => self.over(),
            (Stage::Released, MoveState::Committed) => {
                // It runs: its end will be told.
                self.wake = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// What is not bound ends as if it were aborted. Of the rest only the leader's word counts: it is asked for it, until it
    /// has answered.
    fn missed(&mut self, now: Mono) -> Vec<Output> {
        self.asked = 0;
        match self.stage {
            Stage::Frozen | Stage::Released => self.ask(now),
            _ if !self.is_bound() => self.told(MoveState::Aborted),
            // A freeze under way is told of once it is on disk; of the others the end is known.
            _ => Vec::new(),
        }
    }

    /// Tells the leader of the release; the answer says how the move stands. While the target is frozen its events wait for
    /// that, later nothing does: then it is asked for ever less often.
    fn ask(&mut self, now: Mono) -> Vec<Output> {
        let frozen = self.is_frozen();
        self.wake = Some(now.after(if frozen { AGAIN } else { backoff::nominal(AGAIN, LONGEST, self.asked) }));
        self.asked = (self.asked + 1).min(DOUBLED);
        vec![Output::Report(Said::Frozen { epoch: self.epoch })]
    }

    fn frozen(&mut self, now: Mono, rest: Rest) -> Vec<Output> {
        self.become_stage(Stage::Frozen, Some(now.after(QUIET)));
        vec![Output::SendRest { rest, attempt: self.attempt }]
    }

    fn drop_rows(&mut self) -> Vec<Output> {
        self.become_stage(Stage::Dropping, None);
        vec![Output::Drop]
    }

    fn over(&mut self) -> Vec<Output> {
        self.become_stage(Stage::Over, None);
        vec![Output::Over]
    }

    fn become_stage(&mut self, stage: Stage, wake: Option<Mono>) {
        (self.stage, self.wake, self.asked) = (stage, wake, 0);
    }

    fn is_due(&self, now: Mono) -> bool {
        self.wake.is_some_and(|at| at <= now)
    }
}

/// Returns whether a move in this state needs nothing more of a source that has not frozen.
const fn ends(state: MoveState) -> bool {
    matches!(state, MoveState::Committed | MoveState::Cleaned | MoveState::Aborted)
}

#[cfg(test)]
mod tests;
