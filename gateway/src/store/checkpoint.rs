//! Moves the WAL into the database's file, on a thread and a connection of its own, so that no commit waits for it.
//!
//! ```text
//! writer       commit … commit │ WAL > KEPT: nudge ──┐      │ WAL > PAUSE: waits until a checkpoint is through,
//! checkpointer                 └───── PASSIVE ───────┘      │ so that the next commit starts the WAL over
//! ```

use super::{FILE, StoreError, WAL_KEPT};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

/// The WAL's size in bytes at which the writer waits: a writer without a pause never lets a passive checkpoint finish.
const WAL_PAUSE: u64 = 64 << 20;

/// The checkpointer's handle, owned by the writer.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    wal: PathBuf,
    nudge: Option<SyncSender<()>>,
    through: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    running: bool,
    /// The WAL's size at which the next checkpoint begins.
    nudge_at: u64,
    /// The WAL's size at which the writer waits for one.
    pause_at: u64,
}

impl Checkpointer {
    /// Starts the thread on the database in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join(FILE);
        let conn = Connection::open(&file)?;
        conn.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 100;")?;
        let (nudge, nudged) = sync_channel::<()>(1);
        let (done, through) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new()
            .name("berth-checkpoint".to_owned())
            .spawn(move || {
                while nudged.recv().is_ok() {
                    if let Err(why) = checkpoint(&conn) {
                        tracing::warn!(error = %why, "checkpoint failed");
                    }
                    if done.send(()).is_err() {
                        return;
                    }
                }
                if let Err(why) = checkpoint(&conn) {
                    tracing::warn!(error = %why, "last checkpoint failed");
                }
            })
            .map_err(|source| StoreError::File { path: file, source })?;
        let wal = folder.join(format!("{FILE}-wal"));
        Ok(Self {
            wal,
            nudge: Some(nudge),
            through,
            thread: Some(thread),
            running: false,
            nudge_at: WAL_KEPT,
            pause_at: WAL_PAUSE,
        })
    }

    /// Looks at the WAL after a commit.
    pub(crate) fn committed(&mut self) {
        if self.running && self.through.try_recv().is_ok() {
            self.running = false;
        }
        let size = self.size();
        if size <= WAL_KEPT {
            // It has started over.
            (self.nudge_at, self.pause_at) = (WAL_KEPT, WAL_PAUSE);
        } else if size > self.pause_at {
            self.wait_for_one();
            // A reader may hold the WAL back; then waiting again at every commit would help nobody.
            self.pause_at = size + WAL_PAUSE / 2;
        } else if size > self.nudge_at && !self.running {
            self.nudge();
            self.nudge_at = size + WAL_KEPT;
        }
    }

    /// Waits until a checkpoint is through that began after the last commit.
    fn wait_for_one(&mut self) {
        if self.running && self.through.recv().is_err() {
            return;
        }
        self.nudge();
        if self.running && self.through.recv().is_ok() {
            self.running = false;
        }
    }

    fn nudge(&mut self) {
        self.running = self.nudge.as_ref().is_some_and(|nudge| nudge.try_send(()).is_ok());
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
