//! Gets one dead life's database out of its replica: asks the store what [`Search`] wants to know, and restores what that finds.
//! Whoever fetches it checks it. Decides nothing about targets.

use super::job::Hands;
use super::plan::Ended;
use super::search::{Heard, Search, Step, nothing};
use crate::folder::space;
use crate::replica::{Begun, Lineage, ReplicaError, ReplicaStore, RestoreError, Restored, Seal, restore_unchecked};
use crate::store::{FILE, Thorough, verify};
use shared::Epoch;
use shared::wire::control::Life;
use std::{path::Path, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// The time between two lines about a restore's progress.
const TELL: Duration = Duration::from_secs(5);

/// A database that was restored, and not checked yet.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// The folder that it is in, as `berth.db`.
    pub(super) folder: PathBuf,
    /// Whose replica it is.
    pub(super) lineage: Lineage,
    /// How far Litestream says that it goes.
    pub(super) txid: Option<u64>,
}

impl Fetched {
    /// Looks at every page and row of it, once somebody has opened it. Returns what is wrong.
    pub(super) async fn check(&self) -> Result<(), Ended> {
        let file = self.folder.join(FILE);
        let checked = tokio::task::spawn_blocking(move || verify(&file, Thorough::Whole)).await;
        let checked = checked.map_err(|why| Ended::Again(why.to_string()))?;
        checked.map_err(|why| Ended::Unread(format!("what was restored of {} is damaged: {why}", self.lineage)))
    }

    /// Notes in the store that the lineage can be restored, once it has passed the check.
    pub(super) async fn note_good(&self, hands: &Hands) {
        let noted = async {
            ReplicaStore::open(&hands.replica)?.drilled(&self.lineage, hands.ownership.clock().wall_ms()).await
        };
        if let Err(why) = noted.await {
            tracing::warn!(error = %why, "cannot note in the replica's store that it was restored");
        }
    }
}

impl From<ReplicaError> for Ended {
    fn from(why: ReplicaError) -> Self {
        match why {
            ReplicaError::Removing(_) => Self::Hopeless(why.to_string()),
            _ => Self::Again(why.to_string()),
        }
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

/// Fetches it; none when it was empty. Whoever asks keeps the folder until nothing of it is wanted.
pub(super) async fn fetch(hands: &Hands, life: &Life, epoch: Epoch) -> Result<Option<Fetched>, Ended> {
    let store = ReplicaStore::open(&hands.replica)?;
    let Some((lineage, bytes)) = find(hands, &store, life, epoch).await? else {
        tracing::warn!(pod = %life.pod, incarnation = %life.incarnation, "a dead pod began empty and has replicated nothing: what began there begins here");
        return Ok(None);
    };
    let folder = hands.scratch(life);
    let file = folder.join(FILE);
    std::fs::create_dir_all(&folder).map_err(|why| Ended::Again(format!("{}: {why}", folder.display())))?;
    room(&folder, bytes.saturating_mul(hands.space))?;
    // One that is there was restored, and not all of it could be brought in.
    if file.exists() {
        return Ok(Some(Fetched { folder, lineage, txid: None }));
    }
    tracing::info!(pod = %life.pod, %lineage, bytes, "restoring a dead pod's replica");
    let mut told = Instant::now();
    let done = restore_unchecked(&hands.replica, &lineage, &file, |bytes| {
        hands.meters.progress(bytes);
        if told.elapsed() > TELL {
            told = Instant::now();
            tracing::info!(bytes, "restoring");
        }
    });
    let done = done.await.inspect_err(|_| hands.meters.restored(None))?;
    let Restored { bytes, txid, by, took, .. } = done;
    hands.meters.progress(bytes);
    hands.meters.restored(Some(took));
    let took_ms = took.as_millis() as u64;
    tracing::info!(pod = %life.pod, %lineage, bytes, %by, took_ms, "restored a dead pod's replica");
    Ok(Some(Fetched { folder, lineage, txid }))
}

/// Finds the lineage that has the newest copy, sealing on the way; returns how many bytes its files have. None when the newest copy
/// is an empty database.
async fn find(hands: &Hands, store: &ReplicaStore, life: &Life, epoch: Epoch) -> Result<Option<(Lineage, u64)>, Ended> {
    let (mut search, mut step) = match store.find(&life.pod, &life.incarnation).await? {
        Some(lineage) => Search::begin(life, lineage),
        None => return Err(ended(nothing(life))),
    };
    loop {
        let heard = match step {
            Step::Seal(lineage) => {
                let by = hands.ownership.pod().clone();
                let seal = Seal { epoch, by, at_ms: hands.ownership.clock().wall_ms() };
                store.seal(&lineage, &seal).await?;
                Heard::Sealed
            }
            Step::List(lineage) => {
                let listing = store.list(&lineage).await?;
                Heard::Listed { files: listing.files, bytes: listing.bytes }
            }
            Step::Begun(lineage) => match store.begun(&lineage).await? {
                Some(Begun { previous, empty, .. }) => Heard::Begun { previous, empty },
                None => Heard::Begun { previous: None, empty: false },
            },
            Step::Restore(lineage, bytes) => return Ok(Some((lineage, bytes))),
            Step::Empty => return Ok(None),
            nothing @ Step::Nothing(_) => return Err(ended(nothing)),
        };
        step = search.hear(heard);
    }
}

/// What a search without a finding means.
fn ended(step: Step) -> Ended {
    match step {
        Step::Nothing(why) => Ended::Hopeless(why),
        other => Ended::Again(format!("{other:?}")),
    }
}

/// Makes sure that there is room for a restore.
fn room(folder: &Path, wanted: u64) -> Result<(), Ended> {
    let free = space::of(folder).map_err(|why| Ended::Again(why.to_string()))?.free;
    if free >= wanted {
        return Ok(());
    }
    Err(Ended::Again(format!(
        "there are {free} bytes free in {}, a restore takes {wanted} (--restore-space); make room",
        folder.display()
    )))
}
