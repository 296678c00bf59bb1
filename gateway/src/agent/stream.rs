//! The pod's own assignment stream: what it owns, as config-service's log has it. Decides when a silent stream is dead and
//! where to go on; hands every message to the ownership and the engine in order. Knows no lease.

use super::moves::{MovesSink, Told};
use super::nag::Nag;
use crate::ownership::{Ownership, Staged};
use crate::{Engine, dispatch::Known, readiness::Readiness};
use http_body_util::BodyExt;
use shared::backoff::Backoff;
use shared::http::Client;
use shared::shutdown::Shutdown;
use shared::wire::control::Watch;
use shared::wire::sse::SseReader;
use shared::{Revision, TargetId};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The largest message of the watch: a snapshot comes in parts that are far smaller.
const MAX_MESSAGE: usize = 16 << 20;
/// The set of targets is logged when it changed, but not more often than this.
const ANNOUNCE: Duration = Duration::from_secs(1);
/// The shortest and the longest wait before the stream is opened again.
const REOPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Everything the task works with.
#[derive(Debug)]
pub(crate) struct Stream {
    /// config-service.
    pub(crate) client: Client,
    /// Who is told what the pod owns.
    pub(crate) ownership: Ownership,
    /// Who keeps the targets' rows.
    pub(crate) engine: Engine,
    /// True once the pod is registered, nobody has assignments for it before; told again when config-service is back.
    pub(crate) known: watch::Receiver<bool>,
    /// Who hears of moves and of the other pods.
    pub(crate) moves: Arc<dyn MovesSink>,
    /// What readiness hangs on: a lease counts only when this stream has caught up with it.
    pub(crate) readiness: Readiness,
    /// How long the stream may be silent before it counts as dead.
    pub(crate) silence: Duration,
    /// The cluster generation whose assignments the database has heard of since this process began; none yet.
    pub(crate) generation: Option<u32>,
    /// Ends the task.
    pub(crate) stop: Shutdown,
}

/// Why the stream was left.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("{0}")]
    Client(#[from] shared::http::ClientError),
    #[error("the stream was closed")]
    Closed,
    #[error("the stream was cut: {0}")]
    Cut(#[from] hyper::Error),
    #[error("the stream was silent for {0:?}")]
    Silent(Duration),
    #[error("{0}")]
    TooLarge(#[from] shared::wire::sse::SseTooLarge),
    #[error("a message of the stream cannot be read: {0}")]
    Message(#[from] serde_json::Error),
    #[error("config-service asks to start over: {0}")]
    Resync(String),
    #[error(
        "config-service's log ends at revision {theirs}, this pod has seen {ours}: an older copy of its database, or \
         another one; bring back the newest one, or go by this one with berth generation new"
    )]
    Older { theirs: Revision, ours: Revision },
}

impl Left {
    /// Whether the position in the log is worth nothing any more.
    fn starts_over(&self) -> bool {
        matches!(self, Self::Resync(_) | Self::Older { .. } | Self::Message(_) | Self::TooLarge(_))
    }
}

impl Stream {
    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.follow_for_ever()).await;
    }

    async fn follow_for_ever(&mut self) {
        if self.known.wait_for(|known| *known).await.is_err() {
            return;
        }
        let clock = self.ownership.clock().clone();
        let mut backoff = Backoff::new(REOPEN.0, REOPEN.1, clock.now().as_nanos());
        let (mut nag, mut announcer) = (Nag::default(), Announcer::default());
        let mut whole = false;
        loop {
            let seen = self.ownership.revision();
            let Err(left) = self.follow(&mut whole, &mut announcer, &mut nag).await;
            if left.starts_over() {
                whole = false;
            }
            if self.ownership.revision() > seen {
                backoff.reset();
            }
            if nag.tell(clock.now(), &left.to_string()) {
                tracing::warn!(error = %left, "the assignment stream was left, opening it again");
            }
            self.pause(backoff.next_wait()).await;
        }
    }

    /// Waits before the stream is opened again: for `wait`, or until heartbeats are answered again.
    async fn pause(&mut self, wait: Duration) {
        let answered = async {
            if self.known.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = answered => {}
        }
    }

    /// Follows one connection until it has to be left. `whole` says whether a position in the log is known.
    async fn follow(&mut self, whole: &mut bool, announcer: &mut Announcer, nag: &mut Nag) -> Result<Never, Left> {
        let path = format!("/v1/watch?pod={}", self.ownership.pod());
        let seen = self.ownership.revision();
        // A new cluster generation, or a new life of this pod, knows no position.
        *whole &= seen > Revision(0);
        let position = seen.to_string();
        let headers: &[(&str, &str)] = if *whole { &[("last-event-id", &position)] } else { &[] };
        let mut body = self.client.stream(&path, headers).await?;
        let from = self.client.base().to_owned();
        let mut reader = SseReader::new(MAX_MESSAGE);
        let mut dead_at = Instant::now() + self.silence;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame.ok_or(Left::Closed)??,
                () = tokio::time::sleep_until(dead_at) => {
                    self.client.leave(&from);
                    return Err(Left::Silent(self.silence));
                }
                () = announcer.due() => { announcer.announce(&self.ownership); continue }
            };
            dead_at = Instant::now() + self.silence;
            let Some(chunk) = frame.data_ref() else { continue };
            for event in reader.push(chunk)? {
                let mut message: Watch = serde_json::from_str(&event.data)?;
                // A replica that is behind the others is no good either.
                self.refuse(&message).inspect_err(|_| self.client.leave(&from))?;
                if message.completes().is_some() {
                    *whole = true;
                    if nag.over() {
                        tracing::info!("the assignment stream is back");
                    }
                }
                if let Some(told) = Told::take(&mut message) {
                    self.moves.told(told).await;
                }
                let staged = self.ownership.stage(message);
                let mut unfit = Vec::new();
                let generation = self.ownership.generation();
                let first_of_it = staged.completes().is_some() && self.generation != Some(generation);
                if first_of_it || !staged.changes().is_empty() {
                    unfit = self.get_ready(&staged, generation).await;
                    self.generation = staged.completes().map(|_| generation).or(self.generation);
                    announcer.changed();
                }
                self.ownership.admit(staged, &unfit);
                self.readiness.refresh();
            }
        }
    }

    /// Some messages are not to be followed.
    fn refuse(&self, message: &Watch) -> Result<(), Left> {
        let ours = self.ownership.revision();
        match message {
            Watch::Resync { reason } => Err(Left::Resync(reason.clone())),
            // What this pod has seen was committed; a log without it knows less of who owns what.
            Watch::Snapshot { revision, .. } if *revision < ours => Err(Left::Older { theirs: *revision, ours }),
            _ => Ok(()),
        }
    }

    /// Has the engine ready for what is about to be served. There is no way around it, so it is tried until it works.
    async fn get_ready(&self, staged: &Staged, generation: u32) -> Vec<TargetId> {
        let changes = staged.changes();
        let known = staged.completes().map(|revision| Known { revision, generation });
        let unfit = loop {
            match self.engine.follow(changes.clone(), known).await {
                Ok(unfit) => break unfit,
                Err(why) => {
                    let (acquired, released) = (changes.acquired.len(), changes.released.len());
                    tracing::error!(acquired, released, error = %why, "cannot follow the assignments, trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        if !unfit.is_empty() {
            let (targets, first) = (unfit.len(), unfit.first().map(ToString::to_string));
            tracing::error!(
                targets,
                first,
                "targets are assigned to this pod while its rows of them are put aside, not served; declare which copy counts"
            );
        }
        unfit
    }
}

/// The stream is followed until it has to be left.
enum Never {}

/// Logs the pod's targets after a change, not more often than [`ANNOUNCE`].
#[derive(Debug, Default)]
struct Announcer {
    pending: bool,
    last: Option<Instant>,
}

impl Announcer {
    fn changed(&mut self) {
        self.pending = true;
    }

    /// Completes when a line is due; never while there is nothing to say.
    async fn due(&self) {
        match (self.pending, self.last) {
            (true, Some(last)) => tokio::time::sleep_until(last + ANNOUNCE).await,
            (true, None) => {}
            (false, _) => std::future::pending().await,
        }
    }

    fn announce(&mut self, ownership: &Ownership) {
        (self.pending, self.last) = (false, Some(Instant::now()));
        tracing::info!(pod = %ownership.pod(), count = ownership.count(), revision = %ownership.revision(), "assigned guilds");
    }
}
