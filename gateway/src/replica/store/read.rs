//! Reads Litestream's files of a lineage, for whoever puts a database together out of them. Decides which names are such files,
//! and how much of them is under way at once; knows nothing of what is in them.

use super::ReplicaStore;
use crate::replica::{Lineage, ReplicaError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use std::ops::Range;

/// The bytes that one call to the store asks for. In a folder and in a bucket a call costs far less than reading so much.
const PART: u64 = 2 << 20;
/// The highest level that Litestream has: whole copies.
pub(crate) const SNAPSHOTS: u8 = 9;

/// One of Litestream's files: all changes of some transactions, or the whole database as of the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LtxFile {
    /// Its level: 0 as it was uploaded first, then what was made of smaller ones, [`SNAPSHOTS`] for whole copies.
    pub(crate) level: u8,
    /// The first transaction, by its name.
    pub(crate) first: u64,
    /// The last transaction, by its name.
    pub(crate) last: u64,
    /// Its bytes.
    pub(crate) size: u64,
    /// Where it is.
    path: Path,
}

/// What there is of Litestream's in a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LtxFiles {
    /// Its files, in no order.
    pub(crate) files: Vec<LtxFile>,
    /// Something that another version of Litestream has written, if there is anything.
    pub(crate) strange: Option<String>,
}

impl ReplicaStore {
    /// Lists Litestream's files of a lineage.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn ltx_files(&self, lineage: &Lineage) -> Result<LtxFiles, ReplicaError> {
        let own = self.at(&lineage.path());
        let mut found = LtxFiles::default();
        for file in self.all(&own).await? {
            match known(&own, &file) {
                Known::Ltx(file) => found.files.push(file),
                Known::Other => {}
                Known::Strange => found.strange = Some(file.location.to_string()),
            }
        }
        Ok(found)
    }

    /// Reads the first bytes of a file, so many or all that it has.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn read_head(&self, file: &LtxFile, bytes: u64) -> Result<Bytes, ReplicaError> {
        Ok(self.bounded(self.store.get_range(&file.path, 0..bytes.min(file.size))).await??)
    }

    /// Reads files one after the other, in parts that never have bytes of two of them; up to `ahead` parts are asked for before
    /// the first of them is taken.
    pub(crate) fn read_ltx(
        &self,
        files: Vec<LtxFile>,
        ahead: usize,
    ) -> impl Stream<Item = Result<Bytes, ReplicaError>> + Send + use<> {
        let store = self.clone();
        let parts = files.into_iter().flat_map(|file| parts(file.size).map(move |part| (file.path.clone(), part)));
        let reading = move |(path, part)| {
            let store = store.clone();
            async move { Ok(store.bounded(store.store.get_range(&path, part)).await??) }
        };
        stream::iter(parts).map(reading).buffered(ahead.max(1))
    }
}

/// Returns the ranges that a file of so many bytes is read in.
fn parts(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(PART)).map(move |part| part * PART..(part * PART).saturating_add(PART).min(size))
}

enum Known {
    Ltx(LtxFile),
    /// Nothing that a restore reads: a note of Berth's, or what Litestream was about to write.
    Other,
    Strange,
}

/// Says what a file below a lineage is: `ltx/LEVEL/FIRST-LAST.ltx` in a folder, `LEVEL/FIRST-LAST.ltx` with four hexadecimal
/// digits in a bucket. 0.3 writes below `generations`.
fn known(own: &Path, file: &ObjectMeta) -> Known {
    let below: Vec<_> = file.location.parts().skip(own.parts().count()).collect();
    let names: Vec<&str> = below.iter().map(AsRef::as_ref).collect();
    let (level, name) = match names[..] {
        ["berth", ..] => return Known::Other,
        ["ltx", level, name] => (level.parse().ok(), name),
        [level, name] if level.len() == 4 => (u8::from_str_radix(level, 16).ok(), name),
        _ => return Known::Strange,
    };
    let Some((first, last)) = super::list::txids(name) else { return Known::Other };
    match level {
        Some(level) if level <= SNAPSHOTS => {
            Known::Ltx(LtxFile { level, first, last, size: file.size, path: file.location.clone() })
        }
        _ => Known::Strange,
    }
}

#[cfg(test)]
impl LtxFile {
    /// Returns a file that is nowhere.
    pub(crate) fn of(level: u8, first: u64, last: u64, size: u64) -> Self {
        Self { level, first, last, size, path: Path::default() }
    }
}

#[cfg(test)]
mod tests;
