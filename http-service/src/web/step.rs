//! What to do after each attempt to hand a web request to its owner. Pure.
//!
//! ```text
//! nothing has left the router      wait while the time lasts, then try whoever owns the target
//! the pod says it handed nothing   the same, but only what is the same twice as once
//! a byte may have been acted upon  once more, only what is the same twice as once; else the outcome is unknown
//! ```

use http::StatusCode;
use shared::{Problem, http::relay::Unanswered};
use std::time::Duration;

/// How long to wait before a pod is tried again that was not there, unless the table changes before.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came<'a> {
    /// The first whole table has not arrived.
    NotLoaded,
    /// Nobody owns the target.
    Unknown,
    /// The owner has no address.
    Homeless,
    /// The owner says that it is not the owner.
    NotOwner,
    /// The owner says that it may not act now.
    NotServing,
    /// There was no answer.
    Unanswered(&'a Unanswered),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait until the table says something else of the target, at most this long, and try again.
    Wait(Duration),
    /// Say so.
    Refuse(Problem),
}

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    repeated: bool,
    /// Whether an attempt was lost after it had left: nobody can say any more that nothing was done.
    lost: bool,
}

impl Attempts {
    /// Says what to do. `repeatable`: the request's method says that twice is the same as once, and nothing of its body was
    /// taken. `left`: how long it may still wait.
    pub(super) fn next(&mut self, came: Came<'_>, repeatable: bool, left: Duration) -> Step {
        let lost_now = matches!(came, Came::Unanswered(Unanswered::Lost(_) | Unanswered::Cut | Unanswered::Silent));
        match self.step(came, repeatable, left) {
            Step::Refuse(_) if self.lost && !lost_now => Step::Refuse(unknown()),
            step => {
                self.lost |= lost_now;
                step
            }
        }
    }

    fn step(&mut self, came: Came<'_>, repeatable: bool, left: Duration) -> Step {
        let over = left.is_zero();
        match came {
            Came::NotLoaded if !over => Step::Wait(left),
            Came::NotLoaded => refuse("starting", "this router has no routing table yet"),
            Came::Unknown => Step::Refuse(Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-target",
                "nobody owns this target: it has had no event yet, and web traffic does not give it a home",
            )),
            Came::Homeless | Came::Unanswered(Unanswered::Unreached(_)) if !over => Step::Wait(PAUSE.min(left)),
            Came::Homeless | Came::Unanswered(Unanswered::Unreached(_)) => {
                refuse("owner-away", "the pod that owns this target is away")
            }
            Came::NotServing if repeatable && !over => Step::Wait(PAUSE.min(left)),
            Came::NotServing => refuse("not-serving", "the pod that owns this target may not act now"),
            Came::NotOwner if repeatable && !self.repeated && !over => {
                self.repeated = true;
                Step::Wait(left)
            }
            Came::NotOwner => refuse("not-owner", "this target is changing its owner"),
            Came::Unanswered(Unanswered::Lost(_)) if repeatable && !self.repeated => {
                self.repeated = true;
                Step::Wait(PAUSE.min(left))
            }
            Came::Unanswered(Unanswered::Silent) => Step::Refuse(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "outcome-unknown",
                "nothing moved for too long; the request may have been acted upon",
            )),
            Came::Unanswered(Unanswered::Lost(_) | Unanswered::Cut) => Step::Refuse(unknown()),
        }
    }
}

fn unknown() -> Problem {
    let detail = "the pod was lost before it answered; the request may have been acted upon";
    Problem::new(StatusCode::BAD_GATEWAY, "outcome-unknown", detail)
}

fn refuse(code: &str, detail: &str) -> Step {
    Step::Refuse(Problem::unavailable(code, format!("{detail}; nothing was done")))
}

#[cfg(test)]
mod tests;
