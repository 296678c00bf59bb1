//! The table in a file: written now and then and at the end, read by a router that starts while config-service is gone. A
//! stale one does no harm: the pods know their epochs. Decides when to write, not what is true.

use super::Routes;
use crate::shutdown::Shutdown;
use crate::wire::control::PodInfo;
use crate::{Epoch, PodId, Revision, TargetId};
use serde::{Deserialize, Serialize};
use std::{fs::File, io, io::Write, path::Path, path::PathBuf, time::Duration};

/// A table as it lies in the file, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// How it is written.
    pub(super) version: u32,
    /// The revision it is complete up to.
    pub(super) revision: Revision,
    /// The pods, by name.
    pub(super) pods: Vec<PodInfo>,
    /// Owner and epoch of each target, by target.
    pub(super) routes: Vec<(TargetId, PodId, Epoch)>,
}

impl Kept {
    /// How tables are written by this version.
    pub(super) const VERSION: u32 = 1;

    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, it is of another version, or damaged.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let kept: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        if kept.version == Self::VERSION {
            return Ok(kept);
        }
        Err(io::Error::other(format!("version {} of the file is not known here", kept.version)))
    }

    /// Writes the file, all of it or nothing.
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = path.with_file_name(name);
        let mut file = io::BufWriter::new(File::create(&new)?);
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::rename(&new, path)
    }
}

/// The task that keeps the table in a file.
#[derive(Debug)]
pub struct Keeper {
    /// What is kept.
    pub routes: Routes,
    /// Where.
    pub file: PathBuf,
    /// How often it is written, when it has changed.
    pub every: Duration,
}

impl Keeper {
    /// Runs until `shutdown`, and writes once more then.
    pub async fn run(self, shutdown: Shutdown) {
        let mut written = None;
        loop {
            let ends = shutdown.run_until_cancelled(tokio::time::sleep(self.every)).await.is_none();
            let newest = self.routes.resume_at();
            if newest != written {
                match self.write().await {
                    Ok(()) => written = newest,
                    Err(why) => {
                        tracing::warn!(file = %self.file.display(), error = %why, "cannot keep the routing table");
                    }
                }
            }
            if ends {
                return;
            }
        }
    }

    async fn write(&self) -> io::Result<()> {
        let Some(kept) = self.routes.kept() else { return Ok(()) };
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || kept.write(&file)).await.map_err(io::Error::other)?
    }
}
