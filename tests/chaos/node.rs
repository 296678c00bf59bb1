//! One process of the cluster in a namespace and a process group of its own: started, killed, paused and started again in
//! place, with its clocks and its disk in the harness's hand and a proxy in front of it. Knows nothing of why.

use crate::{net::Place, preload::Control, preload::SETTING};
use anyhow::Context;
use berth_tests::process::clean;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A node's proxy listens this much above the node.
pub(crate) const PROXY: u16 = 100;

/// How a node is started.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The program and its arguments.
    pub(crate) line: Vec<String>,
    /// Its settings.
    pub(crate) settings: Vec<(String, String)>,
    /// The port it listens on.
    pub(crate) port: u16,
    /// The library that turns its clocks, when they are to be turned.
    pub(crate) preload: Option<PathBuf>,
}

/// A process, or the place of one that is not running.
#[derive(Debug)]
pub(crate) struct Node {
    place: Place,
    recipe: Recipe,
    log: File,
    control: Control,
    child: Option<Child>,
    proxy: Option<Child>,
}

impl Node {
    /// Makes a node whose log and control page lie in `folder`, with a proxy in front when `proxied`; does not start it.
    pub(crate) fn new(place: Place, recipe: Recipe, folder: &Path, proxied: bool) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join(format!("{}.log", place.name())))?;
        let control = Control::new(&folder.join(format!("{}.control", place.name())))?;
        let proxy = proxied.then(|| {
            let own = std::env::current_exe().context("the harness knows its own path")?;
            let ports = [(recipe.port + PROXY).to_string(), recipe.port.to_string()];
            let mut command = inside(&place, &log)?;
            let command = command.arg(own).arg("proxy").args(ports).stdin(Stdio::piped());
            command.spawn().context("the proxy cannot be started")
        });
        Ok(Self { place, recipe, log, control, child: None, proxy: proxy.transpose()? })
    }

    /// Makes what stands beside a node, in its place, with a log of its own; does not start it.
    pub(crate) fn beside(place: &Place, recipe: Recipe, folder: &Path) -> anyhow::Result<Self> {
        let file = |end: &str| folder.join(format!("{}.litestream.{end}", place.name()));
        let log = OpenOptions::new().create(true).append(true).open(file("log"))?;
        let control = Control::new(&file("control"))?;
        Ok(Self { place: place.clone(), recipe, log, control, child: None, proxy: None })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.place.name()
    }

    /// Where it stands in the network.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The port others reach it on: the proxy's, when there is one.
    pub(crate) fn port(&self) -> u16 {
        self.recipe.port + if self.proxy.is_some() { PROXY } else { 0 }
    }

    /// The URL of a path on it, as others reach it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.place.address(), self.port())
    }

    /// The URL of a path on it, past its proxy.
    pub(crate) fn direct(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.place.address(), self.recipe.port)
    }

    /// Its clocks and its disk.
    pub(crate) fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Its clocks' history.
    pub(crate) fn clocks(&self) -> &[crate::preload::Piece] {
        self.control.pieces()
    }

    /// Starts it; does nothing when it runs.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        if self.running() {
            return Ok(());
        }
        let mut command = inside(&self.place, &self.log)?;
        // The program alone is to be turned, not what starts it.
        command.arg("env");
        if let Some(library) = &self.recipe.preload {
            command.arg(format!("LD_PRELOAD={}", library.display()));
            command.arg(format!("{SETTING}={}", self.control.path().display()));
        }
        command.args(&self.recipe.line).envs(self.recipe.settings.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.stdin(Stdio::piped()).spawn().context("a node cannot be started")?);
        Ok(())
    }

    /// Returns whether it has been started and has not ended.
    pub(crate) fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Returns whether it has ended and wants its folder to be prepared anew.
    pub(crate) fn must_prepare(&mut self) -> bool {
        let code = |child: &mut Child| child.try_wait().ok()??.code();
        self.child.as_mut().and_then(code) == Some(i32::from(gateway::boot::EX_TEMPFAIL))
    }

    /// Sends it a signal, and whatever it has started.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.running()
            && let Some(child) = &self.child
        {
            // It may end at this very moment.
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Ends it in order; kills it after `most`. Returns whether it ended by itself.
    pub(crate) async fn stop(&mut self, most: Duration) -> bool {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = tokio::time::Instant::now() + most;
        while self.running() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ended = !self.running();
        self.kill();
        ended
    }

    /// Gives its proxy an order; none does nothing.
    pub(crate) fn order(&mut self, order: &str) {
        if let Some(mut input) = self.proxy.as_ref().and_then(|proxy| proxy.stdin.as_ref()) {
            let _ = writeln!(input, "{order}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut proxy) = self.proxy.take() {
            let _ = proxy.kill();
            let _ = proxy.wait();
        }
    }
}

/// A command that runs what it is given in the place's namespace, in a process group of its own, and logs to a file.
pub(crate) fn inside(place: &Place, log: &File) -> anyhow::Result<Command> {
    let namespace = place.namespace();
    let [program, arguments @ ..] = place.inside(&namespace);
    let mut command = clean(Command::new(program));
    command.args(arguments).process_group(0).stdout(log.try_clone()?).stderr(log.try_clone()?);
    Ok(command)
}
