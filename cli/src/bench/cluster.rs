//! The cluster that is measured: a `berth up` of this very binary in a folder that goes away with it, on free ports, with
//! no setting of the caller's environment.

use crate::{exit::Failure, home::Home, secrets::Made};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// A running cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    child: Child,
    // The last field: the folder goes when the processes have.
    folder: TempDir,
}

/// What is needed to use it.
#[derive(Debug)]
pub(super) struct Found {
    /// http-service.
    pub(super) http_url: String,
    /// config-service.
    pub(super) config_url: String,
    /// What events are signed with.
    pub(super) secrets: Made,
}

impl Cluster {
    /// Starts it; does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(pods: u16) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("berth-bench-").map_err(Failure::error)?;
        let mut command = Command::new(std::env::current_exe().map_err(Failure::error)?);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BERTH_")) {
            command.env_remove(name);
        }
        let free = ["--http-port=0", "--config-port=0", "--gateway-port-base=0"];
        command.args(["up", "--exit-with-parent", "--pods", &pods.to_string()]).args(free);
        command.arg("--data").arg(folder.path());
        let log = std::fs::File::create(folder.path().join("up.log")).map_err(Failure::error)?;
        // The other end of its standard input closes with this process, whatever becomes of it.
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        Ok(Self { child: child.map_err(Failure::error)?, folder })
    }

    /// Returns the supervisor's process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says where it listens.
    ///
    /// # Errors
    /// When it ends instead, or takes longer than `most`.
    pub(super) async fn found(&mut self, most: Duration) -> Result<Found, Failure> {
        let (home, deadline) = (Home::at(self.folder.path()), Instant::now() + most);
        loop {
            if let Some(cluster) = home.cluster()?
                && let Some(secrets) = Made::load(&home)?
            {
                return Ok(Found { http_url: cluster.http_url, config_url: cluster.config_url, secrets });
            }
            if let Some(status) = self.child.try_wait().map_err(Failure::error)? {
                return Err(Failure::error(format!("the cluster ended with {status}: {}", self.said())));
            }
            if Instant::now() > deadline {
                return Err(Failure::error(format!("the cluster did not start in {most:?}: {}", self.said())));
            }
            sleep(POLL).await;
        }
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// When it has not ended in time; it is killed then.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + STOP;
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        while self.child.try_wait().map_err(Failure::error)?.is_none() {
            if Instant::now() > deadline {
                return Err(Failure::error(format!("the cluster did not stop: {}", self.said())));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("up.log")).unwrap_or_default();
        log.lines().next_back().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What was stopped in order is no more; what was not ends with its supervisor.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
