//! What the task of moves is told, and what it knows of each. Decides nothing.

use super::sending::Stream;
use crate::store::transfer::{Changed, Sender, Snapshot};
use crate::{Engine, dispatch::moving::Frozen, ownership::Ownership};
use shared::http::{Client, ClientError};
use shared::protocol::handoff::destination::{self, Destination, Imported, Refusal};
use shared::protocol::handoff::source::{self, Source};
use shared::settings::Secret;
use shared::wire::handoff::{Move, MoveState, Reported};
use shared::{MoveId, PodId};
use std::time::Duration;
use tokio::{sync::oneshot, task::AbortHandle, time::Instant};

/// How much of a move has been taken in: rows and bytes.
pub(super) type Progress = (MoveId, u64, u64);

/// Bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Targets that are copied at once.
    pub(crate) copying: usize,
    /// Targets that are frozen at once.
    pub(crate) frozen: usize,
    /// Parcels that are taken in at once.
    pub(crate) taking: usize,
    /// Targets of at most so many bytes are not copied before the freeze.
    pub(crate) small: usize,
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
    /// Bounds.
    pub(crate) limits: Limits,
}

/// What the task is told.
#[derive(Debug)]
pub(super) enum Event {
    Told {
        moves: Vec<Move>,
        whole: bool,
        done: oneshot::Sender<()>,
    },
    /// Answered with nothing when the move is not known.
    Offered {
        id: MoveId,
        attempt: u64,
        reply: oneshot::Sender<Option<Result<(), Refusal>>>,
    },
    Whole {
        id: MoveId,
        imported: Imported,
        frozen_ms: Option<u64>,
    },
    Source(MoveId, source::Input),
    Destination(MoveId, destination::Input),
    Copied {
        id: MoveId,
        task: u64,
        input: Option<source::Input>,
        stream: Option<Stream>,
    },
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
    Reported(Result<Reported, ClientError>),
}

/// The source's side of a move.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) of: Move,
    pub(super) machine: Source,
    /// The copy that is up to date but for changes.
    pub(super) stream: Option<Stream>,
    /// What changed up to the freeze.
    pub(super) left: Option<(Sender, Snapshot, Changed)>,
    pub(super) frozen_at: Instant,
    pub(super) task: Option<(u64, AbortHandle)>,
    pub(super) copies: bool,
    pub(super) has_place: bool,
}

/// The destination's side of a move.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) of: Move,
    pub(super) machine: Destination,
    /// When everything was here, and for how long the target had been frozen then.
    pub(super) whole: Option<(Instant, Duration)>,
}

impl Going {
    pub(super) fn new(of: Move, machine: Source, has_place: bool) -> Self {
        let frozen_at = Instant::now();
        Self { of, machine, stream: None, left: None, frozen_at, task: None, copies: false, has_place }
    }

    pub(super) fn is_at(&self, task: u64) -> bool {
        self.task.as_ref().is_some_and(|(at, _)| *at == task)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.task {
            task.abort();
        }
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
    }
}
