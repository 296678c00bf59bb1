//! The leader's task. It owns the model, the fleet and what waits; it runs one transaction at a time and answers
//! everything else meanwhile. Registrations and first contacts that arrive during a transaction share the next one.
//! Whom to grant, fence and bury is the protocol's to say; the desk carries it out (`orders`). A renewal of the term is the
//! check that a grant waits for (OWNERSHIP.md, Leases 2).

mod orders;

use super::{
    Command, ControlError, Settings, Standing, View,
    beats::Beats,
    census::Census,
    fencer::Fencer,
    fleet::Fleet,
    generation::Generation,
    heirs::{self, Heirs},
    hub::Hub,
    intents::Intents,
    moves,
    mutations::Mutations,
    plans::{Plans, Shape, Stand},
    queue::Queue,
    upkeep::Upkeep,
};
use crate::{
    domain::{Batch, Change, Model, Snapshot, Weight},
    metrics::Metrics,
    planner::skew,
    store::{Committed, Store, StoreError},
};
use futures_util::future::BoxFuture;
use shared::protocol::leader::Input;
use shared::wire::admin::Plan;
use shared::wire::control::{HoldingsKept, PodState};
use shared::{Clock, Mono, TargetId, Term, shutdown::Shutdown};
use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};

/// How often it is looked whether this process is too slow, and the protocol is told that time passes.
const PULSE: Duration = Duration::from_millis(100);

/// How many commands are taken before the next transaction is put together.
const GATHER: usize = 1_000;

/// Why the leader's task ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The service stops.
    Stopping,
    /// Another leads.
    Fenced,
    /// The model may not be what the database holds: it is dropped, and read anew under a new term.
    Unsure(StoreError),
    /// A new generation of the cluster has begun: everything is read anew under a new term.
    Generation(u32),
}

/// What the planner is shown is made from these fields; a function would borrow all of them.
macro_rules! shape {
    ($desk:ident, $now:expr, $now_ms:expr) => {
        Shape {
            model: &$desk.model,
            fleet: &$desk.fleet,
            policy: &$desk.settings.policy,
            interval: $desk.settings.rebalance,
            now: $now,
            now_ms: $now_ms,
        }
    };
}

/// What the leader's task works with.
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) metrics: Metrics,
    pub(super) hub: Hub,
    pub(super) term: Term,
    model: Model,
    fleet: Fleet,
    beats: Beats,
    mutations: Mutations,
    census: Census,
    heirs: Heirs,
    generation: Generation,
    /// Why nothing is granted nor placed any more: a pod has seen what this database does not have (OWNERSHIP.md, Leases 11).
    behind: Option<ControlError>,
    /// A pod has heard of a later leader, and since when that is known: nothing is decided before the database has said
    /// which of the two it knows.
    deposed: Option<(Mono, ControlError)>,
    moves: moves::Moves,
    plans: Plans,
    places: Queue,
    upkeep: Upkeep,
    /// What requests are judged by: tokens and settings.
    standing: watch::Sender<Arc<Standing>>,
    /// What the protocol wants written.
    intents: Intents,
    fencer: Fencer,
    /// Whether the protocol waits for a check of the term.
    check: bool,
    /// Whether the store did not answer the last check.
    away: bool,
    /// When this process was last too slow to tell silence.
    slow: Option<Instant>,
    /// The highest generation that anybody has shown to have been.
    generation_seen: u32,
    /// When the database last confirmed the term.
    confirmed: Mono,
    /// The last snapshot made for watchers; as long as one of them uses it, others may.
    snapshot: Weak<Snapshot>,
}

type Running<T> = Option<BoxFuture<'static, Result<T, StoreError>>>;

async fn outcome<T>(running: &mut Running<T>) -> Result<T, StoreError> {
    match running {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits for so long; for ever when there is nothing to wait for.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl Desk {
    /// Makes the desk of a leader that has just taken over, with all there is in `model` and the `plans` whose moves are being made.
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mut settings: Settings,
        metrics: Metrics,
        hub: Hub,
        term: Term,
        (model, plans): (Model, Vec<Plan>),
    ) -> Self {
        let confirmed = clock.now();
        let mut places = Queue::new(settings.place_queue);
        settings.policy.canary = model.canary().share();
        let fleet = Fleet::taken_over(term, settings.terms, settings.lease_patience, &model, confirmed);
        let fencer = Fencer::new(settings.token.clone(), settings.fence_timeout, settings.fence_calls);
        let generation_seen = model.epoch().generation();
        let standing = Standing::new(&model);
        places.pause(standing.values.paused);
        let upkeep = Upkeep::new(Arc::clone(&store), term, settings.change_keep);
        let moves = moves::Moves::new(&model, settings.patience, settings.moves, metrics.clone(), confirmed);
        let moves = moves.with_plans(plans, settings.budget, settings.plan_moves, confirmed);
        let mutations = Mutations::new(settings.terms, settings.max_tokens, metrics.clone());
        let beats = Beats::new(term, settings.terms.duration, metrics.clone());
        let census = Census::new(settings.max_holdings);
        Self {
            store,
            clock,
            settings,
            metrics,
            hub,
            term,
            model,
            fleet,
            places,
            mutations,
            moves,
            plans: Plans::default(),
            beats,
            census,
            heirs: Heirs::default(),
            generation: Generation::default(),
            behind: None,
            deposed: None,
            intents: Intents::new(term),
            fencer,
            check: false,
            away: false,
            slow: None,
            generation_seen,
            confirmed,
            upkeep,
            standing: watch::Sender::new(Arc::new(standing)),
            snapshot: Weak::new(),
        }
    }

    /// Takes what the leader before has written of what targets weigh.
    pub(super) fn remember(&mut self, weights: Vec<(TargetId, Weight)>) {
        self.fleet.remember(weights, self.clock.now());
    }

    /// Returns what requests are judged by, as it changes.
    pub(super) fn standing(&self) -> watch::Receiver<Arc<Standing>> {
        self.standing.subscribe()
    }

    /// Runs until the term is over or the service stops.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, shutdown: &Shutdown) -> Ended {
        let mut commit: Running<Committed> = None;
        let mut renewal: Running<()> = None;
        let mut began = Mono::ZERO;
        let mut trim: Running<u64> = None;
        let mut renewed = Instant::now();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.show();
        let ended = loop {
            let renew_at = if self.check { Instant::now() } else { renewed + self.settings.leader_lease / 3 };
            let wake = self.fleet.wake_at().map(|at| at.since(self.clock.now()));
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ended::Stopping,
                done = outcome(&mut commit) => {
                    commit = None;
                    if let Err(ended) = self.committed(done) {
                        break ended;
                    }
                }
                done = outcome(&mut renewal) => {
                    renewal = None;
                    self.took(renewed.elapsed());
                    if let Err(ended) = self.renewed(began, done) {
                        break ended;
                    }
                }
                () = tokio::time::sleep_until(renew_at), if renewal.is_none() => {
                    (renewed, began, self.check) = (Instant::now(), self.clock.now(), false);
                    let (store, term, lease) = (Arc::clone(&self.store), self.term, self.settings.leader_lease);
                    renewal = Some(Box::pin(async move { store.renew(term, lease).await }));
                }
                done = outcome(&mut trim) => {
                    trim = None;
                    self.kept_up(done);
                }
                () = after(self.moves.wakes_in(self.clock.now())), if commit.is_none() => {}
                made = self.plans.made() => self.plans.take(made, &self.model, self.clock.wall_ms()),
                fenced = self.fencer.answered() => self.tell(Input::Fenced(fenced)),
                () = tokio::time::sleep(wake.unwrap_or(PULSE)) => self.tell(Input::Tick),
                due = pulse.tick() => self.pulse(due),
                _ = second.tick() => {
                    self.show();
                    self.round();
                    trim = trim.or_else(|| self.keep_up());
                }
                command = commands.recv() => {
                    let Some(command) = command else { break Ended::Stopping };
                    self.take(command);
                    for _ in 0..GATHER {
                        let Ok(command) = commands.try_recv() else { break };
                        self.take(command);
                    }
                }
            }
            if commit.is_none() {
                commit = self.begin();
            }
        };
        // What is under way ends before the term is given up: each call of the store bounds its own time.
        if commit.is_some() {
            let done = outcome(&mut commit).await;
            // The service stops, or the term is over: what became of it is told, and nothing follows from it.
            let _ = self.committed(done);
        }
        ended
    }

    fn take(&mut self, command: Command) {
        let Some(command) = self.turned_away(command) else { return };
        match command {
            Command::Bury(burial) => self.proven(burial),
            Command::Generation(by, reply) => self.generation.ask(by, reply),
            Command::Holdings(pod, part, reply) => {
                let record = self.model.pod(&pod).ok_or(ControlError::UnknownPod(pod));
                let kept = record.and_then(|record| self.census.take(record, part));
                // Whoever asked may be gone; so it is with every reply here.
                let _ = reply.send(kept.map(|kept| HoldingsKept { kept }));
            }
            Command::Restored(pod, said, reply) => self.heirs.restored(&self.model, pod, said, reply),
            Command::Recover(pod, by, reply) => self.mutations.recover(pod, by, reply),
            Command::Register(register, reply) => self.mutations.register(register, reply),
            Command::AcceptLoss(pod, by, reply) => self.mutations.accept_loss(pod, by, reply),
            Command::AcceptLossOf(target, by, reply) => self.mutations.accept_loss_of(target, by, reply),
            Command::Errand(errand, reply) => self.mutations.errand(errand, reply),
            Command::Report(said, reply) => self.moves.report(said, reply),
            Command::Wish(wish) => self.moves.wish(wish),
            Command::Plan(wish) => self.plans.wish(wish),
            Command::Range(range) => self.fleet.ranges(range),
            Command::Used(token, at_ms) => self.upkeep.used(&self.model, token, at_ms),
            Command::Heartbeat(pod, heartbeat, reply) => self.heartbeat(pod, heartbeat, reply),
            Command::Place(_, reply) if !self.model.is_settled() => {
                let _ = reply.send(Err(ControlError::Unsettled(self.model.epoch().generation())));
            }
            Command::Place(wanted, reply) => self.places.push(&self.model, wanted, reply),
            Command::Snapshot(reply) => {
                let _ = reply.send(Ok(self.snapshot()));
            }
            Command::Read(read) => {
                let (model, fleet, settings, now) = (&self.model, &self.fleet, &self.settings, self.clock.now());
                let confirmed = now.since(self.confirmed);
                let (behind, moves, generation_seen) = (self.behind.as_ref(), &self.moves, self.generation_seen);
                let (plans, now_ms, term) = (&self.plans, self.clock.wall_ms(), self.term);
                read(&View {
                    term,
                    model,
                    confirmed,
                    behind,
                    generation_seen,
                    fleet,
                    moves,
                    plans,
                    settings,
                    now,
                    now_ms,
                });
            }
        }
    }

    /// Puts the next transaction together and begins it: changes of pods first, then first contacts.
    fn begin(&mut self) -> Running<Committed> {
        if let Some(batch) = self.generation.board(&self.model, self.generation_seen) {
            let (store, term) = (Arc::clone(&self.store), self.term);
            return Some(Box::pin(async move { store.commit(term, batch).await }));
        }
        if let Some(why) = &self.behind {
            // What waited when that was seen.
            self.mutations.turn_away(why);
            self.places.fail(why);
            self.moves.turn_away(why);
            self.plans.turn_away(why);
            self.heirs.turn_away(why);
            return None;
        }
        if self.deposed.is_some() {
            return None;
        }
        let (mut batch, now, now_ms) = (Batch::default(), self.clock.now(), self.clock.wall_ms());
        self.plans.go_on(&shape!(self, now, now_ms), &self.moves);
        self.plans.board(&mut batch);
        self.mutations.board(&self.model, &self.fleet, now, &mut batch);
        for intent in self.intents.board(&self.model, &mut batch) {
            self.tell(Input::NotWritten(intent));
        }
        let room = Batch::MAX_WRITES.saturating_sub(batch.writes.len());
        let candidates = self.fleet.candidates(&self.model, now);
        let fleet = || heirs::Fleet { candidates: candidates.clone(), policy: &self.settings.policy };
        let terms = heirs::Terms { when: self.standing.borrow().values.restore, now, wall_ms: self.clock.wall_ms() };
        self.heirs.board(&self.model, &self.census, terms, fleet, room, &mut batch);
        let (fleet, awaited) = (&candidates, self.plans.awaited());
        let world = moves::World { model: &self.model, fleet, policy: &self.settings.policy, now, now_ms, awaited };
        self.moves.board(&world, &mut batch);
        let left = Batch::MAX_WRITES.saturating_sub(batch.writes.len());
        let room = self.settings.place_batch.clamp(2, Batch::MAX_WRITES).min(left);
        let candidates = || candidates;
        let (placed, refused) = self.places.board(&self.model, candidates, &self.settings.policy, room, &mut batch);
        self.metrics.placed(placed, refused);
        self.upkeep.board(&mut batch);
        if batch.is_empty() {
            self.places.settle(&self.model, &HashSet::new());
            self.moves.settle(&self.model);
            self.heirs.settled(&self.model);
            return None;
        }
        let (store, term) = (Arc::clone(&self.store), self.term);
        Some(Box::pin(async move { store.commit(term, batch).await }))
    }

    /// Takes a transaction's outcome in, then tells everybody: nobody hears of what is not committed.
    fn committed(&mut self, done: Result<Committed, StoreError>) -> Result<(), Ended> {
        let committed = match done {
            Ok(committed) => committed,
            Err(why) => return self.not_committed(why),
        };
        let mut registered = Vec::new();
        for change in &committed.changes {
            if let Change::Pod(record) = change {
                registered.extend(self.turned(record));
            }
            self.model.apply(change.clone());
        }
        self.model.issued(committed.epoch);
        if !committed.edits.is_empty() {
            committed.edits.into_iter().for_each(|edit| self.model.edit(edit));
            let standing = Standing::new(&self.model);
            self.places.pause(standing.values.paused);
            self.settings.policy.canary = self.model.canary().share();
            self.standing.send_replace(Arc::new(standing));
        }
        for (head, moves) in self.plans.committed(&committed.changes, self.clock.now()) {
            self.moves.run(head, moves, self.clock.now());
        }
        self.moves.committed(&self.model, &committed.changes, self.clock.now());
        let placed = self.places.placed(&committed.changes);
        self.hub.publish(committed.changes);
        self.metrics.revision(self.model.revision());
        self.mutations.committed(&self.model, &mut self.fleet, committed.revision);
        self.places.settle(&self.model, &placed);
        self.heirs.settled(&self.model);
        let written = self.intents.committed(committed.revision);
        registered.extend(written.into_iter().map(Input::Written));
        registered.into_iter().for_each(|input| self.tell(input));
        match self.generation.committed(committed.revision) {
            Some(generation) => Err(Ended::Generation(generation)),
            None => Ok(()),
        }
    }

    fn not_committed(&mut self, why: StoreError) -> Result<(), Ended> {
        self.metrics.store_error(&why);
        self.mutations.failed();
        self.generation.failed();
        self.moves.failed();
        self.plans.failed();
        self.heirs.failed(&ControlError::Store);
        self.places.fail(&ControlError::Store);
        match why {
            StoreError::Fenced => Err(Ended::Fenced),
            StoreError::Rejected(_) => {
                tracing::warn!(error = %why, "a transaction was refused, nothing was changed");
                self.intents.failed().into_iter().for_each(|intent| self.tell(Input::NotWritten(intent)));
                Ok(())
            }
            why => Err(Ended::Unsure(why)),
        }
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.snapshot.upgrade().filter(|snapshot| self.hub.continues(snapshot.revision)) {
            return snapshot;
        }
        let snapshot = Arc::new(self.model.snapshot());
        self.snapshot = Arc::downgrade(&snapshot);
        snapshot
    }

    /// Looks whether it is time to look for an even share.
    fn round(&mut self) {
        if self.deposed.is_some() {
            return;
        }
        let unsettled = || ControlError::Unsettled(self.model.epoch().generation());
        let stopped = self.behind.clone().or_else(|| (!self.model.is_settled()).then(unsettled));
        let paused = self.standing.borrow().values.rebalance_paused.clone();
        let stand = Stand { paused, stopped: stopped.map(|why| why.to_string()) };
        let (now, now_ms) = (self.clock.now(), self.clock.wall_ms());
        self.plans.round(&shape!(self, now, now_ms), &self.moves, &stand);
    }

    /// Begins to remove what is too old, when it is time for that.
    fn keep_up(&mut self) -> Running<u64> {
        let values = self.standing.borrow().values.clone();
        let now = self.clock.now();
        self.upkeep.begin(self.model.revision(), &values, |most| self.fleet.unwritten(most, now))
    }

    fn kept_up(&mut self, done: Result<u64, StoreError>) {
        match done {
            Ok(rows) => self.upkeep.ended(rows),
            Err(why) => {
                self.metrics.store_error(&why);
                tracing::warn!(error = %why, "cannot remove what is too old");
            }
        }
    }

    /// Brings the gauges up to date, and tells of pods that came or fell silent.
    fn show(&mut self) {
        let now = self.clock.now();
        for (pod, state) in self.fleet.turns(&self.model, now) {
            match state {
                PodState::Suspect | PodState::Expired | PodState::Dead => {
                    tracing::warn!(%pod, ?state, "a pod is silent")
                }
                PodState::Joining | PodState::Ready | PodState::Restarting | PodState::Draining | PodState::Drained => {
                    tracing::info!(%pod, ?state, "a pod is here")
                }
            }
        }
        self.moves.show(&self.model, now);
        self.metrics.revision(self.model.revision());
        self.metrics.place_queue(self.places.waiting());
        self.metrics.watchers(self.settings.max_watchers.saturating_sub(self.hub.free_seats()));
        for (platform, count) in self.model.targets_by_platform() {
            self.metrics.targets(platform, count, self.model.quarantined_on(platform));
        }
        let mut shares = Vec::new();
        for record in self.model.pods() {
            let pod = &record.info.pod;
            let (targets, lease) = (self.model.targets_of(pod), self.fleet.may_act_for(pod, now));
            self.metrics.pod(pod, targets, lease);
            // A pod that has gone with nothing left behind is no part of the fleet.
            if targets > 0 || !lease.is_zero() {
                shares.push((targets, record.info.capacity));
            }
        }
        self.metrics.skew(skew(&shares));
    }
}
