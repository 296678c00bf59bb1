//! What operators may do with a target's data, as the engine offers it: look at what is dead and decide about it, list the
//! journal, erase, export. Decides nothing about who may; the writer writes, readers read beside it.

use super::{Engine, EngineError};
use crate::{
    dispatch::{
        Command,
        decisions::{Decision, Undecided},
        erasure::{EraseError, Erasure},
    },
    ownership::Guard,
    store::{
        drill::{Sums, sums},
        export::{self, Cut, ExportError},
    },
};
use bytes::Bytes;
use shared::{
    Epoch, PodId, TargetId,
    wire::data::{DeadLetter, Decided, ExportHead, JournalEvent, LetterKind, OnBehalf, Place, Verb},
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Parts of an export that may wait for whoever reads it.
const PARTS: usize = 4;

/// What a page of dead letters is to hold.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Only this kind.
    pub(crate) kind: Option<LetterKind>,
    /// Only this target's.
    pub(crate) target: Option<TargetId>,
    /// Behind this place.
    pub(crate) after: Option<Place>,
    /// At most so many.
    pub(crate) most: usize,
}

/// Why a decision or an erasure was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone<E> {
    /// The writer said why.
    #[error(transparent)]
    Refused(E),
    /// It was not committed, or nobody knows: the lease ended, the disk failed, the pod stops.
    #[error("the pod could not commit it")]
    Unknown,
}

/// Where exports come from, and how much of them there may be.
#[derive(Debug)]
pub(super) struct Exports {
    pub(super) folder: PathBuf,
    pub(super) slots: Arc<Semaphore>,
    pub(super) stall: Duration,
    pub(super) timeout: Duration,
}

/// An export on its way. It is whole only when [`Export::next`] has ended without an error.
#[derive(Debug)]
pub(crate) struct Export {
    parts: mpsc::Receiver<Bytes>,
    whole: Arc<AtomicBool>,
}

impl Export {
    /// Returns the next part; an error when what came so far is all and not the whole.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        match self.parts.recv().await {
            Some(part) => Some(Ok(part)),
            None if self.whole.swap(true, Ordering::AcqRel) => None,
            None => Some(Err(std::io::Error::other("the export was cut"))),
        }
    }
}

impl Engine {
    /// Returns at most `most` events that were put aside as dead, ordered by target and place.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn dead_events(&self, most: usize) -> Result<Vec<DeadLetter>, EngineError> {
        self.all_of(LetterKind::Event, most).await
    }

    /// Returns at most `most` outgoing calls that were put aside as dead or uncertain, ordered by target and place.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn dead_calls(&self, most: usize) -> Result<Vec<DeadLetter>, EngineError> {
        self.all_of(LetterKind::Call, most).await
    }

    async fn all_of(&self, kind: LetterKind, most: usize) -> Result<Vec<DeadLetter>, EngineError> {
        Ok(self.dead_letters(Wanted { kind: Some(kind), target: None, after: None, most }).await?.0)
    }

    /// Returns a page of dead letters, events before calls, and where the next one begins.
    pub(crate) async fn dead_letters(&self, wanted: Wanted) -> Result<(Vec<DeadLetter>, Option<Place>), EngineError> {
        let pod = self.0.ownership.pod().clone();
        self.read(move |reader| {
            // One more than fits tells whether there is a next page.
            let most = wanted.most + 1;
            let begins = wanted.after.as_ref().map(|after| after.kind);
            let mut found: Vec<DeadLetter> = Vec::new();
            for kind in [LetterKind::Event, LetterKind::Call] {
                if wanted.kind.is_some_and(|only| only != kind) || begins.is_some_and(|begins| kind < begins) {
                    continue;
                }
                let after = wanted.after.as_ref().filter(|after| after.kind == kind);
                found.extend(reader.letters(&pod, kind, wanted.target.as_ref(), after, most - found.len())?);
            }
            let more = found.len() > wanted.most;
            found.truncate(wanted.most);
            let next = found.last().filter(|_| more).map(DeadLetter::place);
            Ok((found, next))
        })
        .await
    }

    /// Returns at most `most` events of a target's journal before the place `before`, newest first.
    pub(crate) async fn journal(
        &self,
        target: &TargetId,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<JournalEvent>, EngineError> {
        let target = target.clone();
        self.read(move |reader| reader.journal(&target, before, most)).await
    }

    /// Carries out what an operator decided about a dead letter.
    pub(crate) async fn decide(
        &self,
        guard: Guard,
        (kind, seq): (LetterKind, u64),
        verb: Verb,
        by: OnBehalf,
    ) -> Result<Decided, NotDone<Undecided>> {
        let (done, decided) = oneshot::channel();
        let decision = Box::new(Decision { kind, seq, verb, by, done });
        self.ask(Command::Decide { guard, decision }, decided).await
    }

    /// Erases everything of a target that this pod serves. It goes on when nobody waits for it any more.
    pub(crate) async fn erase(&self, target: &TargetId) -> Result<Erasure, NotDone<EraseError>> {
        let (done, erased) = oneshot::channel();
        self.ask(Command::Erase { target: target.clone(), done }, erased).await
    }

    async fn ask<T, E>(&self, command: Command, said: oneshot::Receiver<Result<T, E>>) -> Result<T, NotDone<E>> {
        self.0.commands.send(command).map_err(|_| NotDone::Unknown)?;
        said.await.map_err(|_| NotDone::Unknown)?.map_err(NotDone::Refused)
    }

    /// Adds up what a file holds, the pod's own database when none is named.
    ///
    /// # Errors
    /// When it cannot be read, or not within this time.
    pub(crate) async fn sums(&self, file: Option<PathBuf>, within: Duration) -> Result<Sums, EngineError> {
        let file = file.unwrap_or_else(|| self.0.exports.folder.join(crate::store::FILE));
        let map = Arc::clone(self.0.reader.map());
        let clock = Arc::clone(self.0.ownership.clock());
        let done = tokio::task::spawn_blocking(move || sums(&file, &map, &clock, within)).await;
        Ok(done.map_err(|_| EngineError::Stopped)??)
    }

    /// Begins an export of a target; `None` while too many are being written.
    pub(crate) fn export(&self, target: &TargetId, epoch: Epoch) -> Option<Export> {
        self.export_rows(target.as_str().to_owned(), target.clone(), epoch)
    }

    /// The same of the rows that go by `name` in the database.
    pub(super) fn export_rows(&self, name: String, target: TargetId, epoch: Epoch) -> Option<Export> {
        let exports = &self.0.exports;
        let slot = Arc::clone(&exports.slots).try_acquire_owned().ok()?;
        let (sender, parts) = mpsc::channel(PARTS);
        let whole = Arc::new(AtomicBool::new(false));
        let export = Export { parts, whole: Arc::clone(&whole) };
        let head = head(&target, epoch, self.0.ownership.pod(), self.0.ownership.clock().wall_ms());
        let folder = exports.folder.clone();
        let map = Arc::clone(self.0.reader.map());
        let (stall, deadline) = (exports.stall, tokio::time::Instant::now() + exports.timeout);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut sink = |part: Vec<u8>| {
                let until = deadline.min(tokio::time::Instant::now() + stall);
                let sent = runtime.block_on(tokio::time::timeout_at(until, sender.send(part.into())));
                if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Cut) }
            };
            let written = export::export(&folder, &map, &target, &name, head, &mut sink);
            // Whoever hears of its end may begin another.
            drop(slot);
            match written {
                Ok(()) => whole.store(true, Ordering::Release),
                Err(why @ ExportError::Cut) => tracing::info!(%target, reason = %why, "an export was cut"),
                Err(why) => tracing::error!(%target, error = %why, "an export failed"),
            }
        });
        Some(export)
    }
}

fn head(
    target: &TargetId,
    epoch: Epoch,
    pod: &PodId,
    at_ms: u64,
) -> impl FnOnce(Vec<String>) -> ExportHead + Send + use<> {
    let (target, pod) = (target.clone(), pod.clone());
    move |tables| ExportHead {
        berth: ExportHead::WORD.to_owned(),
        version: ExportHead::VERSION,
        target,
        epoch,
        pod,
        at_ms,
        tables,
    }
}
