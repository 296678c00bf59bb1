//! One link per pod, kept open: follows the pods of the routing table, reconnects with backoff, and says which are up.

use super::connection;
use super::open::{OpenError, open};
use super::session::{self, Session, Share};
use super::{Lost, NoShare, Upstream};
use crate::backoff::Backoff;
use crate::settings::Secret;
use crate::shutdown::Shutdown;
use crate::wire::control::PodInfo;
use crate::wire::link::{Outcome, Request};
use crate::{PodId, Revision};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How links are opened and kept.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// What is presented to pods.
    pub token: Secret,
    /// This router's name, for the pods' logs.
    pub name: String,
    /// How long a link may take to open, and be silent before it counts as dead.
    pub timeout: Duration,
    /// The longest frame.
    pub max_frame: usize,
    /// The pod that this process is itself: no link is opened to it.
    pub except: Option<PodId>,
}

/// The links to all pods. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: LinkOptions,
    links: RwLock<HashMap<PodId, Link>>,
    tracker: TaskTracker,
    shutdown: Shutdown,
    /// Counts changes of the set of pods, for those who wait for a pod that is not known yet.
    known: watch::Sender<u64>,
}

#[derive(Debug)]
struct Link {
    home: watch::Sender<Home>,
    up: watch::Receiver<Option<Arc<Session>>>,
    stop: Shutdown,
}

/// Where a pod is reached. A new registration is a reason to try at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Home {
    address: String,
    revision: Revision,
}

impl Links {
    /// Makes an empty set. Tasks run on `tracker` until `shutdown`.
    pub fn new(options: LinkOptions, tracker: TaskTracker, shutdown: Shutdown) -> Self {
        let known = watch::Sender::new(0);
        Self(Arc::new(Inner { options, links: RwLock::default(), tracker, shutdown, known }))
    }

    /// Follows the set of pods: opens links to new ones, moves those whose address changed, ends the rest.
    pub fn follow(&self, pods: &[PodInfo]) {
        let mut links = self.0.links.write().unwrap_or_else(PoisonError::into_inner);
        links.retain(|pod, link| {
            let stays = pods.iter().any(|info| info.pod == *pod);
            if !stays {
                link.stop.cancel();
            }
            stays
        });
        for info in pods.iter().filter(|info| self.0.options.except.as_ref() != Some(&info.pod)) {
            let home = Home { address: info.address.clone(), revision: info.revision };
            match links.get(&info.pod) {
                Some(link) => {
                    link.home.send_if_modified(|known| {
                        let changed = *known != home;
                        known.clone_from(&home);
                        changed
                    });
                }
                None => {
                    links.insert(info.pod.clone(), self.open(info.pod.clone(), home));
                }
            }
        }
        drop(links);
        self.0.known.send_modify(|count| *count += 1);
    }

    fn open(&self, pod: PodId, home: Home) -> Link {
        let (home, follow) = watch::channel(home);
        let (state, up) = watch::channel(None);
        let stop = self.0.shutdown.child_token();
        let keeper = Keeper { pod, options: self.0.options.clone(), home: follow, state };
        let until = stop.clone();
        self.0.tracker.spawn(async move {
            let _ = until.run_until_cancelled(keeper.keep()).await;
        });
        Link { home, up, stop }
    }

    /// Returns how many links are open and how many are not.
    pub fn count(&self) -> (usize, usize) {
        let links = self.0.links.read().unwrap_or_else(PoisonError::into_inner);
        let up = links.values().filter(|link| link.up.borrow().is_some()).count();
        (up, links.len() - up)
    }

    fn state(&self, pod: &PodId) -> Option<watch::Receiver<Option<Arc<Session>>>> {
        let links = self.0.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(pod).map(|link| link.up.clone())
    }

    fn session(&self, pod: &PodId) -> Result<Arc<Session>, NoShare> {
        let links = self.0.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(pod).and_then(|link| link.up.borrow().clone()).ok_or(NoShare::Down)
    }
}

impl Upstream for Links {
    type Share = Share;

    fn try_reserve(&self, pod: &PodId, bytes: usize) -> Result<Share, NoShare> {
        self.session(pod)?.try_reserve(bytes)
    }

    async fn reserve(&self, pod: &PodId, bytes: usize) -> Result<Share, NoShare> {
        self.session(pod)?.reserve(bytes).await
    }

    async fn call(&self, share: Share, request: Request) -> Result<Outcome, Lost> {
        session::call(share, request).await
    }

    async fn ready(&self, pod: &PodId) {
        let mut known = self.0.known.subscribe();
        loop {
            if let Some(mut up) = self.state(pod)
                && up.wait_for(Option::is_some).await.is_ok()
            {
                return;
            }
            // The pod is not known yet, or its link was ended: the set must change first.
            if known.changed().await.is_err() {
                return;
            }
        }
    }
}

/// A session that callers may use. However it ends, also when its task is dropped, nobody goes on waiting for it.
struct Open<'a> {
    state: &'a watch::Sender<Option<Arc<Session>>>,
    session: Arc<Session>,
}

impl<'a> Open<'a> {
    fn announce(state: &'a watch::Sender<Option<Arc<Session>>>, session: Arc<Session>) -> Self {
        state.send_replace(Some(Arc::clone(&session)));
        Self { state, session }
    }

    fn close(&self) {
        self.state.send_replace(None);
        self.session.close();
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The task that keeps one pod's link open.
struct Keeper {
    pod: PodId,
    options: LinkOptions,
    home: watch::Receiver<Home>,
    state: watch::Sender<Option<Arc<Session>>>,
}

impl Keeper {
    async fn keep(mut self) {
        let seed = self.pod.as_str().bytes().fold(u64::from(std::process::id()), |sum, b| sum * 31 + u64::from(b));
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), seed);
        let mut told = false;
        loop {
            let home = self.home.borrow_and_update().clone();
            match self.open(&home.address).await {
                Ok(opened) => {
                    tracing::info!(pod = %self.pod, address = home.address, "link is up");
                    told = false;
                    backoff.reset();
                    let (session, commands) = Session::new(opened.window, self.options.max_frame);
                    let open = Open::announce(&self.state, session);
                    let mut home_now = self.home.clone();
                    let moved = home_now.wait_for(|now| now.address != home.address);
                    let LinkOptions { max_frame, timeout, .. } = self.options;
                    tokio::select! {
                        ended = connection::run(opened, commands, max_frame, timeout, || open.close()) => {
                            tracing::warn!(pod = %self.pod, reason = %ended, "link is down");
                        }
                        _ = moved => tracing::info!(pod = %self.pod, "the pod has moved to another address"),
                    }
                }
                Err(why) if !told => {
                    told = true;
                    tracing::warn!(pod = %self.pod, address = home.address, error = %why, "link cannot be opened, trying on");
                }
                Err(why) => tracing::debug!(pod = %self.pod, error = %why, "link cannot be opened"),
            }
            tokio::select! {
                () = sleep(backoff.next_wait()) => {}
                changed = self.home.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn open(&self, address: &str) -> Result<super::open::Opened, OpenError> {
        let limit = self.options.timeout;
        timeout(limit, open(address, &self.options.token, &self.options.name))
            .await
            .map_err(|_| OpenError::Slow(limit))?
    }
}
