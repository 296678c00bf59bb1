//! `lineage.json`: which lineage the database in the folder writes, and who may go on with it. Decides whether a gateway may start
//! on it; knows nothing of stores.

use super::BootError;
use crate::{
    Options,
    folder::{Folder, kept::Identity, note},
    replica::Lineage,
};
use serde::{Deserialize, Serialize};
use shared::Incarnation;
use std::{io, path::Path};

/// The note's file.
const FILE: &str = "lineage.json";

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineageNote {
    /// What is written.
    pub(super) lineage: Lineage,
    /// The lineage before it.
    pub(super) previous: Option<Lineage>,
    /// Who writes it: the same one may go on with it at once.
    pub(super) by: Identity,
    /// Where, in words without secrets.
    pub(super) base: String,
    /// It is sealed, or its life was failed over: it is never gone on with.
    #[serde(default)]
    pub(super) over: bool,
}

/// Reads the note; none when there is none that can be relied on.
pub(super) fn read(folder: &Path) -> Option<LineageNote> {
    match note::read(&folder.join(FILE)) {
        Ok(found) => Some(found),
        Err(note::NoteError::Missing) => None,
        Err(why) => {
            tracing::warn!(file = FILE, error = %why, "the note of the lineage is taken for lost, another one is begun");
            None
        }
    }
}

/// Writes the note.
pub(super) fn write(folder: &Path, note: &LineageNote) -> Result<(), BootError> {
    let file = folder.join(FILE);
    note::write(&file, note).map_err(BootError::io(file))
}

/// Writes down that the lineage is over, for the next `prepare`.
pub(super) fn end(folder: &Path) -> io::Result<()> {
    match read(folder) {
        Some(found) => note::write(&folder.join(FILE), &LineageNote { over: true, ..found }),
        None => Ok(()),
    }
}

/// What a gateway writes to while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The lineage.
    pub(crate) lineage: Lineage,
}

/// Makes sure that the folder was prepared for this process: returns what its database writes, nothing when replication is off.
///
/// # Errors
/// When `prepare` has to run first, or nothing says where the replica is.
pub(crate) fn check(options: &Options, folder: &Folder) -> Result<Option<Opened>, BootError> {
    if !options.replica.is_on() {
        return Ok(None);
    }
    let base = options.replica.base()?.to_string();
    let lineage = writable(folder.path(), folder.kept().by(), &base)?;
    Ok(Some(Opened { lineage }))
}

/// Returns the lineage that the folder was prepared for, by `by` and for the replica at `base`.
///
/// # Errors
/// When `prepare` has to run first: whoever else wrote there may have gone on elsewhere meanwhile.
pub(super) fn writable(folder: &Path, by: &Identity, base: &str) -> Result<Lineage, BootError> {
    let unprepared = |why: &str| Err(BootError::Unprepared(why.to_owned()));
    match read(folder) {
        None => unprepared("the data folder has no lineage"),
        Some(found) if found.over => unprepared("the data folder's lineage is over"),
        Some(found) if found.by != *by || by.boot_id.is_empty() => {
            unprepared("the data folder was prepared for another pod, pod UID or boot")
        }
        Some(found) if found.base != base => unprepared("the data folder was prepared for another replica"),
        Some(found) => Ok(found.lineage),
    }
}

impl Opened {
    /// Makes sure that the database is in the life that the lineage is of.
    ///
    /// # Errors
    /// When it is not, and `prepare` has to run first.
    pub(crate) fn is_of(&self, incarnation: &Incarnation) -> Result<(), BootError> {
        if self.lineage.incarnation == *incarnation {
            return Ok(());
        }
        Err(BootError::Unprepared("the database is in another life than the data folder was prepared for".to_owned()))
    }
}
