//! For tests: a database, and the real Litestream that copies it into a folder.

use super::litestream::last_words;
use super::{Base, Lineage, Litestream, ReplicaArgs, Service, service_config};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The Litestream that `./test` installs.
pub(crate) fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/litestream-0.5.17/bin/litestream");
    assert!(target.exists(), "{} is missing; ./test installs it", target.display());
    target
}

/// Whose copies they are.
pub(crate) fn lineage() -> Lineage {
    Lineage::parse("1/gateway-0/0190163d-8694-739b-aea5-966c26f8ad91").expect("a lineage")
}

/// A database and its replica.
pub(crate) struct Copied {
    /// The folder that both are in, and anything else may be.
    pub(crate) dir: tempfile::TempDir,
    /// Where the replica is, and the real Litestream.
    pub(crate) args: ReplicaArgs,
    /// The database.
    pub(crate) conn: Connection,
}

impl Copied {
    /// Begins an empty database with pages of so many bytes, not copied yet.
    pub(crate) fn begin(page_size: u32) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let replica = Some(Base::Folder(dir.path().join("replica")));
        let args = ReplicaArgs { replica, ..ReplicaArgs::for_tests(program()) };
        let conn = Connection::open(dir.path().join("berth.db")).expect("made");
        let pragmas = format!(
            "PRAGMA page_size = {page_size}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA synchronous = OFF; PRAGMA busy_timeout = 60000"
        );
        conn.execute_batch(&pragmas).expect("made");
        Self { dir, args, conn }
    }

    /// Returns the folder of its LTX files, with a folder for each level.
    pub(crate) fn ltx(&self) -> PathBuf {
        self.dir.path().join("replica").join(lineage().path()).join("ltx")
    }

    /// Returns the LTX files, in order of level and transactions.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let read = |dir: &Path| -> Vec<PathBuf> {
            fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
        };
        let mut files: Vec<_> = read(&self.ltx()).iter().flat_map(|level| read(level)).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "ltx"));
        files.sort();
        files
    }

    /// Returns `litestream replicate` with the settings that are shipped, `change` applied to their text.
    pub(crate) fn replicate(&self, change: impl FnOnce(String) -> String) -> Command {
        let (database, socket) = (self.dir.path().join("berth.db"), self.dir.path().join("s"));
        let service = Service { database: &database, socket: &socket, metrics: None, lineage: &lineage() };
        let base = self.args.base().expect("a replica");
        let config = self.dir.path().join("litestream.yml");
        fs::write(&config, change(service_config(&self.args, &base, service))).expect("written");
        let mut command = Litestream::new(&self.args).command();
        command.arg("replicate").arg("-config").arg(config);
        command
    }

    /// Copies what is there, and all of it once more when a `whole` copy is wanted.
    pub(crate) fn copy(&self, whole: bool) {
        let mut command = self.replicate(|text| text);
        command.arg("-once").args(whole.then_some("-force-snapshot"));
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{}", last_words(&output));
    }
}
