//! The shards of this pod: a line for each whose target it owns and may act for. Decides when one begins and when it has to let
//! go; what it does meanwhile is its own matter.

use super::{
    ahead::Coming,
    connector::{Connector, Session},
    homes::Settle,
    lanes::Deliver,
    line::{Bounds, Home, Line, Order, Parts},
    meters::Meters,
    status::{self, KEY, Kept, Plan},
};
use crate::{
    Engine,
    ownership::{Guard, Ownership},
};
use futures_util::{FutureExt, future::BoxFuture};
use serde::de::IgnoredAny;
use shared::{
    TargetId,
    http::Client,
    lease::Use,
    shutdown::Shutdown,
    wire::discord::{self as wire, Shard, ShardStatus, ShardTail},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};

/// How often it is looked whether a shard may begin that is this pod's.
const LOOK: Duration = Duration::from_millis(100);

/// The wait before rows are read again that could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a destination may take to prepare itself. Without that the shard is silent for a second longer.
const PREPARE: Duration = Duration::from_secs(3);

/// What all lines work with.
pub(super) struct Means {
    pub(super) connector: Arc<dyn Connector>,
    /// The ways of what a shard hears.
    pub(super) ways: Box<dyn Fn(TargetId) -> Paths + Send + Sync>,
    pub(super) bounds: Bounds,
    pub(super) meters: Meters,
    pub(super) engine: Engine,
    pub(super) ownership: Ownership,
    /// What config-service says of the bot's shards.
    pub(super) plan: watch::Receiver<Plan>,
}

impl Means {
    /// Returns the session that is kept of a shard.
    async fn session(&self, target: &TargetId) -> Option<Session> {
        Kept::read(self.engine.kept_value(target, KEY).await.ok()?).session
    }
}

/// What one line is given to bring away what it hears.
pub(super) struct Paths {
    pub(super) deliver: Arc<Deliver>,
    pub(super) settle: Arc<Settle>,
}

/// The shards of this pod. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Shards(Arc<Mutex<Lines>>);

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lines().lines.keys()).finish()
    }
}

#[derive(Default)]
struct Lines {
    lines: BTreeMap<TargetId, Running>,
    /// None without a token.
    means: Option<Arc<Means>>,
    /// No other begins.
    stopping: bool,
}

#[derive(Debug)]
struct Running {
    orders: mpsc::UnboundedSender<Order>,
    status: watch::Receiver<ShardStatus>,
    tail: watch::Receiver<Option<ShardTail>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns which shard a target is.
pub(super) fn shard(target: &TargetId) -> Option<Shard> {
    (target.platform() == shared::Platform::Discord && target.kind() == shared::Kind::Shard)
        .then(|| target.id().parse().ok())
        .flatten()
}

impl Shards {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how the shards of this pod stand, in order.
    pub(crate) fn list(&self) -> wire::Shards {
        wire::Shards { shards: self.lines().lines.values().map(|line| line.status.borrow().clone()).collect() }
    }

    /// Returns whether a target is a shard with a connection here.
    pub(crate) fn has(&self, target: &TargetId) -> bool {
        self.lines().lines.get(target).is_some_and(|line| !line.task.is_finished())
    }

    fn means(&self) -> Option<Arc<Means>> {
        self.lines().means.clone()
    }

    /// Tells the pod that is to get a shard of its session, and waits until it is prepared. The shard is served here meanwhile.
    pub(crate) async fn announce(&self, target: TargetId, to: Client) {
        let Some(means) = self.means() else { return };
        let Some(session) = means.session(&target).await else { return };
        let coming = Coming { target, session };
        if let Err(why) = to.within(PREPARE).post::<IgnoredAny>("/v1/handoff/shard", &coming).await {
            tracing::info!(target = %coming.target, error = %why, "the shard's next holder is not prepared; the shard pauses longer");
        }
    }

    /// Prepares for a shard that is to come.
    pub(crate) async fn prepare(&self, Coming { target, session }: Coming) {
        if let (Some(means), Some(shard)) = (self.means(), shard(&target)) {
            means.connector.prepare(shard, session).await;
        }
    }

    /// Returns what those of them brought last that have been replaced.
    pub(super) fn tails(&self) -> Vec<ShardTail> {
        self.lines().lines.values().filter_map(|line| line.tail.borrow().clone()).collect()
    }

    /// Has a shard let go of its connection, in a way that another pod can go on with its session. Returns what completes once
    /// that is done; nothing when the target is no shard with a connection here.
    pub(crate) fn hold(&self, target: &TargetId) -> Option<impl Future<Output = ()> + Send + 'static> {
        let (done, held) = oneshot::channel();
        let lines = self.lines();
        let line = lines.lines.get(target).filter(|line| !line.task.is_finished())?;
        line.orders.send(Order::Hold(done)).ok()?;
        // One that has ended meanwhile has nothing to let go of.
        Some(held.map(drop))
    }

    /// Lets a shard go on that was held, if it is this pod's still.
    pub(crate) fn go_on(&self, target: &TargetId) {
        if let Some(line) = self.lines().lines.get(target) {
            // One that has ended begins anew by itself.
            let _ = line.orders.send(Order::GoOn);
        }
    }

    /// Has all shards let go of their connections, and begins no other.
    pub(crate) async fn stop(&self) {
        let targets: Vec<_> = {
            let mut lines = self.lines();
            lines.stopping = true;
            lines.lines.keys().cloned().collect()
        };
        let held: Vec<_> = targets.iter().filter_map(|target| self.hold(target)).collect();
        futures_util::future::join_all(held).await;
        self.lines().lines.clear();
    }

    /// Follows what this pod owns, until `stop`.
    pub(super) async fn run(self, means: Means, stop: Shutdown) {
        let means = Arc::new(means);
        self.lines().means = Some(Arc::clone(&means));
        let following = async {
            let mut revisions = means.ownership.revisions();
            let mut look = tokio::time::interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            revisions.mark_changed();
            let mut owned = BTreeSet::new();
            loop {
                tokio::select! {
                    changed = revisions.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        owned = means.ownership.owned_by(|target| shard(target).is_some());
                    }
                    _ = look.tick() => {}
                }
                self.look(&means, &owned);
            }
        };
        stop.run_until_cancelled(following).await;
        *self.lines() = Lines { stopping: true, ..Lines::default() };
    }

    /// Begins what may begin, and forgets what has ended.
    fn look(&self, means: &Means, owned: &BTreeSet<TargetId>) {
        let mut lines = self.lines();
        lines.lines.retain(|_, line| !line.task.is_finished());
        if lines.stopping {
            return;
        }
        for target in owned {
            if lines.lines.contains_key(target) {
                continue;
            }
            let (Some(shard), Ok(guard)) = (shard(target), means.ownership.guard(target)) else { continue };
            let (orders, told) = mpsc::unbounded_channel();
            let (status, shown) = watch::channel(status::begun(shard));
            let (tail, brought) = watch::channel(None);
            tracing::info!(%target, epoch = %guard.epoch(), "this pod holds a shard");
            let home = Rows { engine: means.engine.clone(), ownership: means.ownership.clone(), guard };
            let Paths { deliver, settle } = (means.ways)(target.clone());
            let line = Line::new(Parts {
                shard,
                own: target.clone(),
                connector: Arc::clone(&means.connector),
                home: Arc::new(home),
                deliver,
                settle,
                bounds: means.bounds,
                clock: Arc::clone(means.ownership.clock()),
                meters: means.meters.clone(),
                orders: told,
                status,
                plan: means.plan.clone(),
                tail,
            });
            let task = shared::shutdown::spawn(line.run());
            lines.lines.insert(target.clone(), Running { orders, status: shown, tail: brought, task });
        }
    }
}

/// What a line knows of the pod: its right to act, and the rows of its target.
struct Rows {
    engine: Engine,
    ownership: Ownership,
    guard: Guard,
}

impl Home for Rows {
    fn may(&self) -> bool {
        self.ownership.check(&self.guard, Use::Act).is_ok()
    }

    fn load(&self) -> BoxFuture<'_, Kept> {
        async {
            loop {
                match self.engine.kept_value(self.guard.target(), KEY).await {
                    Ok(kept) => return Kept::read(kept),
                    Err(why) => tracing::warn!(target = %self.guard.target(), error = %why, "cannot read the session of a shard"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        .boxed()
    }

    fn keep(&self, kept: Kept) -> BoxFuture<'_, bool> {
        async move {
            let text = serde_json::to_string(&kept).unwrap_or_default();
            self.engine.keep(self.guard.clone(), KEY, text).await.unwrap_or(false)
        }
        .boxed()
    }
}
