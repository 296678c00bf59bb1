//! What the store says of a lineage to whoever decides whether it may go, and what time it is there. Decides nothing.

use super::{ReplicaStore, last_txid};
use crate::replica::{Lineage, ReplicaError};
use object_store::{ObjectMeta, ObjectStoreExt, PutPayload, path::Path};
use shared::{Incarnation, PodId};

/// What the store says of a lineage. Times are the store's, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Which.
    pub(crate) lineage: Lineage,
    /// Litestream's files.
    pub(crate) files: u64,
    /// Their bytes, with those of Berth's notes.
    pub(crate) bytes: u64,
    /// When the last file of it was written, a note of a drill aside; none when there is none.
    pub(crate) last_ms: Option<u64>,
    /// When the note of its beginning was written.
    pub(crate) begun_ms: Option<u64>,
    /// The life before it.
    pub(crate) previous: Option<Incarnation>,
    /// It was restored and found good.
    pub(crate) good: bool,
    /// Its removal was begun.
    pub(crate) removing: bool,
    /// Why something of it cannot be read.
    pub(crate) unread: Option<String>,
}

impl Stock {
    /// Says that nothing is known of a lineage but that it is there.
    pub(crate) fn unread(lineage: Lineage, why: String) -> Self {
        let (previous, last_ms, begun_ms) = (None, None, None);
        let unread = Some(why);
        Self { lineage, files: 0, bytes: 0, last_ms, begun_ms, previous, good: false, removing: false, unread }
    }
}

impl ReplicaStore {
    /// Says what there is of a lineage. What cannot be read of it is said, and is no error.
    pub(crate) async fn stock(&self, lineage: &Lineage) -> Stock {
        let looked = self.look_through(lineage).await;
        looked.unwrap_or_else(|why| Stock::unread(lineage.clone(), why.to_string()))
    }

    async fn look_through(&self, lineage: &Lineage) -> Result<Stock, ReplicaError> {
        let files = self.all(&self.at(&lineage.path())).await?;
        let note = |path: &Path| files.iter().find(|file| file.location == *path);
        let drilled = self.drilled_path(lineage);
        let copies = files.iter().filter(|file| file.location.filename().is_some_and(|name| last_txid(name).is_some()));
        Ok(Stock {
            lineage: lineage.clone(),
            files: copies.count() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
            last_ms: files.iter().filter(|file| file.location != drilled).map(written_ms).max(),
            begun_ms: note(&self.begun_path(lineage)).map(written_ms),
            previous: self.begun(lineage).await?.and_then(|begun| begun.previous).map(|previous| previous.incarnation),
            good: note(&drilled).is_some() && self.drilled_ms(lineage).await?.is_some(),
            removing: note(&self.removing_path(lineage)).is_some(),
            unread: None,
        })
    }

    /// Returns what time it is by the store's own clock: when it says that it wrote what is written now.
    ///
    /// # Errors
    /// When the store does not take it.
    pub(crate) async fn now_ms(&self, pod: &PodId) -> Result<u64, ReplicaError> {
        let path = self.at(&format!("clock/{pod}"));
        self.bounded(self.store.put(&path, PutPayload::from_static(b"what time is it?"))).await??;
        let written = self.bounded(self.store.head(&path)).await??;
        Ok(written_ms(&written))
    }
}

fn written_ms(file: &ObjectMeta) -> u64 {
    u64::try_from(file.last_modified.timestamp_millis()).unwrap_or_default()
}
