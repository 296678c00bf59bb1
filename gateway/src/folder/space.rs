//! How much room the disk has that a folder is on. Decides nothing about what that is enough for.

use std::{io, path::Path};

/// The room, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// What this process may still fill.
    pub(crate) free: u64,
    /// All of it.
    pub(crate) size: u64,
}

/// Looks at the disk of `folder`.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn of(folder: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space { free: bytes(found.f_bavail), size: bytes(found.f_blocks) })
}
