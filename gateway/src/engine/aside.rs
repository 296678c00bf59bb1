//! Rows that are aside, as the engine offers them: list, export, drop, and write down how far the end of their journal is.
//! Decides nothing about whether they may be dropped.

use super::{Engine, EngineError, data::Export};
use crate::{
    dispatch::{
        Command,
        aside::{AsideCommand, Dropped},
        jobs::Told,
    },
    ownership::Guard,
    store::{AsideRow, LocalId, Reconciled, TailEvent, aside::measured},
};
use shared::wire::{data::OnBehalf, quarantine::Aside, quarantine::LateCall};
use shared::{Clock, PodId, TargetId};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

impl Engine {
    /// Writes a value of Berth's own down beside what the handler keeps of a target; it travels with the target. Returns
    /// whether it is committed: not while the target is being frozen, nor when the guard does not hold any more.
    ///
    /// # Errors
    /// When the writer has ended.
    pub(crate) async fn keep(&self, guard: Guard, key: &'static str, value: String) -> Result<bool, EngineError> {
        let (done, kept) = oneshot::channel();
        self.0.commands.send(Command::Keep { guard, key, value, done })?;
        Ok(kept.await.is_ok())
    }

    /// Returns such a value.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn kept_value(&self, target: &TargetId, key: &'static str) -> Result<Option<String>, EngineError> {
        let (target, now_ms) = (target.clone(), self.0.ownership.clock().wall_ms());
        self.read(move |reader| reader.kv_get(&target, key, now_ms)).await
    }

    /// Returns rows that are aside, by number, after `after`, at most `most`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn asides(&self, after: Option<LocalId>, most: usize) -> Result<Vec<AsideRow>, EngineError> {
        self.read(move |reader| reader.asides(after, most)).await
    }

    /// Returns the rows that are aside under a number.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn aside(&self, copy: u64) -> Result<Option<AsideRow>, EngineError> {
        self.read(move |reader| reader.aside(copy)).await
    }

    /// Counts the rows of copies, and what they hold.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn measured(&self, copies: Vec<AsideRow>) -> Result<Vec<Aside>, EngineError> {
        let folder = self.0.exports.folder.clone();
        let map = Arc::clone(self.0.reader.map());
        let done = tokio::task::spawn_blocking(move || measured(&folder, &map, copies)).await;
        Ok(done.map_err(|_| EngineError::Stopped)??)
    }

    /// Begins an export of rows that are aside; `None` while too many are being written.
    pub(crate) fn export_aside(&self, copy: &AsideRow) -> Option<Export> {
        self.export_rows(copy.name.clone(), copy.target.clone(), copy.epoch)
    }

    /// Takes rows that are aside away. It goes on when nobody waits for it any more. Returns `None` when nothing is aside
    /// under the number.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub(crate) async fn drop_aside(&self, copy: u64, by: OnBehalf) -> Result<Option<Dropped>, EngineError> {
        let (done, dropped) = oneshot::channel();
        self.0.commands.send(Command::Aside(AsideCommand::Drop { copy, by: Box::new(by), done }))?;
        dropped.await.map_err(|_| EngineError::Stopped)
    }

    /// Writes down how far the end of a copy's journal is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn note_reconciled(&self, local: LocalId, reconciled: Reconciled) -> Result<(), EngineError> {
        let (done, noted) = oneshot::channel();
        let note = AsideCommand::Note { local, reconciled: Box::new(reconciled), done };
        self.0.commands.send(Command::Aside(note))?;
        noted.await.map_err(|_| EngineError::Stopped)
    }
}

impl Engine {
    /// Returns the pod's clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.0.ownership.clock()
    }

    /// Writes down calls that another pod has made, or may have made, for a target of this pod.
    ///
    /// # Errors
    /// When it was not committed: the pod may not act for the target now, or its disk failed.
    pub(crate) async fn told(&self, guard: Guard, from: PodId, calls: Vec<LateCall>) -> Result<(), EngineError> {
        let (done, told) = oneshot::channel();
        self.0.commands.send(Command::Told { guard, told: Box::new(Told { from, calls }), done })?;
        told.await.map_err(|_| EngineError::Stopped)
    }

    /// Returns events at the end of a journal, behind `after`, at most `most` and about `bytes` of payload.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn tail(
        &self,
        local: LocalId,
        after: u64,
        bounds: (usize, usize),
    ) -> Result<Vec<TailEvent>, EngineError> {
        self.read(move |reader| reader.tail(local, after, bounds)).await
    }

    /// Returns calls behind `after` that were made, or may have been, and are not much older than the event at `had`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn called(
        &self,
        local: LocalId,
        (after, had): (u64, u64),
        margin: Duration,
        most: usize,
    ) -> Result<Vec<(u64, LateCall)>, EngineError> {
        let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX);
        self.read(move |reader| {
            let since = reader.committed_at(local, had)?.map_or(0, |at_ms| at_ms.saturating_sub(margin));
            reader.called(local, after, since, most)
        })
        .await
    }
}
