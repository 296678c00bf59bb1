//! A database that was restored from a replica, to be copied from: nobody serves from it, and it goes away afterwards. It is
//! brought to the schema of this binary and this bot first, so that its rows fit here. Says what it holds of a target by the
//! rule of a pod's own report.

use super::{NotSent, Parcel, Sender, Snapshots};
use crate::schema::Tables;
use crate::store::{Reader, SqlLimits, Store, StoreError};
use rusqlite::OptionalExtension;
use shared::{Clock, Incarnation, TargetId, wire::control::Holding};
use std::{path::Path, sync::Arc};

/// A database to copy from. It belongs to one thread.
#[derive(Debug)]
pub(crate) struct Scratch {
    store: Store,
    reader: Reader,
    snapshots: Snapshots,
}

impl Scratch {
    /// Opens the database in `folder`.
    ///
    /// # Errors
    /// When it cannot be read, or brought to this binary's schema.
    pub(crate) fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        tables: &Tables,
        limits: SqlLimits,
    ) -> Result<Self, StoreError> {
        let store = Store::open(folder, clock, tables, limits)?;
        store.settle_restored()?;
        let reader = Reader::open(folder, &store)?;
        Ok(Self { store, reader, snapshots: Snapshots::new(folder.to_owned()) })
    }

    /// Returns the life of the database.
    pub(crate) fn incarnation(&self) -> Result<Incarnation, StoreError> {
        self.store.incarnation()
    }

    /// Returns how far it is.
    pub(crate) fn commit_seq(&self) -> Result<u64, StoreError> {
        Ok(self.store.conn.query_row("SELECT commit_seq FROM meta", [], |row| row.get(0))?)
    }

    /// Returns what it holds of a target, after a look at whether its journal is where its row says.
    pub(crate) fn held(&self, target: &TargetId) -> Result<Option<Holding>, StoreError> {
        let mut behind = self.store.conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM journal WHERE target_id = id AND seq > journal_seq) FROM target WHERE name = ?1",
        )?;
        if behind.query_row([target.as_str()], |row| row.get(0)).optional()?.unwrap_or(false) {
            return Err(StoreError::Broken("journal: it goes further than its target's row says"));
        }
        let row = self.reader.kept_of(target)?;
        Ok(row.map(|row| Holding { target: row.target, epoch: row.epoch, whole: row.whole }))
    }

    /// Hands on a target's rows in parcels, the end last.
    ///
    /// # Errors
    /// [`NotSent`].
    pub(crate) fn send(
        &self,
        held: &Holding,
        sink: &mut dyn FnMut(Parcel) -> Result<(), NotSent>,
    ) -> Result<(), NotSent> {
        let mut sender = Sender::new(Arc::clone(self.store.plan()), held.target.clone(), held.epoch, 1).unsummed();
        let snapshot = self.snapshots.take()?;
        let sent = sender.all(&snapshot, false, || 0, sink);
        self.snapshots.give_back(snapshot);
        sent
    }
}
