//! `drill.json` in the data folder: what the last drills came to, over restarts. A note that is damaged is as good as none.

use crate::folder::note;
use serde::{Deserialize, Serialize};
use shared::wire::drill::Drill;
use std::{io, path::Path};

/// The file.
const FILE: &str = "drill.json";

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) last: Option<Drill>,
    /// When the last good one began, in milliseconds since the Unix epoch.
    pub(super) good_ms: Option<u64>,
}

impl Note {
    /// Reads it.
    pub(super) fn read(folder: &Path) -> Self {
        note::read(&folder.join(FILE)).unwrap_or_default()
    }

    /// Replaces it.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        note::write(&folder.join(FILE), self)
    }
}
