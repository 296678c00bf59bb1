//! One child process for the whole life of the cluster: started, watched, started again when it dies, ended in order. A
//! task owns each child; the handle can only end it. When a child comes back is decided by `restart`.

use super::{
    restart::{Next, Restarts},
    tail::last_lines,
};
use rustix::process::{Pid, Signal, kill_process};
use shared::shutdown::Shutdown;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        fs::OpenOptionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child as Process, ChildStdin, Command},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// A log larger than this is set aside when its child starts; the one set aside before goes.
const LOG_LIMIT: u64 = 16 << 20;

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// Its name, for people and for its log.
    pub(super) name: String,
    /// Its command line, without secrets.
    pub(super) args: Vec<OsString>,
    /// Its environment beside the supervisor's own: here secrets travel.
    pub(super) env: Vec<(&'static str, String)>,
    /// Names it must not inherit.
    pub(super) hidden: Vec<String>,
    /// Where its output goes.
    pub(super) log: PathBuf,
    /// What has to succeed before each of its lives.
    pub(super) before: Option<Before>,
    /// It is not started before this is true.
    pub(super) after: Option<watch::Receiver<bool>>,
}

/// What is run before each life of a child, with the same environment and log.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// Its command line.
    pub(super) args: Vec<OsString>,
    /// Told when it has succeeded for the first time.
    pub(super) done: watch::Sender<bool>,
}

/// What all children have in common.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// The binary to run.
    pub(super) program: PathBuf,
    /// Where deaths are told.
    pub(super) notices: mpsc::Sender<Death>,
    /// Whether the whole cluster was ready once.
    pub(super) ever_ready: watch::Receiver<bool>,
    /// How many failed starts in a row are too many before that.
    pub(super) hopeless: u32,
    /// How long a child may take to end after SIGTERM.
    pub(super) grace: Duration,
}

/// A child died without being asked to.
#[derive(Debug)]
pub(super) struct Death {
    /// Who.
    pub(super) name: String,
    /// How, for people: `exited with status 1`.
    pub(super) how: String,
    /// The last lines it wrote.
    pub(super) lines: Vec<String>,
    /// What becomes of it.
    pub(super) next: Next,
}

/// How a child ended when it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order, or it was not running.
    InOrder,
    /// It did not end in time and was killed.
    Killed,
}

/// A child that is being looked after.
#[derive(Debug)]
pub(super) struct Child {
    /// Its name.
    pub(super) name: String,
    stop: Shutdown,
    task: JoinHandle<Ended>,
}

impl Child {
    /// Starts looking after a child.
    pub(super) fn start(spec: Spec, ground: Ground) -> Self {
        let (name, stop) = (spec.name.clone(), Shutdown::new());
        let task = shared::shutdown::spawn(keep(spec, ground, stop.clone()));
        Self { name, stop, task }
    }

    /// Asks the child to end; [`Child::ended`] waits for it.
    pub(super) fn ask_to_end(&self) {
        self.stop.cancel();
    }

    /// Waits until the child has ended.
    pub(super) async fn ended(self) -> Ended {
        self.task.await.unwrap_or(Ended::Killed)
    }
}

async fn keep(mut spec: Spec, ground: Ground, stop: Shutdown) -> Ended {
    let mut restarts = Restarts::new(ground.hopeless);
    if let Some(after) = &mut spec.after {
        tokio::select! {
            Ok(_) = after.wait_for(|is_done| *is_done) => {}
            () = stop.cancelled() => return Ended::InOrder,
        }
    }
    loop {
        let (born, from) = (Instant::now(), set_aside(&spec.log));
        let (how, killed) = match run(&spec, &ground, &stop).await {
            Ok(Life::Ended(ended)) => return ended,
            Ok(Life::Died(status)) => (describe(status), status.signal().is_some()),
            Ok(Life::Unprepared(status)) => (format!("could not be prepared: that {}", describe(status)), false),
            Err(why) => (format!("could not be started: {why}"), false),
        };
        let next = restarts.died(born.elapsed(), *ground.ever_ready.borrow(), killed);
        let death = Death { name: spec.name.clone(), how, lines: last_lines(&spec.log, from), next };
        // A full channel means dozens of deaths nobody has looked at yet: one less to show is no loss.
        let _ = ground.notices.try_send(death);
        let Next::After(wait) = next else { return Ended::InOrder };
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return Ended::InOrder,
        }
    }
}

enum Life {
    Unprepared(ExitStatus),
    Died(ExitStatus),
    Ended(Ended),
}

async fn run(spec: &Spec, ground: &Ground, stop: &Shutdown) -> io::Result<Life> {
    if let Some(before) = &spec.before {
        match live(spec, &before.args, ground, stop).await? {
            Life::Died(status) if status.success() => drop(before.done.send_replace(true)),
            Life::Died(status) => return Ok(Life::Unprepared(status)),
            ended => return Ok(ended),
        }
    }
    live(spec, &spec.args, ground, stop).await
}

async fn live(spec: &Spec, args: &[OsString], ground: &Ground, stop: &Shutdown) -> io::Result<Life> {
    let (mut process, lifeline) = spawn(spec, args, &ground.program)?;
    let life = tokio::select! {
        status = process.wait() => Life::Died(status?),
        () = stop.cancelled() => Life::Ended(end(&mut process, ground.grace).await?),
    };
    drop(lifeline);
    Ok(life)
}

/// Starts the process in a group of its own, so that Ctrl-C reaches only the supervisor. The child watches the other end
/// of the returned pipe, which the kernel closes however the supervisor ends.
fn spawn(spec: &Spec, args: &[OsString], program: &Path) -> io::Result<(Process, Option<ChildStdin>)> {
    let log = open_log(&spec.log)?;
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
    for name in &spec.hidden {
        command.env_remove(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    let mut process = Command::from(command).kill_on_drop(true).spawn()?;
    // Taken out, since waiting for a child closes the pipe it still holds.
    let lifeline = process.stdin.take();
    Ok((process, lifeline))
}

async fn end(process: &mut Process, grace: Duration) -> io::Result<Ended> {
    let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Gone already is as good.
        let _ = kill_process(pid, Signal::TERM);
    }
    match timeout(grace, process.wait()).await {
        Ok(status) => status.map(|_| Ended::InOrder),
        Err(_) => process.kill().await.map(|()| Ended::Killed),
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Makes room when a log has grown large, and returns where the next life's lines begin.
fn set_aside(log: &Path) -> u64 {
    let size = fs::metadata(log).map_or(0, |found| found.len());
    if size > LOG_LIMIT && fs::rename(log, log.with_extension("log.1")).is_ok() {
        return 0;
    }
    size
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => {
            let name = match signal {
                1 => "SIGHUP",
                2 => "SIGINT",
                6 => "SIGABRT",
                9 => "SIGKILL",
                11 => "SIGSEGV",
                15 => "SIGTERM",
                _ => return format!("was killed by signal {signal}"),
            };
            format!("was killed by {name}")
        }
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests;
