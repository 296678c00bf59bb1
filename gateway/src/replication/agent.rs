//! The task that has commits uploaded: carries out what [`Core`] decides, tells the writer how far the replica is, and
//! everybody where it stands. Decides nothing itself.

use super::{
    Commits, Inner, Replication, ReplicationMeters, Rules, Status,
    core::{Core, Input, Output},
};
use crate::{
    dispatch::{Command, Commands},
    ownership::Ownership,
};
use futures_util::future::BoxFuture;
use shared::{Clock, Mono, shutdown::Shutdown, wire::replication::Standing};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::task::JoinSet;

/// The longest sleep, so that a clock that was moved is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The replica, as the agent knows it.
pub(crate) trait Replica: fmt::Debug + Send + Sync + 'static {
    /// Uploads everything that is committed when this is called. `Ok` only once it is in the store.
    fn sync(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Reads whether the lineage is sealed.
    fn is_sealed(&self) -> BoxFuture<'_, Result<bool, String>>;

    /// Returns where it is, below the base of all replicas, once that is known.
    fn lineage(&self) -> Option<String> {
        None
    }

    /// Returns whether whoever uploads was not there when it was asked last.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What the agent works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) ownership: Ownership,
    pub(crate) commands: Commands,
    pub(crate) meters: ReplicationMeters,
    pub(crate) rules: Rules,
}

struct Agent {
    parts: Parts,
    clock: Arc<dyn Clock>,
    commits: Arc<Commits>,
    inner: Arc<Inner>,
    core: Core,
    calls: JoinSet<Input>,
    /// Bytes of WAL written when the upload that is under way began.
    bytes_at_sync: u64,
    flushed: u64,
}

/// Runs until `stop`, or until the lineage turns out to be sealed. Without a replica there is nothing to run.
pub(crate) async fn run(replication: Replication, parts: Parts, stop: Shutdown) {
    let Some(inner) = replication.0 else { return };
    let (clock, commits) = (Arc::clone(parts.ownership.clock()), Arc::clone(parts.meters.commits()));
    let core = Core::new(clock.now(), parts.rules, commits.seq());
    let agent = Agent { parts, clock, commits, inner, core, calls: JoinSet::new(), bytes_at_sync: 0, flushed: 0 };
    agent.run(stop).await;
}

impl Agent {
    async fn run(mut self, stop: Shutdown) {
        let mut input = Input::Tick;
        loop {
            let now = self.clock.now();
            self.hear(now, input);
            if self.core.stands() == Standing::Sealed {
                return;
            }
            let sleep = self.core.wake_at(now).map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
            let inner = Arc::clone(&self.inner);
            input = tokio::select! {
                () = stop.cancelled() => return,
                Some(came) = self.calls.join_next() => {
                    came.unwrap_or_else(|_| Input::Synced(Err("the call ended with a panic".to_owned())))
                }
                () = inner.news.notified() => Input::Tick,
                () = tokio::time::sleep(sleep) => Input::Tick,
            };
        }
    }

    fn hear(&mut self, now: Mono, input: Input) {
        if let Input::Synced(Err(why)) | Input::Absent(why) | Input::Seal(Err(why)) = &input {
            self.parts.meters.failed(why);
            tracing::debug!(error = %why, "the replica was not reached");
        }
        self.inner.gone.store(self.parts.replica.is_gone(), Ordering::Relaxed);
        let flushes = self.inner.flush.load(Ordering::Acquire);
        let mut outputs = Vec::new();
        // What is committed is known before an upload begins: it covers that.
        let committed = Input::Committed { seq: self.commits.seq(), asked: self.inner.asked.load(Ordering::Acquire) };
        outputs.extend(self.core.handle(now, committed));
        if std::mem::replace(&mut self.flushed, flushes) != flushes {
            outputs.extend(self.core.handle(now, Input::Flush));
        }
        outputs.extend(self.core.handle(now, input));
        self.carry_out(now, outputs);
    }

    fn carry_out(&mut self, now: Mono, outputs: Vec<Output>) {
        let before = *self.inner.status.borrow();
        let mut status = Status { oldest: self.core.oldest(), takes: self.core.takes(), ..before };
        let mut replicated = None;
        for output in outputs {
            match output {
                Output::Sync => {
                    self.bytes_at_sync = self.commits.wal_bytes();
                    self.parts.meters.began(now);
                    let replica = Arc::clone(&self.parts.replica);
                    self.calls.spawn(async move {
                        match replica.sync().await {
                            Err(why) if replica.is_gone() => Input::Absent(why),
                            came => Input::Synced(came),
                        }
                    });
                }
                Output::ReadSeal => {
                    let replica = Arc::clone(&self.parts.replica);
                    self.calls.spawn(async move { Input::Seal(replica.is_sealed().await) });
                }
                Output::Replicated(seq) => {
                    if let Some(lineage) = self.parts.replica.lineage().filter(|_| self.inner.lineage.get().is_none()) {
                        // Only this task sets it.
                        let _ = self.inner.lineage.set(lineage);
                    }
                    self.parts.meters.synced(now, self.clock.wall_ms());
                    (status.replicated_seq, status.replicated_bytes) = (seq, self.bytes_at_sync);
                    replicated = Some(seq);
                }
                Output::Stands(stands) => {
                    status.stands = stands;
                    self.tell(stands);
                }
            }
        }
        if status != before {
            self.inner.status.send_replace(status);
        }
        // Told after it is known everywhere: who is let go may look. Without a writer nobody waits.
        if let Some(seq) = replicated {
            let _ = self.parts.commands.send(Command::Replicated(seq));
        }
        if status.stands == Standing::Degraded && before.stands != Standing::Degraded {
            let _ = self.parts.commands.send(Command::Replicated(u64::MAX));
        }
        if status.stands == Standing::Sealed {
            // Whatever the leases say: somebody else acts for these targets, or is about to.
            self.parts.ownership.give_all_up();
            self.inner.sealed.cancel();
        }
    }

    /// Logs each change once.
    fn tell(&self, stands: Standing) {
        let error = self.parts.meters.error().unwrap_or_default();
        match stands {
            Standing::Off | Standing::Starting => {}
            Standing::Replicating => tracing::info!("the replica keeps up"),
            Standing::Behind => tracing::warn!(error, "the replica was not reached, trying again"),
            Standing::Closed => tracing::error!(error, patience = ?self.inner.patience,
                "nothing could be replicated, sources that wait for the replica are refused"),
            Standing::Degraded => tracing::error!(error, patience = ?self.inner.patience,
                "nothing could be replicated, all sources are acknowledged locally from now on: a lost disk loses what was acknowledged"),
            Standing::Sealed => {
                tracing::error!("another pod has taken this one's replica over, nothing is acknowledged any more")
            }
        }
    }
}

#[cfg(test)]
mod tests;
