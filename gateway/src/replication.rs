//! Acknowledged means replicated (OWNERSHIP.md, Data 3; LITESTREAM.md, "Knowing that a commit is replicated"). This is what
//! the rest of the pod knows of it: which events wait for the replica, how far that is, and whether those that would wait are
//! taken at all. Litestream uploads; [`agent`] asks it to and reads the seal; the writer's gate holds what waits.
//!
//! ```text
//! writer ── COMMIT n ──▸ Replication ──▸ agent ── POST /sync ──▸ Litestream ──▸ store
//!    ▲  gate: answers, calls                │ ◂── 200 ──┘
//!    └───────── Replicated(n) ◂─────────────┴── SEALED? ── read ──▸ store
//! ```

pub(crate) mod agent;
mod control;
mod core;
mod meters;
mod modes;
mod pace;
mod seals;
#[cfg(feature = "plant")]
pub mod simulation;

pub(crate) use self::core::Rules;
pub(crate) use control::{ControlSocket, Refusal, Seals, ask};
pub(crate) use meters::ReplicationMeters;
pub use modes::{AcknowledgeList, BadMode};
pub(crate) use seals::SealOf;

use crate::options::ReplicationArgs;
use modes::Modes;
use shared::{
    Mono,
    event::{Event, EventKind},
    shutdown::Shutdown,
    wire::replication::Standing,
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// When an event is acknowledged: to whoever sent it, and by the calls it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// Once its commit is on this pod's disk. A lost disk may take the last commits along.
    Local,
    /// Once its commit is uploaded, and the lineage was not sealed after that.
    Replicated,
}

/// Where the replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// Whether it keeps up.
    pub(crate) stands: Standing,
    /// Up to which commit it goes.
    pub(crate) replicated_seq: u64,
    /// When the oldest commit was made that is not known to be there.
    pub(crate) oldest: Option<Mono>,
    /// What an acknowledgement takes that waits for it; none while it does not keep up.
    pub(crate) takes: Option<Duration>,
    /// Bytes of the WAL at the last confirmed upload, all that were ever written.
    pub(crate) replicated_bytes: u64,
}

/// How far a database's commits are; written by its writer, read by everybody.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    seq: AtomicU64,
    wal_bytes: AtomicU64,
}

impl Commits {
    /// Notes a commit, and how many bytes of WAL it took.
    pub(crate) fn committed(&self, seq: u64, wal_bytes: u64) {
        self.wal_bytes.fetch_add(wal_bytes, Ordering::Relaxed);
        self.seq.fetch_max(seq, Ordering::AcqRel);
    }

    /// Returns the number of the last commit.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Returns how many bytes of WAL have been written since the database was opened.
    pub(crate) fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Ordering::Relaxed)
    }
}

/// What waits for the replica, as the writer says.
#[derive(Debug, Default)]
struct Waits {
    count: AtomicU64,
    /// Since when the oldest waits, in nanoseconds; 0 for none.
    oldest: AtomicU64,
}

/// The pod's replication. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Replication(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    modes: Modes,
    patience: Duration,
    /// The last commit that somebody waits for.
    asked: AtomicU64,
    flush: AtomicU64,
    waits: Waits,
    /// Something was committed, or is asked for.
    news: Notify,
    /// Whether nobody listens on Litestream's socket.
    gone: Arc<AtomicBool>,
    /// Where the replica is, below the base of all.
    lineage: OnceLock<String>,
    status: watch::Sender<Status>,
    /// Cancelled when the lineage turns out to be sealed.
    sealed: Shutdown,
}

impl Replication {
    /// Returns that of a pod without a replica: everything is acknowledged locally.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// Makes that of a pod with a replica, of which nothing is known yet.
    pub(crate) fn new(args: &ReplicationArgs) -> Self {
        let status = Status { stands: Standing::Starting, ..Status::default() };
        Self(Some(Arc::new(Inner {
            modes: Modes::new(args.acknowledge.clone().unwrap_or_default().0, args.acknowledge_interactive_within),
            patience: args.replication_patience,
            asked: AtomicU64::new(0),
            flush: AtomicU64::new(0),
            waits: Waits::default(),
            news: Notify::new(),
            gone: Arc::default(),
            lineage: OnceLock::new(),
            status: watch::Sender::new(status),
            sealed: Shutdown::new(),
        })))
    }

    /// Returns whether the pod has a replica.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns what says whether Litestream is gone; none without a replica.
    pub(crate) fn gone(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.0.as_ref()?.gone))
    }

    /// Returns where the replica is, below the base of all replicas, once that is known.
    pub(crate) fn lineage(&self) -> Option<String> {
        self.0.as_ref()?.lineage.get().cloned()
    }

    /// Returns where the replica stands.
    pub(crate) fn status(&self) -> Status {
        self.0.as_ref().map(|inner| *inner.status.borrow()).unwrap_or_default()
    }

    /// Returns when an event is acknowledged.
    pub(crate) fn mode(&self, event: &Event) -> Acknowledge {
        self.mode_of(&event.source, event.kind)
    }

    /// Returns when an event of this source and kind is acknowledged.
    pub(crate) fn mode_of(&self, source: &str, kind: EventKind) -> Acknowledge {
        let Some(inner) = &self.0 else { return Acknowledge::Local };
        let status = *inner.status.borrow();
        if status.stands == Standing::Degraded {
            Acknowledge::Local
        } else {
            inner.modes.of(source, kind, status.takes)
        }
    }

    /// Returns when that is acknowledged which no source has sent: what operators decide, what was left open before a
    /// restart, and that a move has arrived.
    pub(crate) fn mode_of_own(&self) -> Acknowledge {
        let local = matches!(self.status().stands, Standing::Off | Standing::Degraded);
        if local { Acknowledge::Local } else { Acknowledge::Replicated }
    }

    /// Says why an event cannot be taken, since its acknowledgement would not come; none when it can.
    pub(crate) fn refuses(&self, event: &Event) -> Option<String> {
        let inner = self.0.as_ref()?;
        let stands = inner.status.borrow().stands;
        if stands == Standing::Sealed {
            return Some("another pod has taken this one's replica over; this process ends".to_owned());
        }
        if !matches!(stands, Standing::Starting | Standing::Closed) || self.mode(event) == Acknowledge::Local {
            return None;
        }
        self.remark()
    }

    /// Says what is wrong with the replica, for people; none when nothing is.
    pub(crate) fn remark(&self) -> Option<String> {
        let inner = self.0.as_ref()?;
        let patience = inner.patience;
        Some(match inner.status.borrow().stands {
            Standing::Off | Standing::Replicating | Standing::Behind => return None,
            Standing::Starting => "nothing was replicated since this pod's start yet".to_owned(),
            Standing::Closed => format!(
                "nothing could be replicated for {patience:?}: sources that wait for the replica are refused; look at \
                 Litestream's log and at the store"
            ),
            Standing::Degraded => format!(
                "nothing could be replicated for {patience:?}: all sources are acknowledged locally, as \
                 --replication-degrade says; a lost disk now loses what was acknowledged"
            ),
            Standing::Sealed => "another pod has taken this one's replica over".to_owned(),
        })
    }

    /// Notes that something was committed; everything up to `asked`, when it says so, is waited for.
    pub(crate) fn committed(&self, asked: Option<u64>) {
        let Some(inner) = &self.0 else { return };
        if let Some(asked) = asked {
            inner.asked.fetch_max(asked, Ordering::AcqRel);
        }
        inner.news.notify_one();
    }

    /// Has everything uploaded that is committed now, soon: somebody is about to let go of it.
    pub(crate) fn hurry(&self) {
        if let Some(inner) = &self.0 {
            inner.flush.fetch_add(1, Ordering::AcqRel);
            inner.news.notify_one();
        }
    }

    /// Waits until everything up to a commit is replicated, at most for `most`. Returns whether it is; always without a
    /// replica.
    pub(crate) async fn reached(&self, seq: u64, most: Duration) -> bool {
        let Some(inner) = &self.0 else { return true };
        let mut seen = inner.status.subscribe();
        self.hurry();
        let there = seen.wait_for(|status| status.replicated_seq >= seq || status.stands == Standing::Sealed);
        tokio::time::timeout(most, there)
            .await
            .is_ok_and(|status| status.is_ok_and(|status| status.replicated_seq >= seq))
    }

    /// Completes when another pod has taken the lineage over; never without a replica.
    pub(crate) async fn sealed(&self) {
        match &self.0 {
            Some(inner) => inner.sealed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Notes what waits, and since when.
    pub(crate) fn waits(&self, count: usize, oldest: Option<Mono>) {
        if let Some(inner) = &self.0 {
            inner.waits.count.store(count as u64, Ordering::Relaxed);
            inner.waits.oldest.store(oldest.map_or(0, |at| at.as_nanos().max(1)), Ordering::Relaxed);
        }
    }

    /// Returns how much waits, and since when the oldest does.
    pub(crate) fn waiting(&self) -> (u64, Option<Mono>) {
        let Some(inner) = &self.0 else { return (0, None) };
        let oldest = inner.waits.oldest.load(Ordering::Relaxed);
        (inner.waits.count.load(Ordering::Relaxed), (oldest != 0).then(|| Mono::from_nanos(oldest)))
    }
}
