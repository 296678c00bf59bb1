//! What the writer does with rows that are aside: it writes down how far the end of their journal is, and takes them away a
//! chunk at a time between groups. That they are to go is in the database: a restart goes on. Decides nothing about whether
//! they may.

use super::writer::Writer;
use crate::store::{LocalId, Reconciled, StoreError};
use serde_json::json;
use shared::{Mono, TargetId, wire::data::OnBehalf};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::oneshot;

/// Rows deleted in one transaction.
const CHUNK: usize = 2_000;
/// The wait after the database did not let it go on.
const PAUSE: Duration = Duration::from_millis(500);

/// Rows that went, by table, and whose they were.
pub(crate) type Dropped = (TargetId, BTreeMap<String, u64>);

/// Who waits for the end of rows; `None` when nothing is aside under the number.
pub(crate) type DropDone = oneshot::Sender<Option<Dropped>>;

/// What the writer is asked to do. A dropped answer channel means: it was not committed.
#[derive(Debug)]
pub(crate) enum AsideCommand {
    /// Write down how far the end of a journal is.
    Note { local: LocalId, reconciled: Box<Reconciled>, done: oneshot::Sender<()> },
    /// Take rows away.
    Drop { copy: u64, by: Box<OnBehalf>, done: DropDone },
}

#[derive(Debug)]
struct Dropping {
    local: LocalId,
    /// Whose the rows are, and who waits; nobody after a restart.
    waits: Option<(TargetId, DropDone)>,
    rows: BTreeMap<String, u64>,
}

/// Rows that are on their way out.
#[derive(Debug, Default)]
pub(super) struct Asides {
    dropping: Vec<Dropping>,
    not_before: Mono,
}

impl Asides {
    /// Goes on with what a stop broke off.
    pub(super) fn resumed(locals: Vec<LocalId>) -> Self {
        let dropping = locals.into_iter().map(|local| Dropping { local, waits: None, rows: BTreeMap::new() });
        Self { dropping: dropping.collect(), not_before: Mono::ZERO }
    }

    /// Returns when there is something to do.
    pub(super) fn next_at(&self, now: Mono) -> Option<Mono> {
        (!self.dropping.is_empty()).then(|| self.not_before.max(now))
    }
}

impl Writer {
    /// Takes a command about rows that are aside in.
    pub(super) fn aside(&mut self, command: AsideCommand) {
        let done = match command {
            AsideCommand::Note { local, reconciled, done } => self.note(local, &reconciled).map(|()| {
                // Whoever asked may be gone.
                let _ = done.send(());
            }),
            AsideCommand::Drop { copy, by, done } => self.begin_to_drop(copy, &by, done),
        };
        if let Err(why) = done {
            self.store.rollback();
            self.is_writable(Some(why));
        }
    }

    fn note(&self, local: LocalId, reconciled: &Reconciled) -> Result<(), StoreError> {
        self.store.begin()?;
        self.store.note_reconciled(local, reconciled)?;
        self.store.commit()
    }

    fn begin_to_drop(&mut self, copy: u64, by: &OnBehalf, done: DropDone) -> Result<(), StoreError> {
        let note = json!({
            "actor": by.actor, "reason": by.reason, "request_id": by.request_id, "at_ms": self.clock.wall_ms(),
        });
        self.store.begin()?;
        let found = self.store.drop_aside(copy, &note.to_string())?;
        self.store.commit()?;
        let Some((local, target)) = found else {
            // Whoever asked may be gone.
            let _ = done.send(None);
            return Ok(());
        };
        tracing::info!(%target, copy, actor = by.actor, request_id = by.request_id, "rows that are aside are dropped");
        let waits = Some((target, done));
        match self.asides.dropping.iter_mut().find(|dropping| dropping.local == local) {
            // Who asked before is told by the list.
            Some(dropping) => dropping.waits = waits,
            None => self.asides.dropping.push(Dropping { local, waits, rows: BTreeMap::new() }),
        }
        Ok(())
    }

    /// Takes the next chunk of every copy that is dropped.
    pub(super) fn drop_on(&mut self) {
        let now = self.clock.now();
        if self.asides.dropping.is_empty() || self.asides.not_before > now {
            return;
        }
        for mut dropping in std::mem::take(&mut self.asides.dropping) {
            match self.drop_chunk(&mut dropping) {
                Ok(false) => self.asides.dropping.push(dropping),
                Ok(true) => {
                    self.count_aside();
                    if let Some((target, done)) = dropping.waits {
                        // Whoever asked may be gone.
                        let _ = done.send(Some((target, dropping.rows)));
                    }
                }
                Err(why) => {
                    self.store.rollback();
                    self.asides.not_before = now.after(PAUSE);
                    self.asides.dropping.push(dropping);
                    self.is_writable(Some(why));
                }
            }
        }
    }

    fn drop_chunk(&mut self, dropping: &mut Dropping) -> Result<bool, StoreError> {
        let mut rows = dropping.rows.clone();
        self.store.begin()?;
        let done = self.store.drop_some(dropping.local, CHUNK, &mut rows)?;
        self.store.commit()?;
        self.checkpoints.committed();
        dropping.rows = rows;
        Ok(done)
    }
}
