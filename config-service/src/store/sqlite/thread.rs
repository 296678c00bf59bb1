//! The thread that owns the SQLite connection. Calls queue for it, in order; the queue is bounded.

use super::StoreError;
use rusqlite::Connection;
use std::{fs::File, thread::JoinHandle};
use tokio::sync::{mpsc, oneshot};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The thread's handle. Dropping it waits for what the thread has begun, so that afterwards the file is free.
#[derive(Debug)]
pub(super) struct Thread {
    jobs: Option<mpsc::Sender<Job>>,
    running: Option<JoinHandle<()>>,
    /// The connection of a simulation, which has no threads: calls do their work where they are awaited.
    #[cfg(feature = "plant")]
    here: Option<std::sync::Mutex<Connection>>,
}

impl Thread {
    /// Starts the thread. It holds `lock` until the connection is closed.
    pub(super) fn start(mut connection: Connection, lock: File, queue: usize) -> std::io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(queue.max(1));
        let running = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            while let Some(job) = waiting.blocking_recv() {
                job(&mut connection);
            }
            drop(connection);
            drop(lock);
        })?;
        Ok(Self {
            jobs: Some(jobs),
            running: Some(running),
            #[cfg(feature = "plant")]
            here: None,
        })
    }

    /// Makes a thread that is none: its calls are done at once.
    #[cfg(feature = "plant")]
    pub(super) fn none(connection: Connection) -> Self {
        Self { jobs: None, running: None, here: Some(std::sync::Mutex::new(connection)) }
    }

    /// Runs `work` and returns its answer.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(feature = "plant")]
        if let Some(here) = &self.here {
            return work(&mut here.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
        let gone = || StoreError::Rejected("the store's thread is gone".to_owned());
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |connection: &mut Connection| {
            // Nobody may be waiting any more; what was committed stays committed.
            let _ = reply.send(work(connection));
        });
        self.jobs.as_ref().ok_or_else(gone)?.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| StoreError::Uncertain("the store's thread ended in the middle".to_owned()))?
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(running) = self.running.take() {
            // A panic of the thread was reported to whoever waited for it.
            let _ = running.join();
        }
    }
}
