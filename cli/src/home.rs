//! The data folder of `berth up`: what lies where, and the two files other commands read to find a running cluster and
//! its secrets. Decides nothing about processes.

use crate::exit::{Code, Failure};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The folder when none is named.
pub(crate) const DEFAULT: &str = "./.berth";

/// The data folder.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

/// What is recorded of a cluster: enough for other commands to find it. No secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// False once it was stopped in order.
    pub(crate) running: bool,
    /// The supervisor's process id.
    pub(crate) supervisor: u32,
    /// http-service.
    pub(crate) http_url: String,
    /// config-service.
    pub(crate) config_url: String,
    /// How many gateways `berth scale` asked for last; none when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scaled: Option<u16>,
    /// The gateways, by name.
    pub(crate) gateways: Vec<Gateway>,
    /// Where assignments are kept, in words: without a password in it.
    pub(crate) store: String,
    /// Names of the settings whose secrets the user gave, so that they are not in the folder.
    #[serde(default)]
    pub(crate) given: Vec<String>,
}

/// One gateway of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gateway {
    /// Its name.
    pub(crate) pod: String,
    /// Its own HTTP.
    pub(crate) url: String,
}

impl Cluster {
    /// Returns whether the user gave this secret, so that the made one is not in use.
    pub(crate) fn gave(&self, setting: &str) -> bool {
        self.given.iter().any(|given| given == setting)
    }
}

impl Home {
    /// Names a folder; nothing is touched.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Returns the folder's path as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns whether it is the folder used when none is named.
    pub(crate) fn is_default(&self) -> bool {
        self.0 == Path::new(DEFAULT)
    }

    /// Returns the folder of one child.
    pub(crate) fn child(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the log of one child.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.0.join("logs").join(format!("{name}.log"))
    }

    /// Returns the file that holds what `up` made.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.0.join("secrets.json")
    }

    /// Returns the file whose lock means: an `up` runs here.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("up.lock")
    }

    fn cluster_file(&self) -> PathBuf {
        self.0.join("cluster.json")
    }

    /// Makes the folder and what belongs into it, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        for path in [self.0.clone(), self.0.join("logs")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|why| {
                Failure::error(format!("cannot make {}: {why}; choose another folder with --data", path.display()))
            })?;
        }
        Ok(())
    }

    /// Returns what is recorded of the cluster, if anything is.
    ///
    /// # Errors
    /// When there is a record that cannot be read.
    pub(crate) fn cluster(&self) -> Result<Option<Cluster>, Failure> {
        read_json(&self.cluster_file())
    }

    /// Records the cluster.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn record(&self, cluster: &Cluster) -> Result<(), Failure> {
        write_private(&self.cluster_file(), crate::output::json(cluster).as_bytes())
    }
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
            let text = format!("{} belongs to another user; name your own folder with --data", path.display());
            return Err(Failure::new(Code::Forbidden, text));
        }
        Err(why) => return Err(Failure::error(format!("cannot read {}: {why}", path.display()))),
    };
    // The cause of a parse error may quote the text, which may be a secret: say only where it is.
    serde_json::from_slice(&text).map(Some).map_err(|why| {
        let (path, line, column) = (path.display(), why.line(), why.column());
        Failure::error(format!(
            "{path} is damaged at line {line}, column {column}; mend it, or remove it to start anew"
        ))
    })
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let fresh = path.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|why| Failure::error(format!("cannot write {}: {why}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_private_file_is_readable_by_its_owner_only_and_replaced_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        write_private(&path, b"first").expect("written");
        write_private(&path, b"second").expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"second");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.json");
        fs::write(&path, "\"hunter2").expect("written");
        let failure = read_json::<Vec<u8>>(&path).expect_err("damaged").to_string();
        assert!(failure.contains("x.json is damaged") && !failure.contains("hunter2"), "{failure}");
    }
}
