//! Who owns a target, as this router knows it. The table is fed by the watch (`feed`) and by answers to first contacts
//! (`place`); while config-service has not been heard, by the gateways and by the table kept last (`alone`). The hot path
//! asks nobody. It never decides ownership: the owner does, by its lease and the epoch.

mod alone;
mod feed;
mod kept;
mod outage;
mod place;

pub use alone::Alone;
pub use feed::Feed;
pub use kept::{Keeper, Kept};
pub use place::{PlaceFailed, Placer};

use crate::routing::{Applied, Route, Table};
use crate::wire::control::{Placed, PodInfo, Watch};
use crate::{Epoch, PodId, Revision, TargetId};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The routing table, shared. Locks are held for a lookup or one message, never across an await.
#[derive(Debug, Clone, Default)]
pub struct Routes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: RwLock<State>,
    /// Counts changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    /// The newest revision of an answer to a first contact: the table itself may still be behind it.
    learned: Revision,
    /// When config-service was last heard.
    heard: Option<Instant>,
    /// Whether the first whole snapshot has arrived.
    loaded: bool,
    /// Whether something was adopted before that.
    adopted: bool,
}

/// Where a target is, with what a request to its owner carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its owner.
    pub pod: PodId,
    /// The epoch of the ownership.
    pub epoch: Epoch,
    /// A revision at which this was so; a pod that is behind it waits for its own stream.
    pub revision: Revision,
}

/// What the table says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// The first whole snapshot has not arrived: nothing is known of anything.
    NotLoaded,
    /// It has no home yet.
    Unknown,
    /// It is there.
    At(Located),
}

/// What there is to show of the table.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Since config-service was last heard, if ever.
    pub age: Option<Duration>,
    /// Targets with a route.
    pub targets: usize,
    /// The revision the table is complete up to.
    pub revision: Revision,
}

impl Routes {
    /// Makes an empty table that is not loaded.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where a target is: its own route, else its parent's.
    pub fn locate(&self, target: &TargetId, parent: Option<&TargetId>) -> Whereabouts {
        let state = self.read();
        let route = state.table.route(target).or_else(|| parent.and_then(|parent| state.table.route(parent)));
        match route {
            Some(route) => {
                let revision = state.table.revision().max(state.learned);
                Whereabouts::At(Located { pod: route.pod.clone(), epoch: route.epoch, revision })
            }
            None if state.loaded || state.adopted => Whereabouts::Unknown,
            None => Whereabouts::NotLoaded,
        }
    }

    /// Returns the epoch under which the table has a target itself.
    fn epoch(&self, target: &TargetId) -> Option<Epoch> {
        self.read().table.route(target).map(|route| route.epoch)
    }

    /// Returns where a pod is reached, `host:port`.
    pub fn address(&self, pod: &PodId) -> Option<String> {
        self.read().table.pod(pod).map(|info| info.address.clone())
    }

    /// Applies a message of the watch, heard at `now`.
    pub fn apply(&self, message: Watch, now: Instant) -> Applied {
        let applied = {
            let mut state = self.write();
            let applied = state.table.apply(message);
            state.heard = Some(now);
            state.loaded |= matches!(applied, Applied::Complete(_));
            applied
        };
        self.0.changes.send_modify(|count| *count += 1);
        applied
    }

    /// Takes what others than config-service say of owners, while it has not been heard. Returns whether it was taken.
    pub fn adopt(&self, pods: Vec<PodInfo>, routes: Vec<(TargetId, Route)>) -> bool {
        {
            let mut state = self.write();
            if state.loaded {
                return false;
            }
            state.adopted = true;
            state.table.adopt(pods, routes);
        }
        self.0.changes.send_modify(|count| *count += 1);
        true
    }

    /// Takes the hint of a pod that does not own a target, if it is newer than what is known and the pod it names is known.
    /// Returns where the target is then.
    pub fn hinted(&self, target: &TargetId, than: Epoch, owner: &PodId, epoch: Epoch) -> Option<Located> {
        let located = {
            let mut state = self.write();
            if epoch <= than || state.table.pod(owner).is_none() {
                return None;
            }
            state.table.adopt(Vec::new(), [(target.clone(), Route { pod: owner.clone(), epoch })]);
            let route = state.table.route(target)?;
            let revision = state.table.revision().max(state.learned);
            Located { pod: route.pod.clone(), epoch: route.epoch, revision }
        };
        self.0.changes.send_modify(|count| *count += 1);
        Some(located)
    }

    /// Returns all that is worth keeping, ordered; none while nothing was heard from config-service.
    pub fn kept(&self) -> Option<Kept> {
        let state = self.read();
        if !state.loaded {
            return None;
        }
        let mut routes: Vec<_> =
            state.table.routes().map(|(target, at)| (target.clone(), at.pod.clone(), at.epoch)).collect();
        let (revision, mut pods) = (state.table.revision(), state.table.pods().cloned().collect::<Vec<_>>());
        drop(state);
        routes.sort_by(|a, b| a.0.cmp(&b.0));
        pods.sort_by(|a, b| a.pod.cmp(&b.pod));
        Some(Kept { version: Kept::VERSION, revision, pods, routes })
    }

    /// Takes what config-service answered to a first contact or a refresh.
    pub fn learn(&self, placed: &Placed) {
        {
            let mut state = self.write();
            state.learned = state.learned.max(placed.revision);
            for assignment in &placed.assignments {
                state.learned = state.learned.max(assignment.revision);
                state.table.learn(assignment.clone());
            }
        }
        self.0.changes.send_modify(|count| *count += 1);
    }

    /// Returns a receiver that sees every later change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Returns the revision the table is complete up to, once it has been loaded: where a watch resumes.
    pub fn resume_at(&self) -> Option<Revision> {
        let state = self.read();
        state.loaded.then(|| state.table.revision())
    }

    /// Returns the pods, in order.
    pub fn pods(&self) -> Vec<PodInfo> {
        let mut pods: Vec<_> = self.read().table.pods().cloned().collect();
        pods.sort_by(|a, b| a.pod.cmp(&b.pod));
        pods
    }

    /// Returns what there is to show.
    pub fn summary(&self) -> Summary {
        let state = self.read();
        Summary {
            age: state.heard.map(|heard| heard.elapsed()),
            targets: state.table.len(),
            revision: state.table.revision(),
        }
    }
}
