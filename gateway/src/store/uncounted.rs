//! A commit that failed when all of it was in the WAL already: SQLite does not count it, and Litestream, which reads the WAL itself, may
//! have uploaded it by now (docs/adr/0035). Decides which failures those are, and ends the process at them: only the next start
//! can make replica and database one again.

use super::StoreError;
use rusqlite::ffi;

/// The exit status: a disk has failed.
const EX_IOERR: i32 = 74;

/// Returns why a commit failed, if nothing of it counts anywhere. Ends the process otherwise.
pub(super) fn or_end(why: rusqlite::Error) -> StoreError {
    if may_be_uploaded(&why) {
        tracing::error!(error = %why, "a commit could not be flushed, and may be in the replica all the same: ending at once, the next start makes both one again");
        std::process::exit(EX_IOERR);
    }
    why.into()
}

/// Whether the frames were written, and what comes after them failed: the flush, or room in the index of the WAL.
fn may_be_uploaded(why: &rusqlite::Error) -> bool {
    let after =
        [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_SHMOPEN, ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_SHMMAP];
    why.sqlite_error().is_some_and(|why| after.contains(&why.extended_code))
}

#[cfg(test)]
mod tests;
