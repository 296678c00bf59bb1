//! The replica's store, as Berth itself uses it: notes beside Litestream's files, and lists of them. Every call is bounded;
//! nothing is kept in memory. The one place that knows the object store's library.

mod list;
mod open;
mod read;
mod remove;
mod stock;

pub use list::Listing;
pub(crate) use list::last_txid;
pub(crate) use read::{LtxFile, SNAPSHOTS};
pub use remove::Removed;
pub(crate) use stock::Stock;

use super::{Begun, Lineage, ReplicaArgs, ReplicaError, Seal};
use futures_util::{StreamExt, TryStreamExt};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};
use serde::{Serialize, de::DeserializeOwned};
use shared::{Incarnation, PodId};
use std::{fmt, sync::Arc, time::Duration};

/// Most bytes of a note: what is longer was not written by Berth.
const NOTE: u64 = 64 << 10;

/// The store of all copies. Cheap to clone.
#[derive(Clone)]
pub struct ReplicaStore {
    store: Arc<dyn ObjectStore>,
    /// The same, without a second try.
    at_once: Arc<dyn ObjectStore>,
    /// Where, in words without secrets.
    base: Arc<str>,
    prefix: Path,
    timeout: Duration,
}

/// `berth/drilled.json`: the lineage was restored and found good.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Drilled {
    at_ms: u64,
}

impl fmt::Debug for ReplicaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaStore({})", self.base)
    }
}

impl ReplicaStore {
    /// Opens the store that the settings name. A folder is made when there is none; a bucket is not asked anything yet.
    ///
    /// # Errors
    /// When the settings name none, or one that cannot be.
    pub fn open(args: &ReplicaArgs) -> Result<Self, ReplicaError> {
        open::open(args)
    }

    /// Returns where the store is, in words without secrets.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Writes down that a lineage has begun. Once: what stands there already stays.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn begin(&self, begun: &Begun) -> Result<(), ReplicaError> {
        self.put_once(&self.begun_path(&begun.lineage), begun).await
    }

    /// Returns the note of a lineage's beginning.
    ///
    /// # Errors
    /// When the store does not answer, or the note is damaged.
    pub async fn begun(&self, lineage: &Lineage) -> Result<Option<Begun>, ReplicaError> {
        self.get(&self.begun_path(lineage)).await
    }

    /// Seals a lineage: from now on its owner acknowledges nothing. Returns the seal that stands, which is the first one.
    ///
    /// # Errors
    /// When the store does not take it; the lineage may be sealed or not.
    pub async fn seal(&self, lineage: &Lineage, seal: &Seal) -> Result<Seal, ReplicaError> {
        let path = self.seal_path(lineage);
        self.put_once(&path, seal).await?;
        self.get(&path).await?.ok_or_else(|| damaged(&path, "it was written and is not there"))
    }

    /// Returns a lineage's seal. A seal that is damaged is an error, never none.
    ///
    /// # Errors
    /// When the store does not answer, or the seal is damaged.
    pub async fn sealed(&self, lineage: &Lineage) -> Result<Option<Seal>, ReplicaError> {
        self.get(&self.seal_path(lineage)).await
    }

    /// Notes that a lineage was restored and found good at this time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the store does not take it.
    pub(crate) async fn drilled(&self, lineage: &Lineage, at_ms: u64) -> Result<(), ReplicaError> {
        let path = self.drilled_path(lineage);
        let text = serde_json::to_vec(&Drilled { at_ms }).map_err(|why| damaged(&path, &why.to_string()))?;
        self.bounded(self.store.put(&path, PutPayload::from(text))).await??;
        Ok(())
    }

    /// Returns when a lineage was last restored and found good; none when nobody noted that.
    ///
    /// # Errors
    /// When the store does not answer, or the note is damaged.
    pub async fn drilled_ms(&self, lineage: &Lineage) -> Result<Option<u64>, ReplicaError> {
        let found: Option<Drilled> = self.get(&self.drilled_path(lineage)).await?;
        Ok(found.map(|found| found.at_ms))
    }

    /// Finds the lineage of a life of a pod, in whatever generation it began.
    ///
    /// # Errors
    /// When the store does not answer, or the lineage is being removed: what is left of it is nobody's copy.
    pub async fn find(&self, pod: &PodId, incarnation: &Incarnation) -> Result<Option<Lineage>, ReplicaError> {
        for generation in self.generations().await? {
            let lineage = Lineage { generation, pod: pod.clone(), incarnation: incarnation.clone() };
            if self.is_removing(&lineage).await? {
                return Err(ReplicaError::Removing(lineage.path()));
            }
            if self.begun(&lineage).await?.is_some() {
                return Ok(Some(lineage));
            }
        }
        Ok(None)
    }

    /// Returns every lineage of which there is any file, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lineages(&self) -> Result<Vec<Lineage>, ReplicaError> {
        let mut found = Vec::new();
        for generation in self.generations().await? {
            for pod in self.folders(&generation.to_string()).await? {
                found.extend(self.lives(&format!("{generation}/{pod}")).await?);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns every lineage of a pod of which there is any file, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lineages_of(&self, pod: &PodId) -> Result<Vec<Lineage>, ReplicaError> {
        let mut found = Vec::new();
        for generation in self.generations().await? {
            found.extend(self.lives(&format!("{generation}/{pod}")).await?);
        }
        found.sort();
        Ok(found)
    }

    /// Lists a lineage: what Litestream has written there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list(&self, lineage: &Lineage) -> Result<Listing, ReplicaError> {
        let below = self.at(&lineage.path());
        let mut files = self.store.list(Some(&below));
        let mut listing = Listing::default();
        while let Some(file) = self.bounded(files.next()).await? {
            listing.add(&file?);
        }
        Ok(listing)
    }

    async fn all(&self, below: &Path) -> Result<Vec<object_store::ObjectMeta>, ReplicaError> {
        let mut files = self.store.list(Some(below));
        let mut all = Vec::new();
        while let Some(file) = self.bounded(files.try_next()).await?? {
            all.push(file);
        }
        Ok(all)
    }

    async fn generations(&self) -> Result<Vec<u32>, ReplicaError> {
        let names = self.folders("").await?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn lives(&self, below: &str) -> Result<Vec<Lineage>, ReplicaError> {
        let names = self.folders(below).await?;
        Ok(names.iter().filter_map(|name| Lineage::parse(&format!("{below}/{name}"))).collect())
    }

    /// Returns the names of what looks like folders.
    async fn folders(&self, below: &str) -> Result<Vec<String>, ReplicaError> {
        let listed = self.bounded(self.store.list_with_delimiter(Some(&self.at(below)))).await?;
        let prefixes = match listed {
            Ok(listed) => listed.common_prefixes,
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(why) => return Err(why.into()),
        };
        Ok(prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Writes a note where there is none. Some stores do not know the condition that this takes, or do not heed it: there, whoever
    /// comes second finds the first one's, unless both come at the same instant, and then either is as good.
    async fn put_once<T: Serialize + Sync>(&self, path: &Path, note: &T) -> Result<(), ReplicaError> {
        let text = serde_json::to_vec_pretty(note).map_err(|why| damaged(path, &why.to_string()))?;
        let payload = PutPayload::from(text);
        match self.bounded(self.store.head(path)).await? {
            Ok(_) => return Ok(()),
            Err(Error::NotFound { .. }) => {}
            Err(why) => return Err(why.into()),
        }
        let create = |store: &Arc<dyn ObjectStore>| {
            let (store, path, payload) = (Arc::clone(store), path.clone(), payload.clone());
            async move { store.put_opts(&path, payload, PutMode::Create.into()).await }
        };
        // A refusal is no failure that passes, but would be tried again until the time is over.
        let mut created = self.bounded(create(&self.at_once)).await?;
        if created.as_ref().is_err_and(|why| !is_settled(why) && !is_refused(why)) {
            created = self.bounded(create(&self.store)).await?;
        }
        match created {
            Err(why) if is_refused(&why) => {
                self.bounded(self.store.put(path, payload)).await??;
                Ok(())
            }
            Err(why) if !is_settled(&why) => Err(why.into()),
            _ => Ok(()),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, ReplicaError> {
        let read = async {
            let found = self.store.get(path).await?;
            if found.meta.size > NOTE {
                return Ok(Err(damaged(path, "it is too long for a note")));
            }
            found.bytes().await.map(Ok)
        };
        let bytes = match self.bounded(read).await? {
            Ok(bytes) => bytes?,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(why) => return Err(why.into()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|why| damaged(path, &why.to_string()))
    }

    async fn bounded<T>(&self, call: impl Future<Output = T>) -> Result<T, ReplicaError> {
        tokio::time::timeout(self.timeout, call).await.map_err(|_| ReplicaError::Slow(self.timeout))
    }

    fn begun_path(&self, lineage: &Lineage) -> Path {
        self.at(&format!("{}/berth/begun.json", lineage.path()))
    }

    fn drilled_path(&self, lineage: &Lineage) -> Path {
        self.at(&format!("{}/berth/drilled.json", lineage.path()))
    }

    fn seal_path(&self, lineage: &Lineage) -> Path {
        self.at(&format!("{}/berth/SEALED", lineage.path()))
    }

    fn at(&self, below: &str) -> Path {
        self.prefix.parts().chain(Path::from(below).parts()).collect()
    }
}

/// Returns whether somebody else's note is there.
const fn is_settled(why: &Error) -> bool {
    matches!(why, Error::AlreadyExists { .. } | Error::Precondition { .. })
}

/// Returns whether the store does not know the condition: its answer has no variant of its own.
fn is_refused(why: &Error) -> bool {
    matches!(why, Error::NotImplemented { .. } | Error::NotSupported { .. })
        || why.to_string().contains("status code: 501 ")
}

fn damaged(path: &Path, detail: &str) -> ReplicaError {
    ReplicaError::Damaged { path: path.to_string(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests;
