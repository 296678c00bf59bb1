//! What moves need of the engine: steps that the writer takes, and connections to copy by. Decides nothing about moves.

use super::{Engine, EngineError};
use crate::{
    dispatch::{Command, moving::MoveCommand},
    store::{
        SqlLimits, StoreError,
        transfer::{Plan, ProvenanceRow, Scratch, Sender, Snapshot, Snapshots},
    },
};
use crate::{schema::Tables, store::Reader};
use shared::wire::{control::Life, provenance::RestoredFrom};
use shared::{Epoch, TargetId};
use std::{path::Path, sync::Arc};
use tokio::sync::oneshot;

/// What copies work with.
#[derive(Debug)]
pub(super) struct Transfers {
    pub(super) plan: Arc<Plan>,
    pub(super) snapshots: Snapshots,
    /// What a restored database is brought to, before it is copied from.
    pub(super) tables: Tables,
    pub(super) limits: SqlLimits,
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

    /// Opens a restored database, to copy from it. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or brought to this binary's schema.
    pub(crate) fn scratch(&self, folder: &Path) -> Result<Scratch, StoreError> {
        let (clock, transfers) = (Arc::clone(self.0.ownership.clock()), &self.0.transfers);
        Scratch::open(folder, clock, &transfers.tables, transfers.limits)
    }

    /// Returns where a target's rows come from that were restored from a replica.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn provenance(&self, target: &TargetId) -> Result<Vec<RestoredFrom>, EngineError> {
        let target = target.clone();
        let rows = self.read(move |reader: &Reader| reader.provenance(&target)).await?;
        let told = |ProvenanceRow { source, epoch, journal_seq, at_ms }| RestoredFrom {
            life: Life { pod: source.lineage.pod, incarnation: source.lineage.incarnation },
            generation: source.lineage.generation,
            epoch,
            commit_seq: source.commit_seq,
            txid: source.txid,
            journal_seq,
            at_ms,
        };
        Ok(rows.into_iter().map(told).collect())
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
