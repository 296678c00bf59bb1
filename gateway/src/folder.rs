//! The pod's data folder: one process at a time, one pod's name for life. Decides who may use the folder; knows nothing
//! of what is kept in it.

pub(crate) mod kept;
pub(crate) mod note;
pub(crate) mod space;
pub(crate) mod writing;

use kept::{Identity, Kept};
use serde::{Deserialize, Serialize};
use shared::PodId;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The file that is locked for as long as a process uses the folder. It says who does.
const LOCK: &str = "gateway.lock";
/// The file that says whose folder it is.
const OWNER: &str = "pod.json";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// Another process uses it.
    #[error("the data folder {path} is in use by {holder}; stop that one, or choose another folder with --data")]
    InUse {
        /// The folder.
        path: String,
        /// Who holds it, as far as it said.
        holder: String,
    },
    /// It belongs to another pod.
    #[error("the data folder {path} is {owner}'s, this pod is {pod}; give the pod its own folder with --data")]
    OtherPod {
        /// The folder.
        path: String,
        /// Whose it is.
        owner: PodId,
        /// Who asked.
        pod: PodId,
    },
    /// The note about whose it is cannot be read.
    #[error(
        "{path} is damaged: {source}; restore it, or put the pod's name back as {{\"pod\":\"NAME\",\"boot_id\":\"\"}}"
    )]
    Damaged {
        /// The file.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// The folder cannot be made, read or written.
    #[error("cannot use {path}: {source}; check --data and its permissions")]
    Io {
        /// What was touched.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// A data folder that only this process uses; given back when it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    same_boot: bool,
    kept: Kept,
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    pod: PodId,
    /// The kernel boot the folder was last used under.
    boot_id: String,
}

impl Folder {
    /// Takes the folder for `pod`, making it when there is none. `uid` is the UID the orchestrator has given the pod.
    ///
    /// # Errors
    /// [`FolderError`].
    pub(crate) fn take(path: &Path, pod: &PodId, uid: Option<&str>) -> Result<Self, FolderError> {
        make_private(path)?;
        let lock = lock(path, pod)?;
        let (file, boot_id) = (path.join(OWNER), boot_id());
        let known = read_owner(&file)?;
        if let Some(Owner { pod: owner, .. }) = known.as_ref().filter(|owner| owner.pod != *pod) {
            let path = path.display().to_string();
            return Err(FolderError::OtherPod { path, owner: owner.clone(), pod: pod.clone() });
        }
        let same_boot = known.as_ref().is_some_and(|owner| owner.boot_id == boot_id && !boot_id.is_empty());
        if !same_boot {
            let text = serde_json::to_vec(&Owner { pod: pod.clone(), boot_id: boot_id.clone() });
            let written = text.map_err(io::Error::from).and_then(|text| note::replace(&file, &text));
            written.map_err(failed(&file))?;
        }
        let kept = Kept::new(path, identity(pod, uid));
        Ok(Self { path: path.to_owned(), same_boot, kept, _lock: lock })
    }

    /// Returns the folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is kept in it of the pod's lease and of what it has fenced.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Returns whether the folder was last used under the same boot of this machine's kernel: a restart in place.
    pub(crate) fn same_boot(&self) -> bool {
        self.same_boot
    }
}

/// Returns who this process is to the notes of a folder.
pub(crate) fn identity(pod: &PodId, uid: Option<&str>) -> Identity {
    Identity { pod: pod.clone(), uid: uid.map(str::to_owned), boot_id: boot_id() }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.display().to_string();
    move |source| FolderError::Io { path, source }
}

fn make_private(path: &Path) -> Result<(), FolderError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

fn lock(folder: &Path, pod: &PodId) -> Result<File, FolderError> {
    let path = folder.join(LOCK);
    // Not truncated: until the lock is had, the text is the holder's.
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(failed(&path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = Read::by_ref(&mut file).take(200).read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
            return Err(FolderError::InUse { path: folder.display().to_string(), holder });
        }
        Err(why) => return Err(failed(&path)(why.into())),
    }
    // Only a help for people: a full disk must not keep a pod from saying so itself.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "process {} ({pod})", std::process::id()));
    Ok(file)
}

fn read_owner(file: &Path) -> Result<Option<Owner>, FolderError> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| FolderError::Damaged { path: file.display().to_string(), source }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(file)(why)),
    }
}

/// The kernel's boot id; empty where there is none.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
