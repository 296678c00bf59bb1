//! The places that replicas are kept in, for real: a folder, moto, and s3s-fs, which keeps its objects on disk and survives a kill.
//! Each starts empty, with a bucket; the two that speak S3 stand behind a proxy. Decides nothing of what is kept there.

use crate::{
    client::Client,
    process::{Process, clean, installed},
    role::free_port,
    store_proxy::StoreProxy,
    wait::eventually,
};
use clap::Parser;
use gateway::replica::{ReplicaArgs, ReplicaStore};
use std::{process::Command, time::Duration};
use tempfile::TempDir;

/// The bucket of every store.
pub const BUCKET: &str = "berth-replicas";
/// Its key, and the secret that belongs to it.
const KEYS: (&str, &str) = ("story-key", "story-secret-that-stands-in-no-file");
/// How long a store may take to start on a busy machine.
const STARTS: Duration = Duration::from_secs(120);

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder of this machine.
    Folder,
    /// moto, in memory: what it has is gone when it ends.
    Moto,
    /// s3s-fs, in files.
    S3sFs,
}

/// A running store. It ends with the value, and so does what it keeps.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    port: u16,
    process: Option<Process>,
    proxy: Option<StoreProxy>,
    // The last field: it goes when nobody writes there any more.
    folder: TempDir,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ReplicaArgs,
}

impl Store {
    /// Starts a store with an empty bucket.
    ///
    /// # Panics
    /// When it does not start, or is not installed.
    pub async fn start(kind: Kind) -> Self {
        let folder = TempDir::with_prefix("berth-replicas-").expect("a folder");
        let mut store = Self { kind, port: 0, process: None, proxy: None, folder };
        if kind == Kind::Folder {
            return store;
        }
        std::fs::create_dir(store.folder.path().join(BUCKET)).expect("a bucket");
        store.port = free_port();
        store.launch().await;
        if kind == Kind::Moto {
            let url = format!("http://127.0.0.1:{}/{BUCKET}", store.port);
            let made = Client::new(STARTS).call(http::Method::PUT, &url, &[], "").await.expect("it answers");
            assert_eq!(made.status, 200, "{}", made.text());
        }
        store.proxy = Some(StoreProxy::start(store.port).await);
        store
    }

    async fn launch(&mut self) {
        let client = Client::new(Duration::from_secs(5));
        let mut process = self.command_of();
        eventually("the store answers", STARTS, async || {
            if process.ended().is_some() {
                // Somebody else has taken the port meanwhile.
                assert!(self.proxy.is_none(), "the store does not start again");
                self.port = free_port();
                process = self.command_of();
            }
            client.get(&format!("http://127.0.0.1:{}/", self.port)).await.ok().map(drop)
        })
        .await;
        self.process = Some(process);
    }

    fn command_of(&self) -> Process {
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::Folder => unreachable!("a folder is no process"),
            Kind::Moto => {
                let mut command = clean(Command::new(installed(MOTO)));
                command.args(["-H", "127.0.0.1", "-p", &port]);
                command
            }
            Kind::S3sFs => {
                let mut command = clean(Command::new(installed(S3S_FS)));
                command.args(["--host", "127.0.0.1", "--port", &port]);
                command.args(["--access-key", KEYS.0, "--secret-key", KEYS.1]).arg(self.folder.path());
                command.env("RUST_LOG", "warn");
                command
            }
        };
        command.current_dir(self.folder.path());
        Process::start(if self.kind == Kind::Moto { "moto" } else { "s3s-fs" }, command)
    }

    /// Ends the store as `kill -9` does; the proxy stays, and finds nobody.
    ///
    /// # Panics
    /// When the store is a folder.
    pub async fn kill(&mut self) {
        self.process.as_mut().expect("a process").kill().await;
    }

    /// Starts it again after that, with what it has kept.
    pub async fn start_again(&mut self) {
        self.launch().await;
    }

    /// Returns where replicas are, as `BERTH_REPLICA` says it.
    pub fn base(&self) -> String {
        match self.kind {
            Kind::Folder => format!("file://{}", self.folder.path().display()),
            Kind::Moto | Kind::S3sFs => format!("s3://{BUCKET}/stories/one"),
        }
    }

    /// Returns the settings of whoever works with it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("BERTH_REPLICA", self.base())];
        if let Some(proxy) = &self.proxy {
            all.push(("BERTH_REPLICA_ENDPOINT", proxy.url()));
            all.push(("BERTH_REPLICA_ACCESS_KEY_ID", KEYS.0.to_owned()));
            all.push(("BERTH_REPLICA_SECRET_ACCESS_KEY", KEYS.1.to_owned()));
            // Litestream refuses to begin an S3 replica beside one of these; Berth keeps it from it.
            all.push(("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt".to_owned()));
        }
        all
    }

    /// Returns its key and secret, as Litestream reads them from its environment.
    pub fn keys(&self) -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", KEYS.0), ("AWS_SECRET_ACCESS_KEY", KEYS.1)]
    }

    /// Returns the same as Berth reads it from its command line, with more flags.
    ///
    /// # Panics
    /// When it does not read it.
    pub fn args(&self, more: &[&str]) -> ReplicaArgs {
        let program = crate::litestream::program().display().to_string();
        let base = self.base();
        let mut line = vec!["x", "--replica", &base, "--litestream", &program];
        let endpoint = self.proxy.as_ref().map(StoreProxy::url);
        if let Some(endpoint) = &endpoint {
            line.extend(["--replica-endpoint", endpoint]);
            line.extend(["--replica-access-key-id", KEYS.0, "--replica-secret-access-key", KEYS.1]);
        }
        line.extend(more);
        Line::parse_from(line).args
    }

    /// Opens it as Berth opens it.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn open(&self) -> ReplicaStore {
        ReplicaStore::open(&self.args(&[])).expect("a store")
    }

    /// Returns the proxy in front of it.
    ///
    /// # Panics
    /// When the store is a folder: nothing stands before that.
    pub fn proxy(&self) -> &StoreProxy {
        self.proxy.as_ref().expect("a store that speaks S3")
    }
}

/// Where `./test` installs them, below the target folder, with what it says of them.
const MOTO: (&str, &str) = (
    "moto-5.2.5/bin/moto_server",
    "python3 -m venv target/moto-5.2.5 && target/moto-5.2.5/bin/pip install 'moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5",
);
const S3S_FS: (&str, &str) = (
    "s3s-fs-0.14.1/bin/s3s-fs",
    "cargo install --root target/s3s-fs-0.14.1 --version 0.14.1 --locked --features binary s3s-fs",
);
