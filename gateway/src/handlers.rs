//! What a bot author writes: a [`Handler`], called with one event for one target that this pod owns, and what it may do
//! there ([`Target`]). Everything a call does is kept or lost as one with the event. Knows no lease and no queue.

mod acquired;
mod asynchronous;
mod bot;
mod command;
pub(crate) mod contract;
pub(crate) mod guild;
pub(crate) mod remote;
mod reply;
mod said;
#[cfg(test)]
pub(crate) mod sample;
mod session;
pub mod sql;
mod target;

pub use acquired::Acquired;
pub(crate) use acquired::kept;
pub(crate) use asynchronous::Turns;
pub use asynchronous::{AsyncHandler, BoxFuture, Call, Described, Local, Preloaded};
pub use bot::Bot;
pub(crate) use bot::Way;
pub use command::{Command, EventExt, Message};
pub use guild::{Guild, GuildStanding};
pub use reply::Reply;
pub(crate) use reply::bounded;
pub use said::Said;
pub use session::Session;
pub use shared::TargetId;
pub use shared::event::{Answer, Event, EventKind, OutboxCall};
pub(crate) use target::Effects;
pub use target::{Kv, Outbox, Target, Timers};

/// Why a handler did not do what the event asked for. Nothing it wrote is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// It may work later: the event is tried again in its place.
    #[error("{0}")]
    Retry(String),
    /// It never will: the event is recorded as failed, acknowledged, and not tried again.
    #[error("{0}")]
    Permanent(String),
    /// Berth does not do what the handler asked of it: a host that is not allowed, a statement that cannot work, a key that
    /// is too long. The event becomes dead and can be retried once the handler is mended: at once, or after all attempts
    /// when the handler is asynchronous and may answer otherwise.
    #[error("{0}")]
    Refused(String),
    /// It is not for this handler: the event counts as handled, and its platform's empty acknowledgement is the answer.
    #[error("not for this handler")]
    Ignore,
}

impl HandlerError {
    /// Returns the word by which traces know it: the text stays in the log and the journal.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Permanent(_) => "permanent",
            Self::Refused(_) => "refused",
            Self::Ignore => "ignored",
        }
    }
}

/// A timer that fell due. It fires once per due time, at or after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The id it was set under.
    pub id: String,
    /// When it was due, in milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// What was given along.
    pub payload: String,
}

/// A bot. Calls for one target come strictly one after another, in the order in which its events were accepted; each runs
/// inside a database transaction, must do no I/O of its own, and has 50 ms (a setting). A call may be repeated until its
/// transaction has been committed, so it keeps nothing outside [`Target`].
pub trait Handler: Send + Sync + 'static {
    /// Handles one event.
    ///
    /// # Errors
    /// [`HandlerError`]; nothing of the call is kept then.
    fn handle(&self, event: &Event, target: &mut Target<'_>) -> Result<Reply, HandlerError>;

    /// Handles a timer that was set with [`Target::timer`].
    ///
    /// # Errors
    /// [`HandlerError`]; nothing of the call is kept then.
    fn on_timer(&self, timer: &Timer, target: &mut Target<'_>) -> Result<(), HandlerError> {
        let _ = (timer, target);
        Ok(())
    }

    /// Told when the pod begins to serve a target, before its first event. [`Acquired::guild`] says what Discord's gateway
    /// told of a guild last.
    fn on_acquire(&self, acquired: &Acquired<'_>) {
        let _ = acquired;
    }

    /// Told when the pod has stopped serving a target.
    fn on_release(&self, target: &TargetId) {
        let _ = target;
    }

    /// Gives away what the handler keeps in memory for a target, as bytes of its own making, when the pod lets go of the
    /// target or stops in order. A pod that is killed asks nobody.
    fn export_volatile(&self, target: &TargetId) -> Option<Vec<u8>> {
        let _ = target;
        None
    }

    /// Takes back what [`Handler::export_volatile`] gave away, once, before the target's first event.
    fn import_volatile(&self, target: &TargetId, state: &[u8]) {
        let _ = (target, state);
    }
}
