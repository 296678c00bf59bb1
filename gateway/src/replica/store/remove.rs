//! Takes a lineage away, so that one that is taken away in part is never taken for a good one. Decides the order; knows nothing
//! of when one may go.
//!
//! ```text
//! REMOVING is written ▸ files that a restore begins with ▸ all others ▸ drilled.json ▸ begun.json ▸ SEALED ▸ REMOVING
//! ```
//! From the first step on nobody finds it; from the second on Litestream itself has nothing to begin a restore with. The seal
//! stays for as long as there is anything that it seals. Whatever cuts this off, it is done again and ends.

use super::ReplicaStore;
use crate::replica::{Lineage, ReplicaError};
use object_store::{Error, ObjectMeta, ObjectStoreExt, PutPayload, path::Path};

/// What [`ReplicaStore::remove`] took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What stands in `berth/REMOVING`, for people.
const MARK: &[u8] = b"what is left of this lineage is nobody's copy\n";

impl ReplicaStore {
    /// Takes a lineage away, all of it. It may be called again after an error, and for one that is gone.
    ///
    /// # Errors
    /// When the store does not take it; what is left then is marked, and found by nobody.
    pub async fn remove(&self, lineage: &Lineage) -> Result<Removed, ReplicaError> {
        let (own, mark) = (self.at(&lineage.path()), self.removing_path(lineage));
        let mut files: Vec<_> = self.all(&own).await?;
        if files.is_empty() {
            return Ok(Removed::default());
        }
        self.bounded(self.store.put(&mark, PutPayload::from_static(MARK))).await??;
        files.retain(|file| file.location != mark);
        files.sort_by_cached_key(|file| turn(&own, file));
        let mut removed = Removed::default();
        for file in files {
            self.delete(&file.location).await?;
            removed.files += 1;
            removed.bytes += file.size;
        }
        self.delete(&mark).await?;
        Ok(removed)
    }

    /// Returns whether the removal of a lineage was begun.
    pub(super) async fn is_removing(&self, lineage: &Lineage) -> Result<bool, ReplicaError> {
        match self.bounded(self.store.head(&self.removing_path(lineage))).await? {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    async fn delete(&self, file: &Path) -> Result<(), ReplicaError> {
        match self.bounded(self.store.delete(file)).await? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(why) => Err(why.into()),
        }
    }

    pub(super) fn removing_path(&self, lineage: &Lineage) -> Path {
        self.at(&format!("{}/berth/REMOVING", lineage.path()))
    }
}

/// Returns a file's turn: what goes first sorts first.
fn turn(own: &Path, file: &ObjectMeta) -> (u8, String) {
    let name = file.location.filename().unwrap_or_default();
    let is_note = file.location.prefix_matches(&own.clone().join("berth"));
    let turn = match (is_note, name) {
        (true, "SEALED") => 4,
        (true, "begun.json") => 3,
        (true, _) => 2,
        // Every restore begins with a file that goes from the first transaction on.
        (false, name) if name.starts_with("0000000000000001-") => 0,
        (false, _) => 1,
    };
    (turn, name.to_owned())
}

#[cfg(test)]
mod tests;
