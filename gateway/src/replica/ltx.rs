//! Makes a database file out of the LTX files that Litestream has written, without Litestream: `litestream restore` encodes
//! every page anew for a pipe between two of its own parts, which takes more than half of a failover. Knows version 0.5.17's files
//! and nothing else: whatever they have that is not known here is an error, and then it is Litestream's turn (docs/adr/0031).
//!
//! ```text
//! list ▸ leave a last one out that is Litestream's own and takes pages away ▸ plan: which files make the newest state ▸ read them, newest first, some parts ahead ▸ decode, check ▸ write each page once
//! ```

mod apply;
mod decode;
mod format;
mod parts;
mod plan;
mod shrunk;

pub(super) use self::shrunk::OWN_TABLE;

use self::format::Fault;
use super::{Lineage, ReplicaError, ReplicaStore, restore::TELL};
use futures_util::StreamExt;
use std::{
    fs::File,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// Parts that were read and wait to be decoded.
const WAITING: usize = 2;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// The database's size.
    pub(super) bytes: u64,
    /// The last transaction that is in it.
    pub(super) txid: u64,
    /// How many files it was in.
    pub(super) files: usize,
    /// The only page of a last file that was left out. It must be Litestream's own.
    pub(super) left_out: Option<u32>,
}

/// Why the files were not read. Nothing of what was written counts then.
#[derive(Debug, thiserror::Error)]
pub(super) enum LtxError {
    /// There are none.
    #[error("there are no LTX files")]
    Empty,
    /// There is something of another version beside them.
    #[error("{0} is not of Litestream {version}", version = super::VERSION)]
    Strange(String),
    /// Some are missing.
    #[error("transaction {0:016x} is in no LTX file, and later ones are")]
    Hole(u64),
    /// One is not what is known here, or is damaged.
    #[error("the LTX file of level {level}, {first:016x}-{last:016x}: {fault}")]
    File {
        /// Its level.
        level: u8,
        /// Its first transaction.
        first: u64,
        /// Its last.
        last: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// All are read, and pages are in none of them.
    #[error("{missing} of the database's {pages} pages are in no LTX file")]
    Incomplete {
        /// How many.
        missing: u64,
        /// Of how many.
        pages: u32,
    },
    /// A last file takes pages of the database away.
    #[error("the last LTX file makes the database shorter, and its page {0} is not Litestream's own")]
    Shrunk(u32),
    /// The store.
    #[error(transparent)]
    Store(#[from] ReplicaError),
    /// What is made of them cannot be written.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
}

/// Writes a lineage's newest state into an empty file and flushes it. Asks the store for up to `ahead` parts of 2 MiB at once and
/// keeps no more than those. `progress` hears of the bytes written so far, about twice a second
/// and at the end.
///
/// # Errors
/// [`LtxError`]. Whatever it is, Litestream may still be able to restore.
pub(super) async fn read(
    store: &ReplicaStore,
    lineage: &Lineage,
    file: File,
    ahead: usize,
    mut progress: impl FnMut(u64),
) -> Result<Read, LtxError> {
    let found = store.ltx_files(lineage).await?;
    if let Some(strange) = found.strange {
        return Err(LtxError::Strange(strange));
    }
    let (files, left_out) = shrunk::without(store, found.files).await?;
    let mut plan = plan::plan(files)?;
    let txid = plan.last().map_or(0, |file| file.last);
    let files = plan.len();
    plan.reverse();
    let written = Arc::new(AtomicU64::new(0));
    let (parts, mut taken) = mpsc::channel(WAITING);
    let mut reading = store.read_ltx(plan.clone(), ahead);
    let fetch = async move {
        while let Some(part) = reading.next().await {
            // Nobody takes it any more when decoding has failed, and that says why.
            if parts.send(part?).await.is_err() {
                break;
            }
        }
        Ok::<_, LtxError>(())
    };
    let counter = Arc::clone(&written);
    // It ends by itself when this is dropped: then no part comes any more.
    let apply = tokio::task::spawn_blocking(move || {
        apply::apply(std::iter::from_fn(|| taken.blocking_recv()), &plan, &file, &counter)
    });
    let mut both = pin!(async {
        let fetched = fetch.await;
        let applied = apply.await.map_err(io::Error::other)?;
        fetched.and(applied)
    });
    let mut tick = tokio::time::interval(TELL);
    let bytes = loop {
        tokio::select! {
            done = &mut both => break done?,
            _ = tick.tick() => progress(written.load(Ordering::Relaxed)),
        }
    };
    progress(bytes);
    Ok(Read { bytes, txid, files, left_out })
}

#[cfg(test)]
mod tests;
