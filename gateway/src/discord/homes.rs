//! Homes for the guilds of a shard: asked for as a new session lists them, before anything happens in them, many at a time and
//! beside their shard where there is room (docs/adr/0030). Decides only what is asked for; where they go is the planner's.

use futures_util::{StreamExt, future::BoxFuture, stream};
use shared::{
    Kind, Platform, TargetId,
    backoff::Backoff,
    router::routes::{Placer, Routes, Whereabouts},
    wire::control::Beside,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// The wait before guilds are asked for again that got no home.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest such wait.
const AGAIN_MOST: Duration = Duration::from_secs(30);

/// Sees to it that the guilds with these ids have homes, and goes on until they have.
pub(super) type Settle = dyn Fn(Vec<String>) -> BoxFuture<'static, ()> + Send + Sync;

/// Where the guilds of a shard would best be. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Near {
    shard: TargetId,
    /// How many guilds the shard has; 0 until its session has said so.
    guilds: Arc<AtomicU64>,
}

impl Near {
    /// Makes it for the target of a shard.
    pub(super) fn new(shard: TargetId) -> Self {
        Self { shard, guilds: Arc::default() }
    }

    /// Notes how many guilds the shard has.
    pub(super) fn lists(&self, guilds: usize) {
        self.guilds.store(guilds as u64, Ordering::Relaxed);
    }

    /// Returns the wish of a target, if it is a guild.
    pub(super) fn of(&self, target: &TargetId) -> Option<Beside> {
        let of = self.guilds.load(Ordering::Relaxed);
        (target.kind() == Kind::Guild).then(|| Beside { target: self.shard.clone(), of })
    }
}

/// Who asks for homes.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    placer: Placer,
    routes: Routes,
    turns: Arc<Semaphore>,
    at_once: usize,
}

impl Homes {
    /// Asks by a placer for what the table does not know: for at most `at_once` guilds at once, over all shards of the pod.
    pub(super) fn new(placer: Placer, routes: Routes, at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self { placer, routes, turns: Arc::new(Semaphore::new(at_once)), at_once }
    }

    /// Sees to it that the guilds of a shard have homes, and goes on until they have. Those that have one are not asked for.
    pub(super) async fn settle(self, near: Near, guilds: Vec<String>) {
        let target = |id: &String| TargetId::from_parts(Platform::Discord, Kind::Guild, &[id]).ok();
        let mut open: BTreeSet<_> = guilds.iter().filter_map(target).collect();
        let listed = open.len();
        let mut changes = self.routes.changes();
        let knows = |target: &TargetId| self.routes.locate(target, None);
        // Before the table has arrived it would be all of them.
        while open.first().is_some_and(|first| knows(first) == Whereabouts::NotLoaded) {
            if changes.changed().await.is_err() {
                return;
            }
        }
        let mut backoff = Backoff::new(AGAIN, AGAIN_MOST, listed as u64);
        loop {
            open.retain(|target| knows(target) == Whereabouts::Unknown);
            if open.is_empty() {
                tracing::info!(shard = %near.shard, guilds = listed, "all guilds of the shard have homes");
                return;
            }
            let ask = |target: TargetId| {
                let (placer, turns, beside) = (self.placer.clone(), Arc::clone(&self.turns), near.of(&target));
                async move {
                    let _turn = turns.acquire().await;
                    placer.place(&target, None, beside).await
                }
            };
            let asked = stream::iter(open.clone()).map(ask).buffer_unordered(self.at_once);
            let failed: Vec<_> = asked.filter_map(|asked| std::future::ready(asked.err())).collect().await;
            if let Some(why) = failed.first() {
                let again_in = backoff.next_wait();
                tracing::warn!(shard = %near.shard, guilds = failed.len(), %why, again_in_ms = again_in.as_millis(),
                    "guilds of a shard have no home yet and are asked for again");
                tokio::time::sleep(again_in).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
