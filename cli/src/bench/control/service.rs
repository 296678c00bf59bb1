//! The config-service that is measured: a process of this very binary, without the settings of the caller's environment.

use super::super::processes;
use crate::exit::Failure;
use serde_json::{Value, json};
use shared::{http::Client, settings::Secret};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// What gateways present, and operators: it is reached on this machine only, for as long as the measurement takes.
const TOKEN: &str = "bench-gateways";
const ADMIN: &str = "bench-operator";
/// How long it may take to become ready.
const READY: Duration = Duration::from_secs(120);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The process.
#[derive(Debug)]
pub(super) struct Service {
    child: Child,
    store: String,
    port: u16,
    // The last field: the folder goes when the process has.
    folder: TempDir,
}

/// What it occupies, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// All its pages that are in memory.
    pub(super) now: u64,
    /// The most that ever were.
    pub(super) peak: u64,
}

impl Service {
    /// Starts it; does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(store: Option<&str>) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("berth-bench-").map_err(Failure::error)?;
        let store =
            store.map_or_else(|| format!("sqlite:{}", folder.path().join("config.db").display()), str::to_owned);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(Failure::error)?.port();
        let child = launch(&store, port, &folder)?;
        Ok(Self { child, store, port, folder })
    }

    /// Starts it again on the same database.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start_again(&mut self) -> Result<(), Failure> {
        self.child = launch(&self.store, self.port, &self.folder)?;
        Ok(())
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(Failure::error).map(drop)
    }

    /// Returns whether its database is PostgreSQL's.
    pub(super) fn is_postgres(&self) -> bool {
        self.store.starts_with("postgres")
    }

    /// Returns a client as gateways have it. What is only read takes no other.
    ///
    /// # Errors
    /// When its URL is none.
    pub(super) fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        self.with(TOKEN, timeout)
    }

    fn with(&self, token: &str, timeout: Duration) -> Result<Client, Failure> {
        let url = format!("http://127.0.0.1:{}", self.port);
        Client::new(&url, Some(Secret::new(token)), timeout).map_err(Failure::error)
    }

    /// Waits until it leads and says so.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let (client, deadline) = (self.client(Duration::from_secs(1))?, Instant::now() + READY);
        while client.stream("/readyz", &[]).await.is_err() {
            if let Some(status) = self.child.try_wait().map_err(Failure::error)? {
                return Err(Failure::error(format!("config-service ended with {status}: {}", self.said())));
            }
            if Instant::now() > deadline {
                return Err(Failure::error(format!("config-service is not ready after {READY:?}: {}", self.said())));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Has a plan for an even share made.
    ///
    /// # Errors
    /// When it is not.
    pub(super) async fn plan(&self) -> Result<(), Failure> {
        let make = json!({ "kind": "rebalance", "reason": "measured" });
        self.with(ADMIN, READY)?.post::<Value>("/v1/plans", &make).await.map_err(Failure::error).map(drop)
    }

    /// Returns what it occupies.
    ///
    /// # Errors
    /// Where there is no /proc.
    pub(super) fn memory(&self) -> Result<Memory, Failure> {
        let id = self.child.id();
        Ok(Memory { now: processes::usage(id)?.memory.rss_bytes, peak: processes::most(id)? })
    }

    /// Returns the processor time it has used.
    ///
    /// # Errors
    /// Where there is no /proc.
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        processes::usage(self.child.id()).map(|usage| usage.cpu)
    }

    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().next_back().unwrap_or("it said nothing").to_owned()
    }
}

fn launch(store: &str, port: u16, folder: &TempDir) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe().map_err(Failure::error)?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BERTH_")) {
        command.env_remove(name);
    }
    command.args(["config-service", "--exit-with-parent"]);
    command.env("BERTH_CONFIG_STORE", store).env("BERTH_CONFIG_LISTEN", format!("127.0.0.1:{port}"));
    command.env("BERTH_SERVICE_TOKENS", TOKEN).env("BERTH_ADMIN_TOKENS", ADMIN).env("BERTH_CONFIG_REPLICAS", "1");
    command.env("BERTH_OPEN_READS", "true");
    // What is measured is what is asked for.
    command.env("BERTH_REBALANCE_INTERVAL", "0s");
    let log = std::fs::File::create(folder.path().join("log")).map_err(Failure::error)?;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().map_err(Failure::error)
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended is no more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
