//! Before a gateway begins: which lineage its database writes (LITESTREAM.md, Boot; OWNERSHIP.md, Data 1). `prepare` continues the
//! one of the process before or begins another, `replicate` becomes the Litestream that writes it, and the gateway itself makes
//! sure of it as it starts. Decides the order of the steps; what is to be done is decided, purely, in `decide`.
//!
//! ```text
//! prepare    gateway.lock ▸ look ▸ same owner? ── yes ──► continue: litestream.yml
//!                                    └ no ▸ wait until the last life may be succeeded ▸ end Litestream ▸ SEAL ▸ list
//!                                           ▸ keep or restore ▸ next life ▸ Litestream's folder goes ▸ begun.json ▸ lineage.json
//! replicate  litestream.lock, as standard input ▸ becomes litestream replicate
//! gateway    (--prepare: all that prepare does ▸) gateway.lock ▸ lineage.json is of this life and this owner
//!            ▸ writing.json is there: the one before was killed ▸ WAL begun anew ▸ writing.json … closed ▸ it goes
//! ```

mod command;
mod decide;
mod holder;
mod note;
mod over;
mod prepare;
mod replicate;
mod settle;
#[cfg(feature = "plant")]
pub mod simulation;
mod steps;
mod wait;

pub(crate) use command::prepare_first;
pub use command::{Task, asked, with_tasks};
pub(crate) use note::{Opened, check};
pub(crate) use over::Over;
pub use over::{EX_TEMPFAIL, MustPrepare, exit_code};
pub(crate) use settle::begin_writing;
pub(crate) use steps::socket;

use crate::{
    folder::FolderError,
    replica::{LitestreamError, ReplicaError, RestoreError},
    store::StoreError,
};
use std::{io, path::PathBuf};

/// Why a pod's data folder could not be prepared, or may not be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The folder.
    #[error("{0}")]
    Folder(String),
    /// The replica's store.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Litestream.
    #[error(transparent)]
    Litestream(#[from] LitestreamError),
    /// The last life's copy cannot be had, and nothing is begun empty.
    #[error(
        "the database of {pod} is not here and cannot be restored: {source}; when its data is lost for good, say so: berth pod accept-data-loss {pod} --reason …"
    )]
    Restore {
        /// Whose.
        pod: shared::PodId,
        /// The cause.
        source: RestoreError,
    },
    /// The database.
    #[error("the database in {path}: {source}")]
    Store {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
    /// A file of the folder.
    #[error("cannot use {path}: {source}; check --data and its permissions")]
    Io {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The gateway was started before its folder was prepared.
    #[error(
        "{0}; run `berth gateway prepare` with the same flags first, or give --prepare, or set BERTH_REPLICATION=off"
    )]
    Unprepared(String),
    /// Somebody holds Litestream's lock and does not let it go.
    #[error("{path} is held by {holder}, which does not end; stop it")]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who, as far as it can be seen.
        holder: String,
    },
    /// The control socket's path does not fit.
    #[error("the path of Litestream's control socket is longer than 100 bytes: {0}; set --litestream-socket")]
    LongSocket(PathBuf),
    /// A setting that has no default.
    #[error(transparent)]
    Setting(#[from] shared::settings::SettingError),
    /// config-service's address is none.
    #[error("--config-url: {0}")]
    Config(String),
    /// Told to stop while it waited.
    #[error("stopped while it waited for the pod's last life to end")]
    Stopped,
}

impl From<FolderError> for BootError {
    fn from(why: FolderError) -> Self {
        Self::Folder(why.to_string())
    }
}

impl BootError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    fn store(path: impl Into<PathBuf>) -> impl FnOnce(StoreError) -> Self {
        let path = path.into();
        move |source| Self::Store { path, source }
    }
}
