//! What an attempt's outcome means for the call: over, once more, never, or nobody knows. Pure.

use crate::store::{Claimed, Settled};
use shared::backoff::nominal;
use std::time::Duration;

/// The first wait between two attempts; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts, unless the receiver asks for more.
const MOST: Duration = Duration::from_secs(600);
/// The longest wait a receiver may ask for.
pub(super) const MOST_ASKED: Duration = Duration::from_secs(3_600);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// There was an answer.
    Answered {
        /// Its status.
        status: u16,
        /// When the receiver wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Certainly nothing was sent.
    NotSent(String),
    /// Something may have been sent.
    Unknown(String),
    /// The rules of this pod forbid it.
    Refused(String),
}

/// Returns what to do with a call after an attempt. `give_up` counts from when the call was written.
pub(crate) fn verdict(attempt: Attempt, claimed: &Claimed, now_ms: u64, give_up: Duration) -> Settled {
    let (reason, asked) = match attempt {
        Attempt::Answered { status: 200..=299, .. } => return Settled::Sent,
        Attempt::Answered { status: status @ (408 | 425 | 429 | 500..), retry_after } => {
            (format!("answered {status}"), retry_after)
        }
        Attempt::Answered { status: status @ 300..=399, .. } => {
            return Settled::Dead { reason: format!("answered {status}: redirects are not followed") };
        }
        Attempt::Answered { status, .. } => return Settled::Dead { reason: format!("answered {status}") },
        Attempt::Refused(reason) => return Settled::Dead { reason },
        Attempt::Unknown(reason) if !claimed.idempotent => return Settled::Uncertain { reason },
        Attempt::Unknown(reason) | Attempt::NotSent(reason) => (reason, None),
    };
    let age = Duration::from_millis(now_ms.saturating_sub(claimed.created_ms));
    if age >= give_up {
        return Settled::Dead { reason: format!("given up after {} s: {reason}", age.as_secs()) };
    }
    let own = nominal(FIRST, MOST, claimed.attempts.saturating_sub(1));
    let wait = asked.map_or(own, |asked| asked.min(MOST_ASKED).max(own.min(FIRST)));
    Settled::Again { next_ms: now_ms + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), reason }
}

#[cfg(test)]
mod tests;
