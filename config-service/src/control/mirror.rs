//! What a replica knows that does not lead: a copy of the model, kept by reading the change log behind the leader's commits.
//! A notification wakes it, polling is the truth. It serves reads and watches; what is older than it may be is not served.
//! Decides nothing about targets or pods.

use super::{ControlError, Reply, Role, Settings, Standing, gate::Gate, hub::Hub};
use crate::{
    domain::{Model, Snapshot},
    metrics::Metrics,
    store::{Followed, Log, Position, Reign, Store, StoreError, View},
};
use futures_util::future::BoxFuture;
use shared::shutdown::Shutdown;
use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};

/// Changes read at once.
const PIECE: usize = 5_000;

/// Questions that may wait; more wait in their own requests.
const ASKS: usize = 1_024;

/// How long it is waited before everything is read anew.
const AGAIN: Duration = Duration::from_millis(250);

/// The way to what a follower knows. When that is too old, the other side is gone.
#[derive(Debug, Clone)]
pub(super) struct Following {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) hub: Hub,
    pub(super) standing: watch::Receiver<Arc<Standing>>,
    pub(super) reign: watch::Receiver<Reign>,
}

/// What a follower is asked.
pub(super) enum Ask {
    /// Reads the model.
    Look(Box<dyn FnOnce(&Model) + Send>),
    /// Everything, for a watcher.
    Snapshot(Reply<Arc<Snapshot>>),
    /// Answers when all is known that was committed before the question.
    CatchUp(Reply<()>),
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look(_) => "Look",
            Self::Snapshot(_) => "Snapshot",
            Self::CatchUp(_) => "CatchUp",
        })
    }
}

/// The task that follows while another leads.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: Settings,
    pub(super) metrics: Metrics,
    /// What this process is.
    pub(super) role: watch::Receiver<Role>,
    /// Where the way to what is known is shown.
    pub(super) shown: watch::Sender<Option<Following>>,
    /// Whether everything is being read: soon it is known.
    pub(super) reading: watch::Sender<bool>,
    /// Told when nobody leads.
    pub(super) vacant: Arc<Notify>,
    pub(super) gate: Gate,
    pub(super) shutdown: Shutdown,
}

/// Why following ended.
enum Over {
    /// This process leads now, or stops.
    Not,
    /// What is known does not go on in the log.
    Gap,
    /// Nothing was heard for too long.
    Stale(StoreError),
}

impl Mirror {
    /// Runs until the service stops.
    pub(super) async fn run(mut self) {
        while self.another_leads().await {
            self.reading.send_replace(true);
            let over = self.follow().await;
            self.gate.follows(false);
            self.shown.send_replace(None);
            self.reading.send_replace(false);
            match over {
                Ok(Over::Not) => continue,
                Ok(Over::Gap) => {
                    tracing::info!("the change log does not continue what is known, reading everything anew")
                }
                Ok(Over::Stale(why)) => tracing::warn!(error = %why, "what is known here is too old to be served"),
                Err(why) => tracing::debug!(error = %why, "cannot read what the leader has committed"),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// Waits until another process leads; false when the service stops.
    async fn another_leads(&mut self) -> bool {
        let leads = self.role.wait_for(|role| matches!(role, Role::Follower { .. }));
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            known = leads => known.is_ok(),
        }
    }

    async fn follow(&mut self) -> Result<Over, StoreError> {
        let store = Arc::clone(&self.store);
        let View { snapshot, edits } = tokio::select! {
            view = store.view() => view?,
            () = self.shutdown.cancelled() => return Ok(Over::Not),
            // This process leads now, and has not waited for it.
            _ = self.role.wait_for(|role| !matches!(role, Role::Follower { .. })) => return Ok(Over::Not),
        };
        let closed = self.shutdown.child_token();
        let _end_watches = closed.clone().drop_guard();
        let hub = Hub::new(snapshot.revision, self.settings.watch_backlog, self.settings.max_watchers, closed);
        let model = Model::new(snapshot);
        let (asks, waiting) = mpsc::channel(ASKS);
        let (standing, reign) =
            (watch::Sender::new(Arc::new(Standing::new(&model))), watch::Sender::new(Reign::default()));
        let following = Following { asks, hub: hub.clone(), standing: standing.subscribe(), reign: reign.subscribe() };
        let copy = Copy {
            model,
            edits,
            hub,
            standing,
            reign,
            // It is served once a look was answered.
            heard: Instant::now(),
            snapshot: Weak::new(),
            behind: Vec::new(),
            catching: Vec::new(),
        };
        tracing::info!(revision = %copy.model.revision(), "following the leader");
        Ok(self.keep(copy, following, waiting).await)
    }

    /// Reads along until that is over.
    async fn keep(&mut self, mut copy: Copy, following: Following, mut asked: mpsc::Receiver<Ask>) -> Over {
        let store = Arc::clone(&self.store);
        let (poll, age) = (self.settings.follower_poll, self.settings.follower_age);
        let mut reading: Option<BoxFuture<'_, Result<Followed, StoreError>>> = None;
        let (mut began, mut look) = (Instant::now(), Instant::now());
        let mut wake = store.wake();
        let mut failed = StoreError::Rejected("the database does not answer".to_owned());
        let mut shown = Some(following);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Over::Not,
                changed = self.role.changed() => {
                    if changed.is_err() || !matches!(*self.role.borrow_and_update(), Role::Follower { .. }) {
                        return Over::Not;
                    }
                }
                () = tokio::time::sleep_until(copy.heard + age) => return Over::Stale(failed),
                read = outcome(&mut reading) => {
                    reading = None;
                    match read {
                        Ok(followed) => match copy.take(followed, began) {
                            Some(more) => {
                                look = if more { Instant::now() } else { Instant::now() + poll };
                                if copy.reign.borrow().leader().is_none() {
                                    self.vacant.notify_one();
                                }
                            }
                            None => return Over::Gap,
                        },
                        Err(StoreError::Unusable(why)) => return Over::Stale(StoreError::Unusable(why)),
                        Err(why) => {
                            self.metrics.store_error(&why);
                            (failed, look) = (why, Instant::now() + poll);
                        }
                    }
                    self.metrics.revision(copy.model.revision());
                    // Shown once it is known that the log goes on and who leads.
                    if let Some(following) = shown.take_if(|_| copy.heard == began) {
                        self.shown.send_replace(Some(following));
                        self.reading.send_replace(false);
                        self.gate.follows(true);
                    }
                }
                () = tokio::time::sleep_until(look), if reading.is_none() => {
                    began = Instant::now();
                    copy.board();
                    let position = Position { revision: copy.model.revision(), edits: copy.edits };
                    reading = Some(store.follow(position, PIECE));
                }
                woken = &mut wake => {
                    if woken.is_ok() {
                        look = Instant::now();
                        wake = store.wake();
                    } else {
                        // Polling goes on; listening is tried again with some distance.
                        let store = Arc::clone(&store);
                        wake = Box::pin(async move {
                            tokio::time::sleep(age).await;
                            store.wake().await
                        });
                    }
                }
                ask = asked.recv() => {
                    let Some(ask) = ask else { return Over::Not };
                    if copy.answer(ask) {
                        look = Instant::now();
                    }
                }
            }
        }
    }
}

async fn outcome(reading: &mut Option<BoxFuture<'_, Result<Followed, StoreError>>>) -> Result<Followed, StoreError> {
    match reading {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// The copy, and who waits for it.
struct Copy {
    model: Model,
    /// How often tokens or settings had been edited when they were read.
    edits: u64,
    hub: Hub,
    standing: watch::Sender<Arc<Standing>>,
    reign: watch::Sender<Reign>,
    /// When the last look began that was answered.
    heard: Instant,
    snapshot: Weak<Snapshot>,
    /// Who waits for a look that begins after their question.
    behind: Vec<Reply<()>>,
    /// Who waits for the look under way.
    catching: Vec<Reply<()>>,
}

impl Copy {
    /// A look begins.
    fn board(&mut self) {
        self.catching.append(&mut self.behind);
    }

    /// Takes in what a look that began at `began` has found. Returns whether there may be more; none when the log does not
    /// continue what is known.
    fn take(&mut self, followed: Followed, began: Instant) -> Option<bool> {
        let Followed { log, edited, reign } = followed;
        let Log::Changes(changes) = log else { return None };
        let more = changes.len() == PIECE;
        for change in &changes {
            self.model.apply(change.clone());
        }
        if !changes.is_empty() {
            self.hub.publish(changes);
        }
        if let Some(edited) = edited {
            self.edits = edited.edits;
            self.model.replace_edits(edited.tokens, edited.settings);
            self.standing.send_replace(Arc::new(Standing::new(&self.model)));
        }
        self.reign.send_if_modified(|known| {
            let new = (known.term, known.leader()) != (reign.term, reign.leader());
            *known = reign;
            new
        });
        self.heard = began;
        if more {
            self.behind.append(&mut self.catching);
        }
        for reply in self.catching.drain(..) {
            // Whoever asked may be gone.
            let _ = reply.send(Ok(()));
        }
        Some(more)
    }

    /// Answers a question. Returns whether it is to be looked at once.
    fn answer(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Look(look) => look(&self.model),
            Ask::Snapshot(reply) => {
                let _ = reply.send(Ok(self.whole()));
            }
            Ask::CatchUp(reply) => {
                self.behind.push(reply);
                return true;
            }
        }
        false
    }

    fn whole(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.snapshot.upgrade().filter(|snapshot| self.hub.continues(snapshot.revision)) {
            return snapshot;
        }
        let snapshot = Arc::new(self.model.snapshot());
        self.snapshot = Arc::downgrade(&snapshot);
        snapshot
    }
}

impl Following {
    /// Asks, and waits for the answer.
    pub(super) async fn ask<T>(&self, ask: impl FnOnce(Reply<T>) -> Ask) -> Result<T, ControlError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let gone = || ControlError::NotLeader { leader: None };
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
