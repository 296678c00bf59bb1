//! A store that counts its commits, that refuses them or leaves their outcome unknown when a story says so.

use crate::{
    domain::{Assignments, Batch, BudgetChange, BudgetKept, SliceRecord, Snapshot, Weight},
    store::{
        Answer, Bid, Committed, EventFilter, Followed, Keep, KeptAnswer, Log, Missed, MoveFilter, PlanFilter, Position,
        Sqlite, Store, StoreError, View,
    },
};
use shared::wire::admin::{Event, Ownership, Plan, PlanHead};
use shared::wire::discord::Session;
use shared::wire::handoff::Move;
use shared::{PlanId, Revision, TargetId, Term};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The store.
#[derive(Debug)]
pub(super) struct Flaky {
    inner: Sqlite,
    commits: AtomicU64,
    /// Commits of rows until one has no known outcome; none when it is negative.
    left: AtomicI64,
    /// Whether that one is applied: 1, or not: 0.
    applied: AtomicU64,
    /// Commits of rows that are refused, from the next one on.
    refused: AtomicI64,
    /// Whether what is spent of a budget cannot be written: 1, or can: 0.
    broke: AtomicU64,
    /// How often everything was read by who leads.
    loads: AtomicU64,
    /// Reads everything for who follows while it has a permit.
    views: Semaphore,
}

impl Flaky {
    pub(super) fn open(folder: &TempDir) -> Arc<Self> {
        let inner = Sqlite::open(&folder.path().join("config.db"), 64).expect("opens");
        let (commits, applied) = (AtomicU64::new(0), AtomicU64::new(0));
        let (left, refused, broke) = (AtomicI64::new(-1), AtomicI64::new(0), AtomicU64::new(0));
        let (loads, views) = (AtomicU64::new(0), Semaphore::new(1));
        Arc::new(Self { inner, commits, left, applied, refused, broke, loads, views })
    }

    /// Leaves the outcome of a commit unknown: so many commits of rows from now, and applied or not.
    pub(super) fn fail_commit(&self, after: i64, applied: bool) {
        self.applied.store(applied.into(), Ordering::SeqCst);
        self.left.store(after, Ordering::SeqCst);
    }

    /// Refuses this many commits of rows.
    pub(super) fn refuse_commits(&self, many: i64) {
        self.refused.store(many, Ordering::SeqCst);
    }

    /// Refuses to write what is spent of a budget, or takes it again.
    pub(super) fn refuse_spending(&self, refused: bool) {
        self.broke.store(refused.into(), Ordering::SeqCst);
    }

    /// Whether they have come.
    pub(super) fn refused_all(&self) -> bool {
        self.refused.load(Ordering::SeqCst) <= 0
    }

    /// Whether that commit has come.
    pub(super) fn failed(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    /// How often everything was read by who leads.
    pub(super) fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Has whoever follows wait for everything until it is dropped.
    pub(super) async fn hold_views(&self) -> SemaphorePermit<'_> {
        self.views.acquire().await.expect("is never closed")
    }

    /// How many transactions were asked for.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Store for Flaky {
    fn prepare(&self) -> Answer<'_, ()> {
        self.inner.prepare()
    }

    fn lead(&self, address: String, lease: Duration) -> Answer<'_, Bid> {
        self.inner.lead(address, lease)
    }

    fn renew(&self, term: Term, lease: Duration) -> Answer<'_, ()> {
        self.inner.renew(term, lease)
    }

    fn resign(&self, term: Term) -> Answer<'_, ()> {
        self.inner.resign(term)
    }

    fn load_again(&self, term: Term, known: Assignments) -> Answer<'_, Snapshot> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.load_again(term, known)
    }

    fn catch_up(&self, term: Term, after: Revision, limit: usize) -> Answer<'_, Option<Missed>> {
        self.inner.catch_up(term, after, limit)
    }

    fn commit(&self, term: Term, batch: Batch) -> Answer<'_, Committed> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let unknown = !batch.writes.is_empty() && self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        let refused = !batch.writes.is_empty() && self.refused.fetch_sub(1, Ordering::SeqCst) > 0;
        Box::pin(async move {
            if refused {
                return Err(StoreError::Rejected("the database is away".to_owned()));
            }
            if unknown && self.applied.load(Ordering::SeqCst) == 0 {
                return Err(StoreError::Uncertain("it was not applied".to_owned()));
            }
            let committed = self.inner.commit(term, batch).await?;
            if unknown { Err(StoreError::Uncertain("it was applied".to_owned())) } else { Ok(committed) }
        })
    }

    fn changes(&self, after: Revision, limit: usize) -> Answer<'_, Log> {
        self.inner.changes(after, limit)
    }

    fn budget(&self, bot: String) -> Answer<'_, Option<BudgetKept>> {
        self.inner.budget(bot)
    }

    fn spend(&self, term: Term, bot: String, change: BudgetChange) -> Answer<'_, ()> {
        if self.broke.load(Ordering::SeqCst) == 1 {
            return Box::pin(async { Err(StoreError::Rejected("the database is away".to_owned())) });
        }
        self.inner.spend(term, bot, change)
    }

    fn slices(&self) -> Answer<'_, Vec<(String, Vec<SliceRecord>)>> {
        self.inner.slices()
    }

    fn keep_slices(&self, term: Term, bot: String, slices: Vec<SliceRecord>) -> Answer<'_, ()> {
        if self.broke.load(Ordering::SeqCst) == 1 {
            return Box::pin(async { Err(StoreError::Rejected("the database is away".to_owned())) });
        }
        self.inner.keep_slices(term, bot, slices)
    }

    fn sessions(&self, id: u32, count: Option<u32>) -> Answer<'_, Vec<Session>> {
        self.inner.sessions(id, count)
    }

    fn keep_sessions(&self, term: Term, sessions: Vec<Session>) -> Answer<'_, ()> {
        self.inner.keep_sessions(term, sessions)
    }

    fn drop_sessions(&self, term: Term, id: u32, count: Option<u32>) -> Answer<'_, u64> {
        self.inner.drop_sessions(term, id, count)
    }

    fn weights(&self) -> Answer<'_, Vec<(TargetId, Weight)>> {
        self.inner.weights()
    }

    fn weigh(&self, term: Term, weights: Vec<(TargetId, Weight)>) -> Answer<'_, ()> {
        self.inner.weigh(term, weights)
    }

    fn trim(&self, term: Term, up_to: Revision) -> Answer<'_, u64> {
        self.inner.trim(term, up_to)
    }

    fn events(&self, wanted: EventFilter, limit: usize) -> Answer<'_, Vec<Event>> {
        self.inner.events(wanted, limit)
    }

    fn history(&self, target: TargetId, before: Option<Revision>, limit: usize) -> Answer<'_, Vec<Ownership>> {
        self.inner.history(target, before, limit)
    }

    fn moves(&self, wanted: MoveFilter, limit: usize) -> Answer<'_, Vec<Move>> {
        self.inner.moves(wanted, limit)
    }

    fn plans(&self, wanted: PlanFilter, limit: usize) -> Answer<'_, Vec<PlanHead>> {
        self.inner.plans(wanted, limit)
    }

    fn plan(&self, id: PlanId) -> Answer<'_, Option<Plan>> {
        self.inner.plan(id)
    }

    fn kept(&self, actor: String, key: String) -> Answer<'_, Option<KeptAnswer>> {
        self.inner.kept(actor, key)
    }

    fn forget(&self, term: Term, keep: Keep) -> Answer<'_, u64> {
        self.inner.forget(term, keep)
    }

    fn view(&self) -> Answer<'_, View> {
        Box::pin(async {
            let _turn = self.hold_views().await;
            self.inner.view().await
        })
    }

    fn follow(&self, position: Position, limit: usize) -> Answer<'_, Followed> {
        self.inner.follow(position, limit)
    }

    fn wake(&self) -> Answer<'_, ()> {
        self.inner.wake()
    }
}
