//! Rows that are aside, as the engine offers them: list, export, drop. Decides nothing about whether they may be dropped.

use super::{Engine, EngineError, data::Export};
use crate::{
    dispatch::{
        Command,
        aside::{AsideCommand, Dropped},
    },
    store::{AsideRow, LocalId, aside::measured},
};
use shared::wire::{data::OnBehalf, quarantine::Aside};
use std::sync::Arc;
use tokio::sync::oneshot;

impl Engine {
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
}
