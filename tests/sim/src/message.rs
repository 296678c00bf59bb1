//! What travels between the nodes: the wire messages of the services where there are some, short forms elsewhere.

use crate::depot::{StoreAnswer, StoreAsk};
use crate::network::Node;
use config_service::{
    domain::{Batch, Change, Snapshot},
    store::{Bid, Committed, StoreError},
};
use gateway::simulation::reconcile::Origin;
use shared::wire::control::{
    Assignment, Grant, Heartbeat, Holdings, LastLife, Register, Registered, Restored, RestoredTaken, Watch,
};
use shared::wire::handoff::{Move, Reported, Reports};
use shared::wire::link::Outcome;
use shared::wire::peers::{Extend, Extended, Fence, Fenced};
use shared::{Epoch, MoveId, PodId, Revision, Term};
use std::sync::Arc;

/// A question, or the answer to one.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A question, under the number its sender knows it by.
    Ask(u64, Ask),
    /// The answer.
    Answer(u64, Answer),
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// A pod to config-service.
    Register(Register),
    /// A pod to config-service, itself or through another.
    Heartbeat(PodId, Heartbeat),
    /// A pod to config-service.
    Holdings(PodId, Holdings),
    /// A pod to config-service.
    Reports(Reports),
    /// A router to config-service.
    Place(usize),
    /// Anybody to config-service: what has changed behind a revision, for a pod or for a router. Answered when there is
    /// something, or after a while.
    Watch(Option<Revision>, Option<PodId>),
    /// A pod to a pod.
    Extend(Extend),
    /// The leader to a pod.
    Fence(Fence),
    /// A pod to a pod: pass it on.
    Relay(PodId, Heartbeat),
    /// A source to its destination, under an attempt: a part of the rows.
    Rows(MoveId, u64, Rows),
    /// A router to a pod.
    Request(usize, Epoch, u64),
    /// A platform to a router.
    Webhook(usize, u64),
    /// A config-service to the database.
    Query(Query),
    /// A pod to the object store.
    Store(StoreAsk),
    /// A pod to config-service, before it begins: what is known of its last life.
    Life(PodId),
    /// A pod to config-service: what it has restored from another one's replica.
    Restored(PodId, Restored),
    /// A pod to a target's owner: which copies its rows have come through.
    Origins(usize),
    /// A pod to a target's owner: an event of its own journal's end.
    Late(usize, u64),
}

/// A part of a target's rows on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The target.
    pub(crate) target: usize,
    /// Which part of its attempt this is.
    pub(crate) number: u32,
    /// What was applied, in order, behind the part before.
    pub(crate) applied: Arc<Vec<u64>>,
    /// Which copies the rows have come through.
    pub(crate) origins: Vec<Origin>,
    /// What comes last.
    pub(crate) end: Option<End>,
}

/// The source's release, with what the rows before it come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The epoch it is released at.
    pub(crate) epoch: Epoch,
    /// How many rows there are.
    pub(crate) rows: usize,
    /// A checksum over them.
    pub(crate) sum: u64,
}

impl End {
    /// Makes the end of these rows.
    pub(crate) fn of(epoch: Epoch, applied: &[u64]) -> Self {
        let sum = applied.iter().fold(0, |sum: u64, event| sum.wrapping_mul(31).wrapping_add(*event));
        Self { epoch, rows: applied.len(), sum }
    }
}

/// A question to the database.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    /// Bid for the term.
    Lead(u8),
    /// Renew it.
    Renew(Term),
    /// Give it up.
    Resign(Term),
    /// Read everything.
    Load(Term),
    /// Write.
    Commit(Term, Box<Batch>),
    /// Read the log.
    Changes(Revision),
    /// Read moves.
    Moves(Vec<MoveId>),
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The service does not do that: it does not lead, or has ended.
    Elsewhere,
    /// No, with an HTTP status and a code.
    Refused(u16, &'static str),
    /// To [`Ask::Register`].
    Registered(Registered),
    /// To [`Ask::Heartbeat`] and [`Ask::Relay`].
    Granted(Grant),
    /// To [`Ask::Holdings`] and [`Ask::Rows`].
    Taken,
    /// To [`Ask::Reports`].
    Reported(Reported),
    /// To [`Ask::Place`].
    Placed(Box<Assignment>),
    /// To [`Ask::Watch`].
    Watched(Vec<Watch>),
    /// To [`Ask::Extend`].
    Extended(PodId, Extended),
    /// To [`Ask::Fence`].
    Fenced(Fenced),
    /// To [`Ask::Request`].
    Outcome(Outcome),
    /// To [`Ask::Webhook`]: an HTTP status.
    Status(u16),
    /// To [`Query::Lead`].
    Bid(Bid),
    /// To [`Query::Renew`] and [`Query::Resign`].
    Done,
    /// To [`Query::Load`].
    Loaded(Box<Snapshot>),
    /// To [`Query::Commit`].
    Committed(Box<Committed>),
    /// To [`Query::Changes`]; none when the log does not reach back so far.
    Changed(Option<Vec<Change>>),
    /// To [`Query::Moves`].
    Moves(Vec<Move>),
    /// To [`Ask::Store`].
    Store(StoreAnswer),
    /// To [`Ask::Life`].
    Life(LastLife),
    /// To [`Ask::Restored`].
    RestoredTaken(RestoredTaken),
    /// To [`Ask::Origins`].
    Origins(Vec<Origin>),
    /// What the store said instead.
    Failed(Arc<StoreError>),
}

/// A question that waits for its answer at whoever was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asker {
    /// Who asked.
    pub(crate) node: Node,
    /// Under which number.
    pub(crate) call: u64,
}
