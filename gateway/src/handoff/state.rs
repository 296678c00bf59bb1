//! What the task of moves is told, what it works with, and its bounds. Decides nothing.

use super::{
    leaving::{Carried, Look},
    meters::HandoffMeters,
    peers::Peers,
    sending::Stream,
};
use crate::store::transfer::Sender;
use crate::{Engine, discord::Shards, dispatch::moving::Frozen, dispatch::moving::MoveCommand, ownership::Ownership};
use shared::http::{Client, ClientError};
use shared::protocol::handoff::destination::{self, Imported, Refusal};
use shared::protocol::handoff::source;
use shared::settings::Secret;
use shared::wire::handoff::{Move, MoveState, Reported};
use shared::{Mono, MoveId, PodId};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// How much of a move has been taken in: rows and bytes.
pub(super) type Progress = (MoveId, u64, u64);

/// Bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Targets that are copied at once.
    pub(crate) copying: usize,
    /// Targets that are frozen at once, of those that were copied before.
    pub(crate) frozen: usize,
    /// Parcels, or bundles of them, that are taken in at once.
    pub(crate) taking: usize,
    /// Targets of at most so many bytes are not copied before the freeze.
    pub(crate) small: usize,
    /// Small targets that are frozen, and travel, together.
    pub(crate) together: usize,
    /// How long a destination that does not answer is asked before the move is given up.
    pub(crate) reach: Duration,
}

/// What the task works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What the pod may act for.
    pub(crate) ownership: Ownership,
    /// Its rows.
    pub(crate) engine: Engine,
    /// config-service.
    pub(crate) client: Client,
    /// What pods show each other.
    pub(crate) token: Secret,
    /// Connections to Discord's gateway, which are let go of before their shards freeze.
    pub(crate) shards: Shards,
    /// Bounds.
    pub(crate) limits: Limits,
    /// What is counted.
    pub(crate) meters: HandoffMeters,
}

/// What the task is told.
#[derive(Debug)]
pub(super) enum Event {
    Told {
        moves: Vec<Move>,
        whole: bool,
        done: oneshot::Sender<()>,
    },
    /// Whether this pod is ready for these moves.
    Asked {
        ids: Vec<MoveId>,
        reply: oneshot::Sender<Vec<Readiness>>,
    },
    /// Attempts; each is answered with nothing when its move is not known.
    Offered {
        offers: Vec<(MoveId, u64)>,
        reply: oneshot::Sender<Vec<Offer>>,
    },
    /// Everything of these is here.
    Whole(Vec<Came>),
    /// The rows of a move that was switched before this process began are in the replica.
    Arrived(Box<Move>),
    Source(MoveId, source::Input),
    Destination(MoveId, destination::Input),
    Looked {
        to: PodId,
        looks: Vec<(MoveId, Look)>,
    },
    /// A destination may be asked, or sent to, again.
    Again(PodId),
    Copied {
        id: MoveId,
        task: u64,
        input: Option<source::Input>,
        stream: Option<Stream>,
    },
    /// The destination knows of what the target holds outside, or will not.
    Announced(MoveId),
    /// What the target holds outside is let go of.
    Held(MoveId),
    Froze {
        id: MoveId,
        sender: Option<Sender>,
        frozen: Result<Frozen, String>,
    },
    Sent {
        id: MoveId,
        task: u64,
        input: Option<source::Input>,
    },
    Carried {
        to: PodId,
        task: u64,
        carried: Vec<(MoveId, Carried)>,
    },
    Reported(Result<Reported, ClientError>),
}

/// A move of which everything is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    pub(super) id: MoveId,
    pub(super) imported: Imported,
    /// When its end arrived.
    pub(super) at: Instant,
    /// For how long the target had accepted nothing then.
    pub(super) frozen: Duration,
}

/// Whether a pod is ready for what a move brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It has not heard of the move.
    Unheard,
    /// What is left here of the target has to be dropped before.
    Busy,
    Ready,
}

/// What an offer comes to; nothing when its move is not known.
pub(super) type Offer = Option<Result<(), Refusal>>;

/// What both sides of moves work with. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Hands {
    pub(super) ownership: Ownership,
    pub(super) engine: Engine,
    pub(super) peers: Peers,
    pub(super) shards: Shards,
    pub(super) limits: Limits,
    pub(super) meters: HandoffMeters,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Hands {
    pub(super) fn now(&self) -> Mono {
        self.ownership.clock().now()
    }

    pub(super) fn me(&self) -> &PodId {
        self.ownership.pod()
    }

    /// A number for a stream that is higher than any this pod has given before.
    pub(super) fn attempt(&self) -> u64 {
        self.ownership.clock().wall_ms()
    }

    /// Has the writer take a step that nobody waits for. Steps are taken in the order they are told in.
    pub(super) fn tell(&self, step: MoveCommand) {
        if self.engine.tell(step).is_err() {
            tracing::debug!("a step of a move was not taken: the pod is stopping");
        }
    }

    /// Has the writer take a step, in its order too; once it is taken, `then` is said to the task.
    pub(super) fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(oneshot::Sender<T>) -> MoveCommand,
        then: impl FnOnce(T) -> Event + Send + 'static,
    ) {
        let (done, taken) = oneshot::channel();
        self.tell(step(done));
        let events = self.events.clone();
        shared::shutdown::spawn(async move {
            // No answer: it was taken back, or the pod is stopping.
            if let Ok(said) = taken.await {
                let _ = events.send(then(said));
            }
        });
    }

    /// Says something to the task a little later.
    pub(super) fn later(&self, wait: Duration, event: Event) {
        let events = self.events.clone();
        shared::shutdown::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = events.send(event);
        });
    }
}

/// A move as far as the database knows it: the rest is told with the assignments.
pub(super) fn unknown(id: MoveId, target: shared::TargetId, epoch: shared::Epoch, from: &PodId, to: &PodId) -> Move {
    Move {
        id,
        target,
        from: from.clone(),
        to: to.clone(),
        state: MoveState::Frozen,
        epoch,
        revision: shared::Revision(0),
        reason: String::new(),
        actor: String::new(),
        started_ms: 0,
        frozen_ms: None,
        ended_ms: None,
        pause_ms: None,
        rows: 0,
        bytes: 0,
        detail: None,
        plan: None,
    }
}
