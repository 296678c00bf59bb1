//! A cluster started the way a new user starts it: `berth up` as one process, its children found through the kernel.

use crate::{
    cluster::{ADMIN_TOKEN, Cluster},
    ports::free_ports,
    process::{Process, berth, clean, command},
    wait::eventually,
};
use shared::platform::{REFUSAL_TEXT, UNSURE_TEXT};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// How long a whole cluster may take to become ready on a busy machine.
const UP: Duration = Duration::from_secs(150);

/// How long an event may be sent again and again.
const TAKEN: Duration = Duration::from_secs(120);

/// A running `berth up`.
#[derive(Debug)]
pub struct Up {
    /// The supervisor.
    pub process: Process,
    /// Its data folder.
    pub data: PathBuf,
    /// http-service's port; config-service has the next one, the gateways those that follow.
    pub port: u16,
}

impl Up {
    /// Starts a cluster with two gateways in `data`; does not wait for it.
    pub fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_on(data, free_ports(4), more)
    }

    /// Starts it on these ports.
    pub fn start_on(data: &Path, port: u16, more: &[&str]) -> Self {
        Self::start_in(data, port, more, &[])
    }

    /// Starts it on these ports, with this beside what stories set in the environment.
    pub fn start_in(data: &Path, port: u16, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.envs(environment.iter().copied());
        if !more.contains(&"--pods") {
            command.env("BERTH_UP_PODS", "2");
        }
        command.args(["up", "--exit-with-parent", "--data"]).arg(data);
        command.args(["--http-port", &port.to_string(), "--config-port", &(port + 1).to_string()]);
        command.args(["--gateway-port-base", &(port + 2).to_string()]).args(more);
        Self { process: Process::start("berth up", command), data: data.to_owned(), port }
    }

    /// Waits until it has printed its screen.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub async fn ready(&mut self) {
        eventually("berth up prints its screen", UP, async || {
            if let Some(status) = self.process.ended() {
                panic!("berth up ended with {status}");
            }
            self.process.stdout.contains("Ctrl-C stops everything").then_some(())
        })
        .await;
    }

    /// Returns the ids of the children with their command lines.
    pub fn children(&self) -> Vec<(i32, String)> {
        children_of(self.process.pid().as_raw_nonzero().get())
    }

    /// Returns the id of the child whose command line contains all of `words`.
    ///
    /// # Panics
    /// When there is none.
    pub fn child(&self, words: &[&str]) -> i32 {
        let all = self.children();
        let found = all.iter().find(|(_, line)| words.iter().all(|word| line.contains(word)));
        found.unwrap_or_else(|| panic!("no child {words:?} among {all:?}")).0
    }
}

/// Runs `berth` with `arguments` and waits for its end.
///
/// # Panics
/// When it cannot be started.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("berth runs")
}

/// Sends an event with `berth send` until it is acknowledged; returns what was said then. A command that nobody takes in time is
/// answered with a sentence for whoever waits, which is no error.
///
/// # Panics
/// When it is not, after two minutes.
pub async fn send(line: &[&str]) -> String {
    let line = [&["send"], line].concat();
    eventually(&format!("berth {} is taken", line.join(" ")), TAKEN, async || {
        let sent = run(&line);
        let said = String::from_utf8_lossy(&sent.stdout).into_owned();
        let told = [REFUSAL_TEXT, UNSURE_TEXT].iter().any(|text| said.contains(text));
        (sent.status.success() && !told).then_some(said)
    })
    .await
}

/// Runs `berth` with `line` as an operator of this cluster does, and waits for its end.
///
/// # Panics
/// When it cannot be started.
pub fn operate(cluster: &Cluster, line: &[&str]) -> Output {
    let url = cluster.config.url("");
    run(&[line, &["--config-url", &url, "--token", ADMIN_TOKEN]].concat())
}

/// Runs a line in a shell, in `folder`, as somebody does who pastes it. `berth` is found as it was called.
///
/// # Panics
/// When there is no shell.
pub fn paste(line: &str, folder: &Path) -> Output {
    let mut shell = clean(Command::new("sh"));
    shell.args(["-c", line]).current_dir(folder);
    assert!(berth().is_file());
    shell.output().expect("a shell runs")
}

/// Returns the ids of the processes that a process has started, with their command lines.
pub fn children_of(parent: i32) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<_> = ids
        .filter_map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; what follows the last one does not.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, own_parent) = (fields.next()?, fields.next()?.parse::<i32>().ok()?);
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (own_parent == parent && state != "Z").then_some((id, line))
        })
        .collect();
    found.sort();
    found
}

/// Returns whether a process runs; one that is only waiting to be reaped does not.
pub fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
