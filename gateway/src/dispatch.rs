//! The way of an event from the door to its commit. One thread, the writer, owns the mailboxes and the database's writing
//! connection; everybody else sends it [`Command`]s.
//!
//! ```text
//! submit ─→ mailbox ─→ group: BEGIN │ event: guard · inbox · SAVEPOINT handler · journal │ … │ guards · COMMIT ─→ answers
//!              ↑  └─ failed: stays first, after a wait ─┘                                    └─→ outbox, timers
//!              └─ not done when its time to answer comes: written down as accepted, answered deferred
//! ```
//!
//! With a replica, what is acknowledged `replicated` waits behind COMMIT for the upload: [`gate`].

pub(crate) mod admission;
mod apply;
pub(crate) mod aside;
pub(crate) mod asking;
pub(crate) mod decisions;
pub(crate) mod erasure;
mod gate;
mod gated;
mod group;
pub(crate) mod jobs;
pub(crate) mod mailbox;
pub(crate) mod moving;
mod serving;
pub(crate) mod settings;
mod sweeper;
mod timers;
pub(crate) mod traced;
mod volatile;
pub(crate) mod writer;

use crate::{
    engine::EngineError,
    ownership::{Changes, Guard},
    replication::Acknowledge,
    store::{Claimed, Settled, StoreError},
};
use admission::Permit;
use shared::{
    Incarnation, Mono, Revision, TargetId,
    event::{Event, EventKey},
    wire::link::Outcome,
};
use std::sync::mpsc;
use tokio::sync::oneshot;
use traced::Traced;

/// An event at the door, with everything that could be worked out before the writer gets it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) guard: Guard,
    pub(crate) event: Event,
    pub(crate) key: EventKey,
    pub(crate) payload_hash: [u8; 16],
    /// The event that has to be committed before it.
    pub(crate) behind: Option<EventKey>,
    /// When it is accepted instead of waited for.
    pub(crate) defer_at: Mono,
    /// When the router gives up.
    pub(crate) answer_by: Mono,
    pub(crate) permit: Permit,
    /// Its trace.
    pub(crate) trace: Traced,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Up to where the pod knows its assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// The position in the log.
    pub(crate) revision: Revision,
    /// Of this cluster generation.
    pub(crate) generation: u32,
}

/// What the writer is asked to do. A dropped answer channel means: it was not committed.
#[derive(Debug)]
pub(crate) enum Command {
    /// Apply an event.
    Submit(Box<Submitted>),
    /// Follow a change of the pod's assignments; the answer names what cannot be served.
    Follow { changes: Changes, known: Option<Known>, done: oneshot::Sender<Result<Vec<TargetId>, StoreError>> },
    /// Begin another life of the database: what it owned is put aside.
    BeginAnew { done: oneshot::Sender<Result<Incarnation, StoreError>> },
    /// Mark a call as being made, and say what it is, once that counts.
    Claim { guard: Guard, seq: u64, mode: Acknowledge, done: oneshot::Sender<Option<Claimed>> },
    /// Write down what became of a call.
    Settle { guard: Guard, seq: u64, settled: Settled, done: oneshot::Sender<()> },
    /// Carry out what an operator decided about a dead letter.
    Decide { guard: Guard, decision: Box<decisions::Decision> },
    /// Write down what another pod has called for a target.
    Told { guard: Guard, told: Box<jobs::Told>, done: oneshot::Sender<()> },
    /// Write down a value of Berth's own beside what the handler keeps of a target.
    Keep { guard: Guard, key: &'static str, value: String, done: oneshot::Sender<()> },
    /// Take everything of a target away.
    Erase { target: TargetId, done: erasure::Done },
    /// An asynchronous handler has answered.
    Returned(Box<asking::Returned>),
    /// Something about rows that are aside.
    Aside(aside::AsideCommand),
    /// A step of a move.
    Move(moving::MoveCommand),
    /// Everything up to this commit is in the replica.
    Replicated(u64),
    /// Time may have passed: look at everything once, then say so.
    Wake { done: oneshot::Sender<()> },
    /// End as a crash would, with nothing finished and nobody answered.
    Abandon { done: oneshot::Sender<()> },
    /// Finish.
    Stop { done: oneshot::Sender<()> },
    /// Meddle with the database.
    #[cfg(test)]
    Meddle(fn(&crate::store::Store), oneshot::Sender<()>),
}

/// The writer's mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Commands(mpsc::Sender<Command>);

impl Commands {
    /// Makes a channel to a writer.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Asks the writer for something.
    pub(crate) fn send(&self, command: Command) -> Result<(), EngineError> {
        self.0.send(command).map_err(|_| EngineError::Stopped)
    }
}
