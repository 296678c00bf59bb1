//! One real process: its output kept in memory, its signals, its end. It dies with the test process, for the kernel
//! closes its standard input then; it knows nothing of what it runs.

use crate::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long the last lines of a process that has ended may take; a child of its own may hold its output open for ever.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Lines of output, shared with the thread that reads them.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<Vec<String>>>, Arc<AtomicBool>);

impl Output {
    fn read_from(&self, stream: impl Read + Send + 'static) {
        let lines = self.clone();
        let copy = move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                line.clear();
            }
            lines.1.store(true, Ordering::Release);
        };
        std::thread::Builder::new().name("output".to_owned()).spawn(copy).expect("a thread starts");
    }

    /// Returns whether there will be no more.
    fn is_whole(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    /// Returns all lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether a line contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(text))
    }

    /// Returns how many lines contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|line| line.contains(text)).count()
    }

    /// Returns the last `n` lines as one text.
    pub fn tail(&self, n: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(n)..].join("\n")
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    /// What it wrote to standard output.
    pub stdout: Output,
    /// What it wrote to standard error: its logs.
    pub stderr: Output,
}

/// Returns the `berth` binary beside this test.
///
/// # Panics
/// When it has not been built, saying how to build it.
pub fn berth() -> PathBuf {
    binary("berth")
}

/// Returns a binary of the workspace that lies beside this test.
///
/// # Panics
/// When it has not been built, saying how to build it.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests live in target/<profile>/deps");
    let binary = profile.join(name);
    let how = "build it first: cargo build --workspace --bins (./test does it for you)";
    assert!(binary.is_file(), "{} is missing; {how}", binary.display());
    binary
}

/// Returns a program that `./test` has installed below the target folder: its path there, and how it gets there by hand.
///
/// # Panics
/// When it is not there, saying what to type.
pub(crate) fn installed((path, how): (&str, &str)) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let found = test.ancestors().map(|folder| folder.join(path)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{path} is not in the target folder: ./test installs it; by hand, type: {how}"))
}

/// Returns a command for the `berth` binary with nothing of the developer's environment but `PATH`: a setting of theirs
/// must not change a story.
pub fn command() -> Command {
    clean(Command::new(berth()))
}

/// Takes the developer's environment away from a command, but for `PATH`.
pub fn clean(mut command: Command) -> Command {
    command.env_clear();
    if let Some((name, value)) = std::env::vars_os().find(|(name, _)| name == "PATH") {
        command.env(name, value);
    }
    command
}

/// Returns the processor time a process has used; none where the system does not say.
pub fn cpu(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name may hold spaces; what follows it does not. User and system time are the 14th and 15th fields.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// Returns whether every thread of a process is stopped; where the system does not say, it is taken for so.
fn stands_still(pid: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The name may hold anything; the state follows it. A thread that has ended meanwhile says nothing.
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['T', 't', 'Z', 'X']))
    })
}

impl Process {
    /// Starts `command`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{name} cannot be started: {why}"));
        let (stdout, stderr) = (Output::default(), Output::default());
        stdout.read_from(child.stdout.take().expect("piped"));
        stderr.read_from(child.stderr.take().expect("piped"));
        Self { name: name.to_owned(), child, ended: None, stdout, stderr }
    }

    /// Returns its id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns the most memory it has held at once, in bytes (`VmHWM`); zero where the system does not say.
    pub fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() << 10
    }

    /// Returns how it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be waited for");
        }
        self.ended
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            kill_process(self.pid(), signal).unwrap_or_else(|why| panic!("cannot signal {}: {why}", self.name));
        }
    }

    /// Waits for its end, and for what it said last.
    ///
    /// # Panics
    /// When it has not ended after `most`.
    pub async fn end(&mut self, most: Duration) -> ExitStatus {
        let status = eventually(&format!("{} ends", self.name), most, async || self.ended()).await;
        let whole = async {
            while !(self.stdout.is_whole() && self.stderr.is_whole()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Where somebody else holds the output open, what is there has to do.
        let _ = tokio::time::timeout(LAST_LINES, whole).await;
        status
    }

    /// Stops it from running, as a paused machine does. A signal only asks for that: this returns when all of it stands still.
    ///
    /// # Panics
    /// When it goes on.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        let still = || stands_still(self.pid());
        let mut looks = 0..12_000;
        while self.ended.is_none() && !still() && looks.next().is_some() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(self.ended.is_some() || still(), "{} does not stop", self.name);
    }

    /// Stops it from saying anything more; for the end of a story.
    pub(crate) fn freeze(&mut self) {
        if self.ended().is_none() {
            let _ = kill_process(self.pid(), Signal::STOP);
        }
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.end(Duration::from_secs(60)).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (out, log) = (self.stdout.tail(20), self.stderr.tail(15));
            eprintln!("---- the last lines of {} ----\n{out}\n{log}\n", self.name);
        }
    }
}
