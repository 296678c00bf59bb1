//! Moves the WAL into the database's file, on a thread and a connection of its own, so that no commit waits for it.
//!
//! ```text
//! writer       commit … commit │ WAL > KEPT: nudge ──┐      │ WAL > PAUSE: waits until a checkpoint is through,
//! checkpointer                 └───── PASSIVE ───────┘      │ so that the next commit starts the WAL over
//! ```

use super::{FILE, StoreError, WAL_KEPT, uncounted};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// The WAL's size in bytes at which the writer waits: a writer without a pause never lets a passive checkpoint finish.
const WAL_PAUSE: u64 = 64 << 20;

/// How long a checkpoint waits for a lock, in milliseconds.
const PATIENCE_MS: u32 = 100;
/// How long a scrub waits for the writer's lock, in milliseconds; longer than any group takes.
const SCRUB_PATIENCE_MS: u32 = 2_000;

/// How often it is tried to empty the WAL in one go.
const TRIES: usize = 5;

/// What the thread is asked for.
#[derive(Debug)]
enum Work {
    /// Move what can be moved without waiting for anybody.
    Passive,
    /// Move everything and empty the WAL: the only way that a Litestream which comes back notices.
    TakeOver,
    /// Leave nothing of deleted rows in the files.
    Scrub(Scrub, SyncSender<Scrubbed>),
}

/// What a scrub is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scrub {
    /// A database of at most so many bytes is written anew, without the unused parts of its pages.
    pub(crate) compact_up_to: u64,
    /// Whether the WAL is moved and emptied: never beside Litestream.
    pub(crate) empty: bool,
}

/// What a scrub has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scrubbed {
    /// The database was written anew: deleted rows are zeros anyway, now also the traces that moved pages leave behind.
    pub(crate) compacted: bool,
    /// The WAL is empty. False while somebody reads an older state of the database.
    pub(crate) truncated: bool,
}

/// Litestream moves the WAL; this pod only when that is gone.
///
/// A WAL that another process has moved, and that has then started over in front of old frames, is taken by Litestream 0.5.17 for one
/// that it has moved itself: what it had not read of it is missing in the replica from then on, and a restore fails its check. So
/// beside Litestream nothing is ever moved, and without it the WAL is emptied in the same step: a Litestream that then comes back
/// finds none of the frames it knows, and begins with a whole copy.
#[derive(Debug, Clone)]
pub(crate) struct StandBy {
    /// The size at which the pod takes over.
    pub(crate) from: u64,
    /// Whether nobody listens on Litestream's socket.
    pub(crate) gone: Arc<AtomicBool>,
}

/// The checkpointer's handle, owned by the writer.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    wal: PathBuf,
    nudge: Option<SyncSender<Work>>,
    through: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    running: bool,
    /// The WAL's size at which checkpoints begin.
    from: u64,
    stand_by: Option<StandBy>,
    /// The WAL's size at which the next checkpoint begins.
    nudge_at: u64,
    /// The WAL's size at which the writer waits for one.
    pause_at: u64,
}

impl Checkpointer {
    /// Starts the thread on the database in `folder`. With `stand_by`, Litestream moves the WAL as long as it is there
    /// (LITESTREAM.md, Traps 7).
    pub(crate) fn start(folder: &Path, stand_by: Option<StandBy>) -> Result<Self, StoreError> {
        let file = folder.join(FILE);
        let conn = Connection::open(&file)?;
        conn.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;")?;
        conn.execute_batch(&format!("PRAGMA busy_timeout = {PATIENCE_MS}"))?;
        let (nudge, nudged) = sync_channel::<Work>(1);
        let (done, through) = sync_channel::<()>(1);
        let main = file.clone();
        let alone = stand_by.is_none();
        let thread = std::thread::Builder::new()
            .name("berth-checkpoint".to_owned())
            .spawn(move || {
                while let Ok(work) = nudged.recv() {
                    match work {
                        Work::Passive => tell(checkpoint(&conn)),
                        Work::TakeOver => tell(take_over(&conn)),
                        Work::Scrub(scrub, scrubbed) => {
                            // Whoever asked may be gone.
                            let _ = scrubbed.send(scrub_files(&conn, scrub, &main));
                        }
                    }
                    if done.send(()).is_err() {
                        return;
                    }
                }
                if alone {
                    tell(checkpoint(&conn));
                }
            })
            .map_err(|source| StoreError::File { path: file, source })?;
        let wal = folder.join(format!("{FILE}-wal"));
        let from = stand_by.as_ref().map_or(WAL_KEPT, |stand_by| stand_by.from.max(WAL_KEPT));
        Ok(Self {
            wal,
            nudge: Some(nudge),
            through,
            thread: Some(thread),
            running: false,
            from,
            stand_by,
            nudge_at: from,
            pause_at: from + WAL_PAUSE,
        })
    }

    /// Looks at the WAL after a commit.
    pub(crate) fn committed(&mut self) {
        if self.running && self.through.try_recv().is_ok() {
            self.running = false;
        }
        let size = self.size();
        if let Some(stand_by) = &self.stand_by {
            if size > self.nudge_at && stand_by.gone.load(Ordering::Relaxed) {
                tracing::warn!(
                    bytes = size,
                    "the WAL is larger than --replication-wal and Litestream is gone, emptying it"
                );
                // Nothing is committed between the move and the cut.
                self.wait_for(Work::TakeOver);
                // A reader may hold it back; then trying again at every commit would help nobody.
                self.nudge_at = self.size() + self.from;
            } else if size <= self.from {
                self.nudge_at = self.from;
            }
        } else if size <= self.from {
            // It has started over.
            (self.nudge_at, self.pause_at) = (self.from, self.from + WAL_PAUSE);
        } else if size > self.pause_at {
            self.wait_for(Work::Passive);
            // A reader may hold the WAL back; then waiting again at every commit would help nobody.
            self.pause_at = size + WAL_PAUSE / 2;
        } else if size > self.nudge_at && !self.running {
            self.nudge();
            self.nudge_at = size + WAL_KEPT;
        }
    }

    /// Waits until a checkpoint is through that began after the last commit.
    fn wait_for(&mut self, work: Work) {
        if self.running && self.through.recv().is_err() {
            return;
        }
        self.running = self.ask(work);
        if self.running && self.through.recv().is_ok() {
            self.running = false;
        }
    }

    /// Begins a scrub; `None` when the thread is busy, then ask again.
    pub(crate) fn scrub(&mut self, scrub: Scrub) -> Option<Receiver<Scrubbed>> {
        if self.running && self.through.try_recv().is_err() {
            return None;
        }
        let (scrubbed, answer) = sync_channel(1);
        self.running = self.ask(Work::Scrub(scrub, scrubbed));
        self.running.then_some(answer)
    }

    fn nudge(&mut self) {
        self.running = self.ask(Work::Passive);
    }

    fn ask(&self, work: Work) -> bool {
        self.nudge.as_ref().is_some_and(|nudge| nudge.try_send(work).is_ok())
    }

    fn size(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.nudge = None;
        // The thread may wait to say that it is through.
        while self.through.recv().is_ok() {}
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread ended with a panic");
        }
    }
}

fn checkpoint(conn: &Connection) -> Result<(), StoreError> {
    let (log, moved): (i64, i64) =
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
    tracing::debug!(log, moved, "checkpoint");
    Ok(())
}

/// Moves and empties the WAL in one step. When a reader holds that back, what was moved stays where it is: a frame is written behind
/// it, so that no commit starts the WAL over before all of it is moved again. The writer waits meanwhile.
fn take_over(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch(&format!("PRAGMA busy_timeout = {SCRUB_PATIENCE_MS}"))?;
    let done = (0..TRIES).try_fold(false, |done, _| if done { Ok(true) } else { emptied_or_kept(conn) });
    conn.execute_batch(&format!("PRAGMA busy_timeout = {PATIENCE_MS}"))?;
    if !done? {
        tracing::error!("the WAL could neither be emptied nor kept, the replica may have to begin anew");
    }
    Ok(())
}

/// Returns false when the last reader left in between and the WAL was started over: then it has to be emptied all the same.
fn emptied_or_kept(conn: &Connection) -> Result<bool, StoreError> {
    let (busy, frames): (bool, i64) =
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !busy {
        return Ok(true);
    }
    tracing::warn!("somebody reads an old state of the database, the WAL cannot be emptied yet");
    number_on(conn)?;
    let now: i64 = conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    Ok(now > frames)
}

/// A database whose WAL is new; nothing of that is lost as long as this is there, also when nobody else has the database open.
#[derive(Debug)]
pub(crate) struct Settled(#[expect(dead_code, reason = "it holds the database open")] Option<Connection>);

/// Makes a new WAL for the database in `folder`, as long as `wal` bytes at least, and whatever was whole in the old one a part of
/// the file. None while somebody else has the database open.
///
/// Whatever a Litestream knows of the old WAL it does not find in this one, so that it begins with a whole copy. One that was stopped and
/// goes on takes a WAL that is shorter than what it knows for one that it has emptied itself, and what it has for what is here.
pub(crate) fn settle(folder: &Path, wal: u64) -> Result<Option<Settled>, StoreError> {
    let file = folder.join(FILE);
    if !std::fs::metadata(&file).is_ok_and(|found| found.len() > 0) {
        return Ok(Some(Settled(None)));
    }
    let conn = Connection::open(&file)?;
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;")?;
    conn.execute_batch(&format!("PRAGMA busy_timeout = {PATIENCE_MS}"))?;
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Ok(None);
    }
    number_on(&conn)?;
    let path = folder.join(format!("{FILE}-wal"));
    let lengthen = || {
        let new = std::fs::OpenOptions::new().write(true).open(&path)?;
        // Zeros are no frames.
        if new.metadata()?.len() < wal { new.set_len(wal) } else { Ok(()) }
    };
    lengthen().map_err(|source| StoreError::File { path: path.clone(), source })?;
    Ok(Some(Settled(Some(conn))))
}

/// Writes a frame: a number that nothing else uses, since a row that is written as it was makes none.
fn number_on(conn: &Connection) -> Result<(), StoreError> {
    let number: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(conn.execute_batch(&format!("PRAGMA user_version = {}", number.wrapping_add(1)))?)
}

fn tell(checkpointed: Result<(), StoreError>) {
    if let Err(why) = checkpointed {
        tracing::warn!(error = %why, "checkpoint failed");
    }
}

fn scrub_files(conn: &Connection, scrub: Scrub, file: &Path) -> Scrubbed {
    let small = std::fs::metadata(file).is_ok_and(|file| file.len() <= scrub.compact_up_to);
    let patient = |ms: u32| conn.execute_batch(&format!("PRAGMA busy_timeout = {ms}"));
    let mut scrubbed = Scrubbed { compacted: false, truncated: false };
    let mut work = || -> Result<(), StoreError> {
        patient(SCRUB_PATIENCE_MS)?;
        if small {
            conn.execute_batch("VACUUM").map_err(uncounted::or_end)?;
            scrubbed.compacted = true;
        }
        if !scrub.empty {
            return Ok(());
        }
        // What needs no lock first: the writer waits only for the rest.
        checkpoint(conn)?;
        let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        scrubbed.truncated = !busy;
        Ok(())
    };
    if let Err(why) = work() {
        tracing::warn!(error = %why, "cannot scrub the database's files yet");
    }
    if let Err(why) = patient(PATIENCE_MS) {
        tracing::warn!(error = %why, "the checkpoint thread's patience cannot be set");
    }
    scrubbed
}

#[cfg(test)]
mod tests;
