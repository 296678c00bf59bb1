//! Says in the folder that its database is being written, from before the first commit until it is closed: whoever finds that at its
//! start knows that the writer before it was killed. Decides nothing about what follows.

use super::note;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file.
const FILE: &str = "writing.json";

/// The database is being written.
#[derive(Debug)]
pub(crate) struct Writing(PathBuf);

impl Writing {
    /// Returns whether a writer has begun and has not closed the database.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub(crate) fn was_killed(folder: &Path) -> io::Result<bool> {
        fs::exists(folder.join(FILE))
    }

    /// Writes it down, on disk once this returns.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE);
        note::replace(&file, b"{}")?;
        Ok(Self(file))
    }

    /// The database is closed. Without this call it counts as killed.
    pub(crate) fn end(self) {
        if let Err(why) = note::remove(&self.0) {
            tracing::warn!(error = %why, "cannot write down that the database is closed, the next start takes this one for killed");
        }
    }
}
