//! Writes the lease down, one thing after another, on a task of its own: a slow disk holds up no heartbeat. Decides how
//! often it is tried; what is kept is the holder's to say.

use crate::folder::kept::Kept;
use shared::{Term, protocol::holder::Remembered};
use std::{io, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// How long the disk is left alone after it has refused.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Job {
    /// Write this lease down, of this cluster generation, and the highest term the pod has heard of.
    Keep(Remembered, u32, Term),
    /// No process goes on under it any more.
    Drop,
}

/// The task's handle, and what it says.
#[derive(Debug)]
pub(super) struct Keeper {
    jobs: UnboundedSender<Job>,
    kept: UnboundedReceiver<u64>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts the task. It ends with its handle.
    pub(super) fn start(kept: Kept) -> Self {
        let (jobs, inbox) = unbounded_channel();
        let (said, heard) = unbounded_channel();
        let task = shared::shutdown::spawn(run(kept, inbox, said));
        Self { jobs, kept: heard, task }
    }

    /// Has a lease written down. The holder asks for one at a time.
    pub(super) fn keep(&self, remembered: Remembered, generation: u32, term: Term) {
        // The task ends only with this handle.
        let _ = self.jobs.send(Job::Keep(remembered, generation, term));
    }

    /// Has the lease taken away. One that is still to be written is not.
    pub(super) fn drop_lease(&self) {
        // As above.
        let _ = self.jobs.send(Job::Drop);
    }

    /// Waits until what was asked for last is done, or the disk has refused it: a process that ends in between would leave
    /// a lease behind that was given up.
    pub(super) async fn finish(self) {
        drop(self.jobs);
        if let Err(why) = self.task.await {
            tracing::error!(error = %why, "the task that writes the lease down failed");
        }
    }

    /// Returns the version of the witness config whose lease is through: on disk, or dropped meanwhile.
    pub(super) async fn kept(&mut self) -> u64 {
        match self.kept.recv().await {
            Some(version) => version,
            None => std::future::pending().await,
        }
    }
}

async fn run(kept: Kept, mut inbox: UnboundedReceiver<Job>, said: UnboundedSender<u64>) {
    let mut next = inbox.recv().await;
    while let Some(job) = next {
        let version = match &job {
            Job::Keep(remembered, ..) => Some(remembered.witnesses.version),
            Job::Drop => None,
        };
        next = carry_out(&kept, job, &mut inbox).await;
        if let Some(version) = version {
            // Nobody has to listen any more.
            let _ = said.send(version);
        }
        if next.is_none() {
            next = inbox.recv().await;
        }
    }
}

/// Does one thing until it is done, or something newer is wanted, which is returned.
async fn carry_out(kept: &Kept, job: Job, inbox: &mut UnboundedReceiver<Job>) -> Option<Job> {
    let job = std::sync::Arc::new(job);
    loop {
        let (kept, job) = (kept.clone(), std::sync::Arc::clone(&job));
        let done = tokio::task::spawn_blocking(move || match &*job {
            Job::Keep(remembered, generation, term) => kept.keep_lease(remembered, *generation, *term),
            Job::Drop => kept.drop_lease(),
        });
        match done.await.unwrap_or_else(|why| Err(io::Error::other(why))) {
            Ok(()) => return None,
            Err(why) if inbox.is_closed() && inbox.is_empty() => {
                tracing::warn!(error = %why, "the lease is not written down, and the pod stops");
                return None;
            }
            Err(why) => tracing::error!(error = %why, "cannot write the lease down, trying again"),
        }
        tokio::select! {
            newer = inbox.recv() => return newer,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
