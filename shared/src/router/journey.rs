//! What to do next with one event: look, ask, forward, wait, answer or give up. Pure: what happened and how long the event
//! has been here go in, the next step comes out.
//!
//! ```text
//!            unknown            placed
//!   locate ───────────▶ place ───────────┐
//!     │  ▲                │ refused      ▼            committed
//!     │  └───── wait ◀────┴────────── forward ──────────────────▶ answer
//!     └─────────────────────────────────▲ │ not-owner (first): place again
//!   time over, no room: give up            └ not-owner (second), busy, not serving, link down: wait
//! ```
//! A pod that is not the owner may know who is, by a higher epoch than the table's: that one is gone to at once, in place of
//! asking config-service. While config-service is gone it is the only way.
//! **Never a success without `Committed`.** What was sent and not answered may have been committed: then the sentence for
//! the person who waits promises nothing, and the event goes on under its id until the time is over.

use crate::PodId;
use crate::event::Answer;
use crate::router::routes::{Located, PlaceFailed, Whereabouts};
use crate::wire::link::Outcome;
use std::time::Duration;

/// The first pause before an owner that is not serving is tried again; doubles up to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause while an owner is expected back any moment.
const PAUSE_MOST: Duration = Duration::from_millis(250);
/// The longest pause after a pod could not commit: its disk does not mend in milliseconds.
const PAUSE_DISK: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug)]
pub(super) enum Input {
    /// The table was looked at.
    Located(Whereabouts),
    /// config-service answered; this is what the table says now.
    Placed(Whereabouts),
    /// config-service did not give it a home.
    Unplaced(PlaceFailed),
    /// The pod is not the owner, and has said who is: this is what the table says now.
    Hinted(Located),
    /// The pod answered.
    Outcome(Outcome),
    /// The pod's link was or went down.
    Lost { sent: bool, pod: PodId },
    /// The request fits no frame of the link.
    TooLarge,
    /// The time was over while it waited.
    Expired { sent: bool },
    /// Too many wait already.
    NoRoom,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand it to the pod.
    Forward(Located),
    /// Ask config-service.
    Place,
    /// Park: until the table changes, `link` is up, or `most` has passed; then look again.
    Wait { most: Duration, link: Option<PodId> },
    /// Committed: pass the owner's answer on.
    Answer { answer: Answer, duplicate: bool },
    /// Tell the sender that nobody took it in time; `unsure` when somebody may have.
    GiveUp { verdict: &'static str, unsure: bool },
}

/// One event's way so far.
#[derive(Debug)]
pub(super) struct Journey {
    budget: Duration,
    /// Whether the route was refreshed since the last wait.
    refreshed: bool,
    /// Whether a pod's hint was followed: that is done once.
    hinted: bool,
    /// Whether a pod may have taken the event without saying so.
    unsure: bool,
    /// Waits since the start, for the pauses between them.
    waits: u32,
}

impl Journey {
    /// Begins. `budget` is the time from arrival until the sender must be told.
    pub(super) const fn new(budget: Duration) -> Self {
        Self { budget, refreshed: false, hinted: false, unsure: false, waits: 0 }
    }

    /// Returns the next step, `elapsed` after arrival.
    pub(super) fn next(&mut self, input: Input, elapsed: Duration) -> Step {
        let over = elapsed >= self.budget;
        let step = match input {
            Input::Outcome(Outcome::Committed { answer, duplicate }) => return Step::Answer { answer, duplicate },
            Input::NoRoom | Input::Unplaced(PlaceFailed::Full) => return self.give_up("no_room"),
            Input::TooLarge => return self.give_up("too_large_for_link"),
            Input::Expired { sent } => {
                self.unsure |= sent;
                return self.give_up("expired");
            }
            Input::Located(Whereabouts::At(to)) | Input::Placed(Whereabouts::At(to)) => Step::Forward(to),
            Input::Located(Whereabouts::Unknown) => Step::Place,
            Input::Located(Whereabouts::NotLoaded) | Input::Placed(_) | Input::Unplaced(_) => {
                self.wait(PAUSE_MOST, None)
            }
            Input::Lost { sent, pod } => {
                self.unsure |= sent;
                self.wait(PAUSE_MOST, Some(pod))
            }
            Input::Hinted(to) if !self.refreshed && !self.hinted => {
                (self.refreshed, self.hinted) = (true, true);
                Step::Forward(to)
            }
            Input::Hinted(_) | Input::Outcome(Outcome::NotOwner { .. }) if !self.refreshed => {
                self.refreshed = true;
                Step::Place
            }
            Input::Hinted(_) | Input::Outcome(Outcome::NotOwner { .. } | Outcome::NotServing { .. }) => {
                self.wait(PAUSE_MOST, None)
            }
            Input::Outcome(Outcome::Busy { retry_after_ms }) => {
                let asked = Duration::from_millis(retry_after_ms.into());
                self.waits += 1;
                Step::Wait { most: asked.clamp(Duration::from_millis(5), PAUSE_DISK), link: None }
            }
            Input::Outcome(Outcome::NotCommitted { .. }) => self.wait(PAUSE_DISK, None),
            Input::Outcome(Outcome::Late) => {
                self.unsure = true;
                self.wait(PAUSE_MOST, None)
            }
        };
        if over { self.give_up("expired") } else { step }
    }

    fn wait(&mut self, most: Duration, link: Option<PodId>) -> Step {
        let pause = crate::backoff::nominal(PAUSE, most, self.waits);
        self.waits += 1;
        self.refreshed = false;
        Step::Wait { most: pause, link }
    }

    const fn give_up(&self, verdict: &'static str) -> Step {
        Step::GiveUp { verdict, unsure: self.unsure }
    }
}

#[cfg(test)]
mod tests;
