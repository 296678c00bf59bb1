//! Restores a lineage into a new file and checks it: out of the LTX files by itself, or with Litestream where those have anything
//! that is not known here. Bounds its time and leaves nothing behind when it fails. Decides nothing about whether it is time to:
//! who restores for others must have sealed the lineage first.

mod by_litestream;

use super::litestream::LitestreamError;
use super::ltx::{self, LtxError};
use super::{Lineage, ReplicaArgs, ReplicaError, ReplicaStore};
use crate::store::{StoreError, Thorough, has_root, verify};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// How often whoever waits hears how far it is.
pub(super) const TELL: Duration = Duration::from_millis(500);
/// A database that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The last transaction that is in it, as Litestream counts them, when it says so.
    pub txid: Option<u64>,
    /// Who has put it together.
    pub by: By,
    /// How long it took, with the check where that is part of it.
    pub took: Duration,
}

/// Who has put a database together out of its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// This process, out of the LTX files.
    Berth,
    /// The Litestream program.
    Litestream,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Berth => "berth",
            Self::Litestream => "litestream",
        })
    }
}

/// Why there is no restored database.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The settings.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Litestream itself.
    #[error("{0}")]
    Litestream(String),
    /// Nothing was ever uploaded.
    #[error("there is no copy in {0}: nothing was uploaded before its pod died")]
    Empty(String),
    /// The copies are damaged, or cannot be read.
    #[error("Litestream cannot restore {lineage}: {words}")]
    Failed {
        /// Which lineage.
        lineage: String,
        /// Litestream's own words.
        words: String,
    },
    /// It took too long.
    #[error("the restore of {lineage} took longer than {limit:?} (--restore-timeout)")]
    Slow {
        /// Which lineage.
        lineage: String,
        /// The bound.
        limit: Duration,
    },
    /// What was restored is no whole database.
    #[error("what was restored of {lineage} is damaged: {source}")]
    Damaged {
        /// Which lineage.
        lineage: String,
        /// What SQLite says.
        source: StoreError,
    },
    /// The file cannot be made.
    #[error("cannot restore into {path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

impl From<LitestreamError> for RestoreError {
    fn from(why: LitestreamError) -> Self {
        Self::Litestream(why.to_string())
    }
}

/// Restores a lineage into `to`, which must not exist, and checks the whole file. `progress` hears of the bytes written so far,
/// about twice a second. When it fails, or is dropped, what it made is gone.
///
/// # Errors
/// [`RestoreError`].
pub async fn restore(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    progress: impl FnMut(u64) + Send,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    let restored = restore_unchecked(args, lineage, to, progress).await?;
    let mut made = Made { to, kept: false };
    let file = to.to_owned();
    let checked = tokio::task::spawn_blocking(move || verify(&file, Thorough::Whole)).await;
    let checked = checked.map_err(|why| failed(to, io::Error::other(why)))?;
    checked.map_err(|source| RestoreError::Damaged { lineage: lineage.to_string(), source })?;
    made.kept = true;
    Ok(Restored { took: begun.elapsed(), ..restored })
}

/// The same without the check, which is then the caller's: nothing of the file may count before it has passed [`verify`].
///
/// # Errors
/// [`RestoreError`].
pub(crate) async fn restore_unchecked(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Restored, RestoreError> {
    let begun = Instant::now();
    if to.exists() {
        return Err(failed(to, io::ErrorKind::AlreadyExists.into()));
    }
    let mut made = Made { to, kept: false };
    let limit = args.restore_timeout;
    let run = either_way(args, lineage, to, &mut progress);
    let slow = |_| RestoreError::Slow { lineage: lineage.to_string(), limit };
    let (bytes, txid, by) = tokio::time::timeout(limit, run).await.map_err(slow)??;
    made.kept = true;
    Ok(Restored { path: to.to_owned(), bytes, txid, by, took: begun.elapsed() })
}

async fn either_way(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<(u64, Option<u64>, By), RestoreError> {
    match by_berth(args, lineage, to, progress).await {
        Ok(read) => return Ok((read.bytes, Some(read.txid), By::Berth)),
        Err(LtxError::Empty) => {}
        Err(why) => {
            tracing::warn!(%lineage, error = %why, "the replica's files cannot be put together; Litestream restores them");
        }
    }
    let (bytes, txid) = by_litestream::restore(args, lineage, to, progress).await?;
    Ok((bytes, txid, By::Litestream))
}

/// Writes beside `to`, and gives it its name once it is flushed.
async fn by_berth(
    args: &ReplicaArgs,
    lineage: &Lineage,
    to: &Path,
    progress: &mut (impl FnMut(u64) + Send),
) -> Result<ltx::Read, LtxError> {
    let store = ReplicaStore::open(args)?;
    let unfinished = beside(to, ".tmp");
    let file = File::create(&unfinished)?;
    let read = ltx::read(&store, lineage, file, args.restore_parallelism, progress).await?;
    if let Some(page) = read.left_out {
        let made = unfinished.clone();
        let own = tokio::task::spawn_blocking(move || has_root(&made, ltx::OWN_TABLE, page)).await;
        if !own.map_err(io::Error::other)?.unwrap_or(false) {
            return Err(LtxError::Shrunk(page));
        }
        tracing::warn!(%lineage, txid = read.txid, "Litestream's last file is left out: a gateway that was killed had uploaded pages that it takes away");
    }
    fs::rename(&unfinished, to)?;
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(read)
}

fn failed(to: &Path, source: io::Error) -> RestoreError {
    RestoreError::Io { path: to.display().to_string(), source }
}

/// What a restore has made; gone again unless it is kept.
struct Made<'a> {
    to: &'a Path,
    kept: bool,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let extra = [".yml", ".tmp", "-wal", "-shm", "-txid"].map(|ending| beside(self.to, ending));
        let file = (!self.kept).then(|| self.to.to_owned());
        for file in extra.into_iter().chain(file) {
            if let Err(why) = fs::remove_file(&file)
                && why.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), error = %why, "cannot take away what a restore has made");
            }
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
