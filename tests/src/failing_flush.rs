//! A disk whose flushes of a WAL fail, for as long as a story says so: a library in front of a gateway's C library, built here.

use crate::role::Role;
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

const SOURCE: &str = include_str!("failing_flush.c");

/// The library, and the file that tells it.
#[derive(Debug)]
pub struct FailingFlush(TempDir);

impl FailingFlush {
    /// Builds it; no flush fails yet.
    ///
    /// # Panics
    /// When there is no C compiler.
    pub fn build() -> Self {
        let folder = TempDir::with_prefix("berth-flush-").expect("a folder");
        let source = folder.path().join("failing_flush.c");
        fs::write(&source, SOURCE).expect("written");
        let this = Self(folder);
        let built =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(this.library()).arg(&source).status();
        assert!(built.expect("cc").success(), "the library is built");
        this
    }

    /// Starts a gateway again with that disk.
    pub async fn under(&self, gateway: &mut Role) {
        gateway.set("LD_PRELOAD", &self.library().display().to_string());
        gateway.set("STORY_FAILING_FLUSH", &self.told().display().to_string());
        gateway.stop().await;
        gateway.start_again();
        gateway.ready().await;
    }

    /// Has flushes fail, or not.
    ///
    /// # Panics
    /// When that cannot be told.
    pub fn fails(&self, fails: bool) {
        if fails { fs::write(self.told(), "") } else { fs::remove_file(self.told()) }.expect("told");
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("failing_flush.so")
    }

    fn told(&self) -> PathBuf {
        self.0.path().join("fails")
    }
}
