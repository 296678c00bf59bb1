//! The ownership log: who acted for which target under which epoch, and when, line by line, for proofs that nobody did so
//! beside the owner. Off unless a file is named. Decides nothing; whoever acts says so.
//!
//! The instant of a line is when the right to act was last looked at, on the machine's boot clock: logs of several pods of
//! one machine can be laid side by side.

use serde::Serialize;
use shared::{Epoch, Incarnation, Mono, PodId, TargetId};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        PoisonError, RwLock,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
};

/// Lines that may wait for the disk; whoever acts waits when there are more, so that none is missing.
const WAITING: usize = 65_536;

/// What a pod did for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// Began to serve it, or goes on under a new epoch.
    Acquire,
    /// Ended.
    Release,
    /// Committed events of it.
    Apply,
    /// Said so to who had sent them.
    Ack,
    /// Began a call to the outside.
    Effect,
}

/// Something a pod did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Act {
    /// Nanoseconds since boot.
    pub(crate) at_ns: u64,
    /// For which target.
    pub(crate) target: TargetId,
    /// Under which epoch.
    pub(crate) epoch: Epoch,
    /// What.
    pub(crate) what: What,
    /// The first and the last place in the target's journal, or in its outbox; none where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seqs: Option<(u64, u64)>,
}

impl Act {
    /// Notes something that has no place in the journal.
    pub(crate) fn new(at: Mono, target: &TargetId, epoch: Epoch, what: What) -> Self {
        Self { at_ns: at.as_nanos(), target: target.clone(), epoch, what, seqs: None }
    }

    /// Adds the places.
    pub(crate) fn with(mut self, first: u64, last: u64) -> Self {
        self.seqs = (first <= last).then_some((first, last));
        self
    }
}

#[derive(Serialize)]
struct Line<'a> {
    pod: &'a PodId,
    incarnation: &'a Incarnation,
    #[serde(flatten)]
    act: &'a Act,
}

/// The log.
#[derive(Debug)]
pub(crate) struct OwnershipLog {
    lines: SyncSender<(Incarnation, Act)>,
    incarnation: RwLock<Incarnation>,
}

impl OwnershipLog {
    /// Opens the file, to be written on at its end, and starts the thread that writes it.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub(crate) fn open(path: &Path, pod: PodId, incarnation: Incarnation) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (lines, inbox) = sync_channel(WAITING);
        let write = move || {
            if let Err(why) = write(file, &pod, &inbox) {
                tracing::error!(error = %why, "the ownership log cannot be written any more");
            }
        };
        std::thread::Builder::new().name("berth-owned".to_owned()).spawn(write)?;
        Ok(Self { lines, incarnation: RwLock::new(incarnation) })
    }

    /// Says which life of the data folder acts from now on.
    pub(crate) fn begin(&self, incarnation: Incarnation) {
        *self.incarnation.write().unwrap_or_else(PoisonError::into_inner) = incarnation;
    }

    /// Writes a line.
    pub(crate) fn note(&self, act: Act) {
        let incarnation = self.incarnation.read().unwrap_or_else(PoisonError::into_inner).clone();
        // The thread has said why it has ended.
        let _ = self.lines.send((incarnation, act));
    }
}

/// Writes lines as they come, and flushes whenever none waits.
fn write(file: File, pod: &PodId, inbox: &Receiver<(Incarnation, Act)>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    loop {
        let next = match inbox.try_recv() {
            Err(TryRecvError::Empty) => {
                out.flush()?;
                inbox.recv().ok()
            }
            other => other.ok(),
        };
        let Some((incarnation, act)) = next else { return out.flush() };
        serde_json::to_writer(&mut out, &Line { pod, incarnation: &incarnation, act: &act })?;
        out.write_all(b"\n")?;
    }
}
