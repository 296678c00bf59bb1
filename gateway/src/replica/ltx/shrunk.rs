//! A last file that must not count: a gateway was killed when its commit was whole in the WAL and SQLite did not count it yet.
//! Litestream has uploaded that commit, then moved the WAL into a database without it, and written a number of its own as the first
//! transaction of the next WAL. Where the commit made the database longer, that last file cuts its new pages off, and what is left
//! is no whole database. Nothing of Berth's is in it: the state before it is what was uploaded of the pod, to the last commit.
//!
//! ```text
//! 000b   pages 1, 3, … 102   102 pages     the pod's last commits, and the one that SQLite did not count
//! 000c   page 38             101 pages     Litestream's number: left out
//! ```

use super::{LtxError, decode::Decoder, format::HEADER, format::Header, parts::Parts};
use crate::replica::{ReplicaStore, store::LtxFile};

/// The table that Litestream writes its number to: one row, on the page that is its root.
pub(in crate::replica) const OWN_TABLE: &str = "_litestream_seq";
/// More bytes than a file with one page has.
const ONE_PAGE: u64 = (64 << 10) + 512;

/// Leaves such a file out, with all that were made of it, and returns its only page then.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn without(
    store: &ReplicaStore,
    mut files: Vec<LtxFile>,
) -> Result<(Vec<LtxFile>, Option<u32>), LtxError> {
    let Some((before, last)) = ends(&files) else { return Ok((files, None)) };
    let bytes = store.read_head(last, ONE_PAGE).await?;
    let Some((page, pages)) = only_page(bytes, last.size) else { return Ok((files, None)) };
    let head = store.read_head(before, HEADER as u64).await?;
    if Header::parse(&head).is_ok_and(|before| before.pages > pages) {
        let reached = before.last;
        files.retain(|file| file.last <= reached);
        return Ok((files, Some(page)));
    }
    Ok((files, None))
}

/// Returns the last two transactions, when each is in a file of its own and nothing goes further.
fn ends(files: &[LtxFile]) -> Option<(&LtxFile, &LtxFile)> {
    let reached = files.iter().map(|file| file.last).max()?;
    let alone = |txid: u64| files.iter().find(|file| file.level == 0 && (file.first, file.last) == (txid, txid));
    let last = alone(reached).filter(|last| last.size < ONE_PAGE)?;
    Some((alone(reached.checked_sub(1)?)?, last))
}

/// Returns the page of a whole file that has only one, and the pages of the database after it.
fn only_page(bytes: bytes::Bytes, size: u64) -> Option<(u32, u32)> {
    let mut parts = Parts::new(std::iter::once(bytes));
    let mut decoder = Decoder::begin(&mut parts, size).ok()?;
    let pages = decoder.header().pages;
    let (page, _) = decoder.page().ok()??;
    let is_only = matches!(decoder.page(), Ok(None)) && decoder.end().is_ok();
    is_only.then_some((page, pages))
}
