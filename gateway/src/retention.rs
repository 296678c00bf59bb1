//! Old lineages are taken out of the replica's store, by the pods that own them, and those of pods that are gone by the first of
//! the others: on a schedule, and when an operator says so. Here stands the order of the steps; which ones may go is decided,
//! purely, in [`rules`], because only a pod has both sides: it reads the store, and config-service says who is needed.
//!
//! ```text
//! what targets need (config-service) ▸ lineages, notes, clock (store) ▸ judge ▸ for each that goes: audit ▸ remove
//! ```
//! Two pods that clean up at once do no harm: a removal can be done twice.

mod rules;

use crate::{
    Engine, EngineError,
    drill::when,
    replica::{Lineage, ReplicaError, ReplicaStore, Stock},
    store::AsideRow,
};
use rules::{Clocks, Judge, judge};
use shared::{
    PodId,
    clock::DriftGuard,
    http::{Client, ClientError},
    shutdown::Shutdown,
    wire::{
        control::Life,
        data::OnBehalf,
        lineages::{CleanLineages, Fate, LineageFate, LineageList, LineageNeeds, MayRemove, RemoveLineage},
        quarantine::Progress,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// The shortest time that a lineage is kept (OWNERSHIP.md, Data 1).
pub(crate) const SHORTEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often the task looks whether it is time.
const LOOK: Duration = Duration::from_secs(5);
/// How far this pod's clock may go off its boot clock before no age is trusted.
const STEP: Duration = Duration::from_secs(60);
/// Rows aside that are looked at in one go.
const PAGE: usize = 100;

/// What it works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) pod: PodId,
    /// config-service.
    pub(crate) client: Client,
    pub(crate) store: ReplicaStore,
    /// Time between two rounds of its own; 0 for none.
    pub(crate) every: Duration,
    /// How long a lineage is kept at least, after its last file.
    pub(crate) kept: Duration,
}

/// Why lineages could not be judged, or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    /// config-service did not say what is needed.
    #[error("config-service does not say which lineages are needed: {0}")]
    Needs(#[from] ClientError),
    /// The store.
    #[error(transparent)]
    Store(#[from] ReplicaError),
    /// The database.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The work ended with a panic.
    #[error("the work was cut off; try again")]
    Cut,
}

/// The pod's retention. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Retention(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    drift: DriftGuard,
    /// One round at a time.
    turn: Mutex<()>,
}

impl Retention {
    /// Makes it. From now on this pod's clock is watched.
    pub(crate) fn new(parts: Parts) -> Self {
        let drift = DriftGuard::new(&**parts.engine.clock(), STEP);
        Self(Arc::new(Inner { parts, drift, turn: Mutex::new(()) }))
    }

    /// Cleans up on schedule until it is stopped.
    pub(crate) async fn run(self, stop: Shutdown) {
        let Parts { engine, pod, every, .. } = &self.0.parts;
        let mut last_ms = engine.clock().wall_ms();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now_ms = engine.clock().wall_ms();
            if when::next(pod, *every, Some(last_ms), now_ms).is_none_or(|next| next > now_ms) {
                continue;
            }
            last_ms = now_ms;
            tokio::select! {
                () = stop.cancelled() => return,
                done = self.0.scheduled() => match done {
                    Ok(list) => {
                        let gone = list.lineages.iter().filter(|one| one.fate == Fate::Gone).count();
                        tracing::info!(lineages = list.lineages.len(), gone, "looked for lineages whose time is over");
                    }
                    Err(why) => tracing::warn!(error = %why, "cannot look for lineages whose time is over, trying again next time"),
                }
            }
        }
    }

    /// Judges, and removes what goes, unless that is only asked. It goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// [`RetentionError`]. What was removed until then is.
    pub(crate) async fn clean(&self, wanted: CleanLineages) -> Result<LineageList, RetentionError> {
        let inner = Arc::clone(&self.0);
        let work = shared::shutdown::spawn(async move {
            let needs = inner.needs().await?;
            inner.clean(&wanted, &needs).await
        });
        work.await.map_err(|_| RetentionError::Cut)?
    }
}

impl Inner {
    async fn needs(&self) -> Result<LineageNeeds, ClientError> {
        self.parts.client.get("/v1/replication/needs").await
    }

    async fn scheduled(&self) -> Result<LineageList, RetentionError> {
        let (needs, pod) = (self.needs().await?, &self.parts.pod);
        let pods = mine(&needs, pod, self.parts.store.base());
        let reason = "its time is over".to_owned();
        let by = OnBehalf { actor: pod.to_string(), reason, request_id: String::new() };
        self.clean(&CleanLineages { pods, dry_run: false, by }, &needs).await
    }

    async fn clean(&self, wanted: &CleanLineages, needs: &LineageNeeds) -> Result<LineageList, RetentionError> {
        let _turn = self.turn.lock().await;
        let Parts { engine, pod: me, store, kept, .. } = &self.parts;
        let clock = engine.clock();
        let clocks = Clocks {
            store_ms: store.now_ms(me).await?,
            here_ms: clock.wall_ms(),
            stepped: self.drift.drifted(&**clock),
        };
        let writes = engine.replication().lineage().and_then(|path| Lineage::parse(&path));
        let (owes, base) = (self.owes().await?, store.base());
        let by = Judge { pod: me, writes: writes.as_ref(), owes, base, kept: *kept };
        let mut list = LineageList { dry_run: wanted.dry_run, ..LineageList::default() };
        for pod in &wanted.pods {
            let mut stocks = Vec::new();
            for lineage in store.lineages_of(pod).await? {
                stocks.push(store.stock(&lineage).await);
            }
            stocks.sort_by_key(|stock| stock.begun_ms);
            let verdicts = judge(by, pod, &stocks, needs, clocks);
            // The oldest first: what is left, if this is cut off, is the newer.
            for (stock, verdict) in stocks.iter().zip(verdicts) {
                let mut fate = LineageFate {
                    lineage: stock.lineage.path(),
                    fate: if verdict.goes { Fate::Goes } else { Fate::Keeps },
                    why: verdict.why,
                    files: stock.files,
                    bytes: stock.bytes,
                    age_ms: stock.last_ms.map(|last_ms| clocks.store_ms.saturating_sub(last_ms)),
                };
                if verdict.goes && !wanted.dry_run {
                    self.remove(stock, &wanted.by, &mut fate).await?;
                }
                list.lineages.push(fate);
            }
        }
        Ok(list)
    }

    /// Removes a lineage, once it stands in the audit. config-service refuses what has come to be needed since.
    async fn remove(&self, stock: &Stock, by: &OnBehalf, fate: &mut LineageFate) -> Result<(), RetentionError> {
        let Parts { client, store, .. } = &self.parts;
        let Lineage { pod: of, incarnation, .. } = stock.lineage.clone();
        let (lineage, why, by) = (stock.lineage.path(), fate.why.clone(), by.clone());
        if !stock.removing {
            let asked = RemoveLineage { lineage, life: Life { pod: of, incarnation }, why, by };
            let MayRemove { may } = client.post("/v1/replication/removals", &asked).await?;
            if !may {
                (fate.fate, fate.why) = (Fate::Keeps, "it has come to be needed just now".to_owned());
                return Ok(());
            }
        }
        let removed = store.remove(&stock.lineage).await?;
        tracing::info!(
            lineage = %stock.lineage, files = removed.files, bytes = removed.bytes, why = fate.why,
            "removed a lineage whose time is over"
        );
        fate.fate = Fate::Gone;
        Ok(())
    }

    /// Returns whether rows are aside here whose owners may not have everything yet.
    async fn owes(&self) -> Result<bool, EngineError> {
        let mut after = None;
        loop {
            let rows = self.parts.engine.asides(after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(false) };
            after = Some(last.local);
            let waits = |row: &AsideRow| {
                let open = matches!(row.reconciled.report.progress, Progress::Waiting | Progress::Sending);
                open && !row.dropping && !row.left_behind()
            };
            if rows.iter().any(waits) {
                return Ok(true);
            }
        }
    }
}

/// Returns the pods whose lineages a pod cleans up by itself: its own, and of those that are gone, when it is the first that is
/// not.
fn mine(needs: &LineageNeeds, me: &PodId, base: &str) -> Vec<PodId> {
    let here: BTreeMap<_, _> = needs
        .pods
        .iter()
        .filter(|lives| lives.replica.as_deref() == Some(base))
        .map(|lives| (&lives.pod, lives.buried))
        .collect();
    let first = here.iter().find(|(_, buried)| !**buried).map(|(pod, _)| *pod);
    let of_mine = |(pod, buried): &(&&PodId, &bool)| **pod == me || (**buried && first == Some(me));
    here.iter().filter(of_mine).map(|(pod, _)| (*pod).clone()).collect()
}

#[cfg(test)]
mod tests;
