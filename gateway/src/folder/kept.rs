//! What a pod keeps in its folder of its lease and of what it has fenced as a witness (OWNERSHIP.md, Leases 4 and 12).
//! Decides whether what an earlier process has kept may be gone on with: only by the same pod, under the same UID and boot.

use super::note::{self, NoteError};
use serde::{Deserialize, Serialize};
use shared::protocol::holder::Remembered;
use shared::wire::{control::Witnesses, peers::Mark};
use shared::{Incarnation, LeaseId, PodId, Term};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The lease, as the process that is gone held it last.
const LEASE: &str = "lease.json";
/// What this pod has fenced.
const MARKS: &str = "marks.json";

/// Who keeps: a process is the same owner as the one before it only when all of this is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The pod's name.
    pub(crate) pod: PodId,
    /// The UID the orchestrator has given this pod; none where there is no orchestrator.
    pub(crate) uid: Option<String>,
    /// The kernel's boot; empty where it is not known, and then nothing is the same.
    pub(crate) boot_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LeaseNote {
    by: Identity,
    lease_id: LeaseId,
    incarnation: Incarnation,
    /// The cluster generation the lease is of.
    generation: u32,
    /// The highest term of a leader that the pod had heard of.
    #[serde(default)]
    term: Term,
    witnesses: Witnesses,
}

#[derive(Debug, Serialize, Deserialize)]
struct MarksNote {
    by: Identity,
    marks: Vec<Mark>,
}

/// The notes of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    by: Identity,
    lease: PathBuf,
    marks: PathBuf,
}

impl Kept {
    /// Names the notes in `folder`.
    pub(crate) fn new(folder: &Path, by: Identity) -> Self {
        Self { by, lease: folder.join(LEASE), marks: folder.join(MARKS) }
    }

    /// Returns who keeps.
    pub(crate) fn by(&self) -> &Identity {
        &self.by
    }

    /// Returns the lease that a restart in place may go on under, as of the cluster generation that the pod's assignments
    /// are known in; none when there is no such lease.
    pub(crate) fn remembered(&self, generation: u32) -> Option<Remembered> {
        let found = self.read::<LeaseNote>(&self.lease, "the pod registers anew")?;
        let why = if !self.is_same(&found.by) {
            "it is of another pod, pod UID or boot"
        } else if found.generation != generation {
            "its assignments were never confirmed in this cluster generation"
        } else {
            let LeaseNote { lease_id, incarnation, witnesses, .. } = found;
            return Some(Remembered { lease_id, incarnation, witnesses });
        };
        tracing::info!(reason = why, "the lease that was kept is not gone on with");
        None
    }

    /// Returns the highest term that an earlier process had heard of when it wrote its lease down; 0 when that is not known.
    /// Only more caution follows from it, so it counts from whatever pod UID or boot.
    pub(crate) fn term(&self) -> Term {
        self.read::<LeaseNote>(&self.lease, "the terms of leaders are learned anew").map_or(Term(0), |note| note.term)
    }

    /// Writes down the lease under which a restart in place may go on, and the highest term the pod has heard of.
    ///
    /// # Errors
    /// When it may not be on disk.
    pub(crate) fn keep_lease(&self, remembered: &Remembered, generation: u32, term: Term) -> io::Result<()> {
        let Remembered { lease_id, incarnation, witnesses } = remembered.clone();
        let by = self.by.clone();
        note::write(&self.lease, &LeaseNote { by, lease_id, incarnation, generation, term, witnesses })
    }

    /// Takes the lease away: no process goes on under it.
    ///
    /// # Errors
    /// When it may still be on disk.
    pub(crate) fn drop_lease(&self) -> io::Result<()> {
        note::remove(&self.lease)
    }

    /// Returns everything this pod has fenced; none when some of it may be lost: the note is not there or not whole, or the
    /// folder may be a copy of an older one.
    pub(crate) fn marks(&self) -> Option<Vec<Mark>> {
        let found = self.read::<MarksNote>(&self.marks, "the pod promises nothing before it has read them back")?;
        if !self.is_same(&found.by) {
            tracing::info!("the fencing marks are of another pod, pod UID or boot, and are read back");
            return None;
        }
        Some(found.marks)
    }

    /// Writes down everything this pod has fenced.
    ///
    /// # Errors
    /// When it may not be on disk.
    pub(crate) fn keep_marks(&self, marks: Vec<Mark>) -> io::Result<()> {
        note::write(&self.marks, &MarksNote { by: self.by.clone(), marks })
    }

    fn is_same(&self, by: &Identity) -> bool {
        *by == self.by && !by.boot_id.is_empty()
    }

    fn read<T: serde::de::DeserializeOwned>(&self, file: &Path, so: &'static str) -> Option<T> {
        match note::read(file) {
            Ok(found) => Some(found),
            Err(NoteError::Missing) => None,
            Err(why) => {
                tracing::warn!(file = %file.display(), error = %why, so, "a note in the data folder is taken for lost");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
