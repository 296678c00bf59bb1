//! Gets one dead life's database out of its replica: seals before it lists, lists before it restores (OWNERSHIP.md, Data 4). A
//! life that has uploaded nothing has acknowledged nothing as replicated either: then the one it began with is the newest.
//! Decides nothing about targets.

use super::job::Hands;
use super::plan::Ended;
use crate::replica::{Lineage, ReplicaError, ReplicaStore, RestoreError, Restored, Seal, restore};
use shared::Epoch;
use shared::wire::control::Life;
use std::{io, path::Path, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// Lives that are gone back through at most.
const BACK: usize = 16;
/// The time between two lines about a restore's progress.
const TELL: Duration = Duration::from_secs(5);

/// A database that was restored.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// The folder that it is in, as `berth.db`.
    pub(super) folder: PathBuf,
    /// Whose replica it is.
    pub(super) lineage: Lineage,
    /// How far Litestream says that it goes.
    pub(super) txid: Option<u64>,
}

impl From<ReplicaError> for Ended {
    fn from(why: ReplicaError) -> Self {
        Self::Again(why.to_string())
    }
}

impl From<RestoreError> for Ended {
    fn from(why: RestoreError) -> Self {
        let words = why.to_string();
        match why {
            RestoreError::Empty(_) => Self::Hopeless(words),
            RestoreError::Failed { .. } | RestoreError::Damaged { .. } => Self::Unread(words),
            _ => Self::Again(words),
        }
    }
}

/// Fetches it. Whoever asks keeps the folder until nothing of it is wanted.
pub(super) async fn fetch(hands: &Hands, life: &Life, epoch: Epoch) -> Result<Fetched, Ended> {
    let store = ReplicaStore::open(&hands.replica)?;
    let (lineage, bytes) = find(hands, &store, life, epoch).await?;
    let folder = hands.scratch(life);
    let file = folder.join(crate::store::FILE);
    std::fs::create_dir_all(&folder).map_err(|why| Ended::Again(format!("{}: {why}", folder.display())))?;
    room(&folder, bytes.saturating_mul(hands.space))?;
    // One that is there was restored, and not all of it could be brought in.
    if file.exists() {
        return Ok(Fetched { folder, lineage, txid: None });
    }
    tracing::info!(pod = %life.pod, %lineage, bytes, "restoring a dead pod's replica");
    let mut told = Instant::now();
    let done = restore(&hands.replica, &lineage, &file, |bytes| {
        hands.meters.progress(bytes);
        if told.elapsed() > TELL {
            told = Instant::now();
            tracing::info!(bytes, "restoring");
        }
    });
    let done = done.await.inspect_err(|_| hands.meters.restored(None))?;
    let Restored { bytes, txid, took, .. } = done;
    hands.meters.progress(bytes);
    hands.meters.restored(Some(took));
    tracing::info!(pod = %life.pod, %lineage, bytes, took_ms = took.as_millis() as u64, "restored a dead pod's replica");
    Ok(Fetched { folder, lineage, txid })
}

/// Finds the lineage that has the newest copy, sealing on the way; returns how many bytes its files have.
async fn find(hands: &Hands, store: &ReplicaStore, life: &Life, epoch: Epoch) -> Result<(Lineage, u64), Ended> {
    let nothing =
        || Ended::Hopeless(format!("there is no replica of {} in incarnation {}", life.pod, life.incarnation));
    let mut lineage = store.find(&life.pod, &life.incarnation).await?.ok_or_else(nothing)?;
    for _ in 0..BACK {
        let by = hands.ownership.pod().clone();
        let seal = Seal { epoch, by, at_ms: hands.ownership.clock().wall_ms() };
        store.seal(&lineage, &seal).await?;
        let listing = store.list(&lineage).await?;
        if listing.files > 0 {
            return Ok((lineage, listing.bytes));
        }
        let begun = store.begun(&lineage).await?;
        let before = begun.and_then(|begun| begun.previous).filter(|before| before.pod == life.pod);
        lineage = before.ok_or_else(|| Ended::Hopeless(format!("nothing was ever uploaded to {lineage}")))?;
    }
    Err(nothing())
}

/// Makes sure that there is room for a restore.
fn room(folder: &Path, wanted: u64) -> Result<(), Ended> {
    let found = rustix::fs::statvfs(folder).map_err(|why| Ended::Again(io::Error::from(why).to_string()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= wanted {
        return Ok(());
    }
    Err(Ended::Again(format!(
        "there are {free} bytes free in {}, a restore takes {wanted} (--restore-space); make room",
        folder.display()
    )))
}
