//! The restore drill: the pod restores its own replica to a scratch file, checks it, and compares it with its database, so that a
//! replica that cannot be restored is known before anybody needs it. One at a time, at a time of day that follows from the
//! pod's name. Decides the order of a drill's steps and what its outcome is; restoring and adding up are others'.
//!
//! ```text
//! add up ─▸ wait until that is replicated ─▸ restore, integrity ─▸ add the copy up ─▸ add up again ─▸ compare
//! ```

mod meters;
mod note;
pub(crate) mod when;

pub(crate) use meters::DrillMeters;

use crate::{
    Engine,
    folder::space,
    replica::{Lineage, ReplicaArgs, ReplicaStore, restore},
    replication::Replication,
    store::drill::{Sums, compare},
};
use note::Note;
use shared::{PodId, shutdown::Shutdown, wire::drill::Drill, wire::drill::DrillState};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How often the task looks whether one is due, and says how old the last good one is.
const LOOK: Duration = Duration::from_secs(5);
/// Differences told at most.
const TOLD: usize = 100;
/// The scratch folder, and the copy in it.
const FOLDER: &str = "restore";
const FILE: &str = "drill.db";

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Time from one drill to the next; 0 for none.
    pub(crate) every: Duration,
    /// How long to wait until what is compared is replicated.
    pub(crate) wait: Duration,
    /// How long one look through the database, or the copy, may take.
    pub(crate) look: Duration,
}

/// What a drill works with.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) pod: PodId,
    /// The data folder.
    pub(crate) folder: PathBuf,
    pub(crate) replica: ReplicaArgs,
    /// The replica's store, for the note of a good drill.
    pub(crate) store: ReplicaStore,
    pub(crate) replication: Replication,
    pub(crate) bounds: Bounds,
    pub(crate) meters: DrillMeters,
}

impl Parts {
    /// Returns what the pod's database is written to, once that is known.
    fn lineage(&self) -> Option<Lineage> {
        Lineage::parse(&self.replication.lineage()?)
    }
}

/// Why a replica is not good, or nobody knows.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the replica's place is not known yet; try again")]
    Unknown,
    #[error("commit {0} was not replicated within {1:?} (--drill-wait)")]
    Behind(u64, Duration),
    #[error("a look through the database took longer than {0:?} (--drill-look)")]
    Slow(Duration),
    #[error("the scratch folder has room for {free} bytes, the copy may need {needed}")]
    Room { free: u64, needed: u64 },
    #[error("cannot use the scratch folder: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
    #[error(transparent)]
    Restore(#[from] crate::replica::RestoreError),
    #[error("the restored copy cannot be read: {0}")]
    Copy(crate::EngineError),
    #[error("the replica and the database differ: {0}")]
    Differs(String),
}

/// The pod's drills. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Drills(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    state: Mutex<Note>,
    running: Mutex<bool>,
    wanted: Notify,
}

impl Drills {
    /// Begins with what the folder remembers of the last ones.
    pub(crate) fn new(parts: Parts) -> Self {
        let note = Note::read(&parts.folder);
        if let Some(last) = &note.last {
            parts.meters.made(last.ok);
        }
        Self(Arc::new(Inner { parts, state: Mutex::new(note), running: Mutex::new(false), wanted: Notify::new() }))
    }

    /// Asks for one now. One that runs counts.
    pub(crate) fn ask(&self) {
        self.0.wanted.notify_one();
    }

    /// Returns what there is to say.
    pub(crate) fn state(&self) -> DrillState {
        let note = self.note();
        let parts = &self.0.parts;
        let next_ms = when::next(&parts.pod, parts.bounds.every, self.last_ms(&note), parts.engine.clock().wall_ms());
        let running = *self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        DrillState { pod: Some(parts.pod.clone()), running, last: note.last, good_ms: note.good_ms, next_ms }
    }

    /// Makes drills until it is stopped.
    pub(crate) async fn run(self, stop: Shutdown) {
        loop {
            self.tell_age();
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wanted.notified() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let parts = &self.0.parts;
            let now_ms = parts.engine.clock().wall_ms();
            let next = when::next(&parts.pod, parts.bounds.every, self.last_ms(&self.note()), now_ms);
            let due = parts.lineage().is_some() && next.is_some_and(|next| next <= now_ms);
            if asked || due {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.once() => {}
                }
            }
        }
    }

    /// Makes one, and writes down what it came to.
    async fn once(&self) {
        let _running = Running::begin(&self.0.running);
        let parts = &self.0.parts;
        let (at_ms, begun) = (parts.engine.clock().wall_ms(), parts.engine.clock().now());
        let mut drill = Drill { at_ms, ..Drill::default() };
        match attempt(parts, &mut drill).await {
            Ok(()) => drill.ok = true,
            Err(why) => {
                // What could not be tried is tried again at its next time.
                drill.lineage = parts.replication.lineage().unwrap_or_default();
                drill.detail = Some(why.to_string());
            }
        }
        drill.took_ms = u64::try_from(parts.engine.clock().now().since(begun).as_millis()).unwrap_or(u64::MAX);
        match &drill.detail {
            None => tracing::info!(
                took_ms = drill.took_ms,
                bytes = drill.bytes,
                targets = drill.targets,
                moving = drill.moving,
                rows = drill.rows,
                "the replica can be restored and has what the database has"
            ),
            Some(why) => tracing::error!(reason = why, found = drill.found, "the replica is not good: restore drill"),
        }
        if drill.ok
            && let Some(lineage) = parts.lineage()
            && let Err(why) = parts.store.drilled(&lineage, drill.at_ms).await
        {
            tracing::warn!(error = %why, "cannot note in the replica's store that it was restored");
        }
        let good_ms = if drill.ok { Some(at_ms) } else { self.note().good_ms };
        let note = Note { good_ms, last: Some(drill) };
        if let Err(why) = note.write(&parts.folder) {
            tracing::warn!(error = %why, "cannot write down what the restore drill came to");
        }
        parts.meters.made(note.last.as_ref().is_some_and(|last| last.ok));
        self.tell_age_of(&note);
        // Last of all: whoever sees that it is over finds it in the metrics, too.
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) = note;
    }

    fn note(&self) -> Note {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns when this lineage was last tried.
    fn last_ms(&self, note: &Note) -> Option<u64> {
        let lineage = self.0.parts.replication.lineage();
        note.last.as_ref().filter(|last| Some(&last.lineage) == lineage.as_ref()).map(|last| last.at_ms)
    }

    fn tell_age(&self) {
        self.tell_age_of(&self.note());
    }

    fn tell_age_of(&self, note: &Note) {
        let now_ms = self.0.parts.engine.clock().wall_ms();
        self.0.parts.meters.age(note.good_ms.map(|good_ms| Duration::from_millis(now_ms.saturating_sub(good_ms))));
    }
}

/// Says that a drill runs, until it is dropped.
struct Running<'a>(&'a Mutex<bool>);

impl<'a> Running<'a> {
    fn begin(flag: &'a Mutex<bool>) -> Self {
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Self(flag)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

async fn attempt(parts: &Parts, drill: &mut Drill) -> Result<(), Failed> {
    let Bounds { wait, look, .. } = parts.bounds;
    let here =
        async || parts.engine.sums(None, look).await.map_err(|why| too_slow(&why, look).unwrap_or(Failed::Engine(why)));
    let before = here().await?;
    let seq = before.commit_seq;
    if !parts.replication.reached(seq, wait).await {
        return Err(Failed::Behind(seq, wait));
    }
    let lineage = parts.lineage().ok_or(Failed::Unknown)?;
    drill.lineage = lineage.to_string();
    let scratch = parts.folder.join(FOLDER);
    fs::create_dir_all(&scratch)?;
    let file = scratch.join(FILE);
    remove(&file)?;
    room(&scratch, parts.engine.load().bytes)?;
    let restored = restore(&parts.replica, &lineage, &file, |_| {}).await?;
    drill.bytes = restored.bytes;
    let copy = parts.engine.sums(Some(file.clone()), look).await;
    let copy = copy.map_err(|why| too_slow(&why, look).unwrap_or(Failed::Copy(why)));
    remove(&file)?;
    let copy: Sums = copy?;
    drill.commit_seq = copy.commit_seq;
    let after = here().await?;
    let compared = compare(&before, &copy, &after, TOLD);
    (drill.targets, drill.moving, drill.rows) = (compared.targets, compared.moving, compared.rows);
    (drill.differences, drill.found) = (compared.differences, compared.found);
    match drill.differences.first() {
        None => Ok(()),
        Some(first) => {
            let more = format!("{} differences", drill.found);
            Err(Failed::Differs(format!(
                "{} {}: {} here, {} there; {more}",
                first.target, first.what, first.here, first.copy
            )))
        }
    }
}

/// Says that it was the time limit.
fn too_slow(why: &crate::EngineError, look: Duration) -> Option<Failed> {
    matches!(why, crate::EngineError::Store(why) if why.is_interrupted()).then_some(Failed::Slow(look))
}

/// A copy takes as much as the database, and while it is made its files once more.
fn room(folder: &Path, bytes: u64) -> Result<(), Failed> {
    let (free, needed) = (space::of(folder)?.free, bytes.saturating_mul(2));
    if free < needed { Err(Failed::Room { free, needed }) } else { Ok(()) }
}

fn remove(file: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(PathBuf::from(name)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
    }
    Ok(())
}
