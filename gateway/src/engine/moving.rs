//! What moves need of the engine: steps that the writer takes, and connections to copy by. Decides nothing about moves.

use super::{Engine, EngineError};
use crate::{
    dispatch::{Command, moving::MoveCommand},
    store::{
        StoreError,
        transfer::{Plan, Sender, Snapshot, Snapshots},
    },
};
use shared::{Epoch, TargetId};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What copies work with.
#[derive(Debug)]
pub(super) struct Transfers {
    pub(super) plan: Arc<Plan>,
    pub(super) snapshots: Snapshots,
}

impl Engine {
    /// Has the writer take a step of a move, and returns what came of it.
    ///
    /// # Errors
    /// When the writer has ended, or did not do it.
    pub(crate) async fn step<T>(&self, step: impl FnOnce(oneshot::Sender<T>) -> MoveCommand) -> Result<T, EngineError> {
        let (done, finished) = oneshot::channel();
        self.tell(step(done))?;
        finished.await.map_err(|_| EngineError::Stopped)
    }

    /// Has the writer take a step of a move that nobody waits for.
    ///
    /// # Errors
    /// When the writer has ended.
    pub(crate) fn tell(&self, step: MoveCommand) -> Result<(), EngineError> {
        self.0.commands.send(Command::Move(step))
    }

    /// Begins an attempt to send a target's rows.
    pub(crate) fn sender(&self, target: &TargetId, epoch: Epoch, attempt: u64) -> Sender {
        Sender::new(Arc::clone(&self.0.transfers.plan), target.clone(), epoch, attempt)
    }

    /// Returns a connection to copy by.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.0.transfers.snapshots.take()
    }

    /// Takes it back.
    pub(crate) fn give_back(&self, snapshot: Snapshot) {
        self.0.transfers.snapshots.give_back(snapshot);
    }
}
