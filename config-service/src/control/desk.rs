//! The leader's task. It owns the model, the fleet and what waits; it runs one transaction at a time and answers
//! everything else meanwhile. Registrations and first contacts that arrive during a transaction share the next one.
//! Grants wait for a renewal of the term that began after their heartbeat arrived (OWNERSHIP.md, Leases 2).
//!
//! ```text
//! heartbeat    ──┐ arrives              ┌── granted
//! renewal   ── running ──┤ ├── next, ≥ 100 ms after the one before ──┤
//! ```

use super::{Command, ControlError, Reply, Settings, View, fleet::Fleet, hub::Hub, queue::Queue, registration::admit};
use crate::{
    domain::{Audit, Batch, Model, Snapshot, Write},
    metrics::Metrics,
    planner,
    store::{Committed, Store, StoreError},
};
use futures_util::future::BoxFuture;
use shared::wire::admin::DataLossAccepted;
use shared::wire::control::{Grant, Heartbeat, Register, Registered};
use shared::{Clock, PodId, Revision, TargetId, Term, shutdown::Shutdown};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Least time between the starts of two renewals while heartbeats wait.
const TICK: Duration = Duration::from_millis(100);

/// How many commands are taken before the next transaction is put together.
const GATHER: usize = 1_000;

/// How many entries of the change log are trimmed at least, so that it is not done for each.
const TRIM_STEP: u64 = 1_000;

/// How many assignments of a pod get a new epoch in one transaction when its data is lost.
const LOSS_CHUNK: usize = 1_000;

/// Why the leader's task ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The service stops.
    Stopping,
    /// Another leads.
    Fenced,
    /// The model may not be what the database holds: it is dropped, and read anew under a new term.
    Unsure(StoreError),
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
    places: Queue,
    mutations: VecDeque<Mutation>,
    /// Heartbeats that wait for the next renewal to begin.
    beats: Vec<Beat>,
    /// Whether the store did not answer the last renewal.
    away: bool,
    /// Up to where the change log is known to be trimmed.
    trimmed: Revision,
    /// The last snapshot made for watchers; as long as one of them uses it, others may.
    snapshot: Weak<Snapshot>,
}

enum Mutation {
    Register(Register, Reply<Registered>),
    AcceptLoss(Loss),
}

/// An operator's word that a pod's data is lost, while it is being carried out.
struct Loss {
    pod: PodId,
    reason: String,
    /// Targets that still need a new epoch; none before the first transaction.
    left: Option<VecDeque<TargetId>>,
    done: u64,
    reply: Reply<DataLossAccepted>,
}

struct Beat {
    pod: PodId,
    heartbeat: Heartbeat,
    reply: Reply<Grant>,
}

/// Who hears of a transaction's outcome.
#[derive(Default)]
struct Flight {
    registrations: Vec<(PodId, Register, Reply<Registered>)>,
    losses: Vec<Loss>,
    refused: HashMap<TargetId, planner::Refused>,
    placed: usize,
}

type Running<T> = Option<BoxFuture<'static, Result<T, StoreError>>>;

async fn outcome<T>(running: &mut Running<T>) -> Result<T, StoreError> {
    match running {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

impl Desk {
    /// Makes the desk of a leader that has just taken over and read `snapshot`.
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        metrics: Metrics,
        hub: Hub,
        term: Term,
        snapshot: Snapshot,
    ) -> Self {
        let fleet = Fleet::taken_over(settings.terms, snapshot.pods.iter(), clock.now());
        let places = Queue::new(settings.place_queue);
        let model = Model::new(snapshot);
        let (mutations, beats) = (VecDeque::new(), Vec::new());
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
            beats,
            away: false,
            trimmed: Revision(0),
            snapshot: Weak::new(),
        }
    }

    /// Runs until the term is over or the service stops.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, shutdown: &Shutdown) -> Ended {
        let mut commit: Running<Committed> = None;
        let mut renewal: Running<()> = None;
        let mut trim: Running<Revision> = None;
        let (mut flight, mut riding) = (Flight::default(), Vec::new());
        let mut renewed = Instant::now();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        self.show();
        let ended = loop {
            let renew_at = renewed + if self.beats.is_empty() { self.settings.leader_lease / 3 } else { TICK };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ended::Stopping,
                done = outcome(&mut commit) => {
                    commit = None;
                    if let Err(ended) = self.committed(done, std::mem::take(&mut flight)) {
                        break ended;
                    }
                }
                done = outcome(&mut renewal) => {
                    renewal = None;
                    if let Err(ended) = self.renewed(done, std::mem::take(&mut riding)) {
                        break ended;
                    }
                }
                () = tokio::time::sleep_until(renew_at), if renewal.is_none() => {
                    renewed = Instant::now();
                    riding = std::mem::take(&mut self.beats);
                    let (store, term, lease) = (Arc::clone(&self.store), self.term, self.settings.leader_lease);
                    renewal = Some(Box::pin(async move { store.renew(term, lease).await }));
                }
                done = outcome(&mut trim) => {
                    trim = None;
                    self.log_trimmed(done);
                }
                _ = second.tick() => {
                    self.show();
                    trim = trim.or_else(|| self.trim());
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
                let (batch, next) = self.batch();
                if batch.writes.is_empty() && batch.audits.is_empty() {
                    self.places.settle(&self.model, &next.refused);
                } else {
                    self.metrics.place_batch(next.placed);
                    let (store, term) = (Arc::clone(&self.store), self.term);
                    commit = Some(Box::pin(async move { store.commit(term, batch).await }));
                    flight = next;
                }
            }
        };
        // What is under way ends before the term is given up: each call of the store bounds its own time.
        if commit.is_some() {
            let done = outcome(&mut commit).await;
            // The service stops, or the term is over: what became of it is told, and nothing follows from it.
            let _ = self.committed(done, flight);
        }
        ended
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Register(register, reply) => self.mutations.push_back(Mutation::Register(register, reply)),
            Command::AcceptLoss(pod, reason, reply) => {
                self.mutations.push_back(Mutation::AcceptLoss(Loss { pod, reason, left: None, done: 0, reply }));
            }
            Command::Heartbeat(pod, heartbeat, reply) => match self.fleet.admits(&self.model, &pod, &heartbeat) {
                Ok(()) => self.beats.push(Beat { pod, heartbeat, reply }),
                Err(why) => self.refuse_beat(&pod, why, reply),
            },
            Command::Place(wanted, reply) => self.places.push(&self.model, wanted, reply),
            Command::Snapshot(reply) => {
                // Whoever asked may be gone; so it is with every reply here.
                let _ = reply.send(Ok(self.snapshot()));
            }
            Command::Read(read) => {
                read(&View { term: self.term, model: &self.model, fleet: &self.fleet, now: self.clock.now() });
            }
        }
    }

    /// Puts the next transaction together: registrations and operators' words first, then first contacts.
    fn batch(&mut self) -> (Batch, Flight) {
        let (mut batch, mut flight) = (Batch::default(), Flight::default());
        let (mut named, mut later) = (HashSet::new(), VecDeque::new());
        while let Some(mutation) = self.mutations.pop_front() {
            let pod = match &mutation {
                Mutation::Register(register, _) => register.pod.clone(),
                Mutation::AcceptLoss(loss) => loss.pod.clone(),
            };
            // One change per pod and transaction: the second is decided on what the first has made true.
            if batch.writes.len() + LOSS_CHUNK >= Batch::MAX_WRITES || !named.insert(pod) {
                later.push_back(mutation);
                continue;
            }
            match mutation {
                Mutation::Register(register, reply) => self.register(register, reply, &mut batch, &mut flight),
                Mutation::AcceptLoss(loss) => self.accept_loss(loss, &mut batch, &mut flight),
            }
        }
        self.mutations = later;
        let room = self.settings.place_batch.clamp(2, Batch::MAX_WRITES).min(Batch::MAX_WRITES - batch.writes.len());
        let wanted = self.places.next(&self.model, room);
        if !wanted.is_empty() {
            self.place(&wanted, &mut batch, &mut flight);
        }
        (batch, flight)
    }

    fn register(&self, register: Register, reply: Reply<Registered>, batch: &mut Batch, flight: &mut Flight) {
        match admit(&self.model, &self.fleet, &register, self.clock.now()) {
            Ok(write) => {
                if register.highest_epoch > self.model.epoch() {
                    tracing::warn!(
                        pod = %register.pod, seen = %register.highest_epoch, issued = %self.model.epoch(),
                        "a pod has seen a higher epoch than this database issued; going on above it"
                    );
                }
                batch.writes.push(write);
                flight.registrations.push((register.pod.clone(), register, reply));
            }
            Err(why) => {
                self.metrics.registration("refused");
                tracing::warn!(pod = %register.pod, incarnation = %register.incarnation, reason = %why, "refused a registration");
                let _ = reply.send(Err(why));
            }
        }
    }

    fn accept_loss(&self, mut loss: Loss, batch: &mut Batch, flight: &mut Flight) {
        let now = self.clock.now();
        let Some(record) = self.model.pod(&loss.pod) else {
            let _ = loss.reply.send(Err(ControlError::UnknownPod(loss.pod)));
            return;
        };
        let remaining = self.fleet.may_act_for(&loss.pod, now);
        if !remaining.is_zero() {
            let _ = loss.reply.send(Err(ControlError::LeaseHeld { pod: loss.pod, remaining }));
            return;
        }
        let model = &self.model;
        let left = loss.left.get_or_insert_with(|| {
            let own = model.assignments(None).filter(|assignment| assignment.pod == loss.pod);
            own.map(|assignment| assignment.target.clone()).collect()
        });
        for target in left.drain(..left.len().min(LOSS_CHUNK)) {
            let Some(assignment) = model.assignment(&target) else { continue };
            batch.writes.push(Write::Assign {
                target,
                parent: assignment.parent.clone(),
                pod: assignment.pod.clone(),
                expected: Some((assignment.pod.clone(), assignment.epoch)),
                reason: "data-loss-accepted",
            });
            loss.done += 1;
        }
        if left.is_empty() {
            let mut accepted = record.clone();
            accepted.loss_accepted = true;
            batch.writes.push(Write::Pod {
                record: accepted,
                expected: Some(record.lease_id),
                floor: shared::Epoch(0),
            });
            batch.audits.push(Audit {
                actor: "admin",
                action: "accept-data-loss",
                subject: loss.pod.to_string(),
                reason: loss.reason.clone(),
            });
        }
        flight.losses.push(loss);
    }

    fn place(&self, wanted: &[planner::Wanted], batch: &mut Batch, flight: &mut Flight) {
        let candidates = self.fleet.candidates(&self.model, self.clock.now());
        let owner_of = |target: &TargetId| self.model.assignment(target).map(|assignment| &assignment.pod);
        for (want, decision) in planner::place(&candidates, &self.settings.policy, wanted, owner_of) {
            match decision {
                Ok(pod) => {
                    flight.placed += 1;
                    batch.writes.push(Write::Assign {
                        target: want.target,
                        parent: want.parent,
                        pod,
                        expected: None,
                        reason: "first-contact",
                    });
                }
                Err(why) => {
                    self.metrics.place_refused();
                    flight.refused.insert(want.target, why);
                }
            }
        }
    }

    /// Takes a transaction's outcome in, then tells everybody: nobody hears of what is not committed.
    fn committed(&mut self, done: Result<Committed, StoreError>, flight: Flight) -> Result<(), Ended> {
        let committed = match done {
            Ok(committed) => committed,
            Err(why) => {
                self.metrics.store_error(&why);
                return self.not_committed(why, flight);
            }
        };
        for change in &committed.changes {
            self.model.apply(change.clone());
        }
        self.model.issued(committed.epoch);
        self.hub.publish(committed.changes);
        self.metrics.revision(self.model.revision());
        for (pod, register, reply) in flight.registrations {
            self.registered(pod, &register, reply);
        }
        for loss in flight.losses {
            self.loss_committed(loss, committed.revision);
        }
        self.places.settle(&self.model, &flight.refused);
        Ok(())
    }

    fn not_committed(&mut self, why: StoreError, flight: Flight) -> Result<(), Ended> {
        for (_, _, reply) in flight.registrations {
            let _ = reply.send(Err(ControlError::Store));
        }
        for loss in flight.losses {
            let _ = loss.reply.send(Err(ControlError::Store));
        }
        self.places.fail(&ControlError::Store);
        match why {
            StoreError::Fenced => Err(Ended::Fenced),
            StoreError::Rejected(_) => {
                tracing::warn!(error = %why, "a transaction was refused, nothing was changed");
                Ok(())
            }
            why => Err(Ended::Unsure(why)),
        }
    }

    fn registered(&mut self, pod: PodId, register: &Register, reply: Reply<Registered>) {
        let Some(record) = self.model.pod(&pod) else { return };
        self.fleet.joined(&pod);
        self.metrics.registration("ok");
        tracing::info!(
            %pod, incarnation = %register.incarnation, address = register.address, lease = %record.lease_id,
            targets = self.model.targets_of(&pod), "a pod registered"
        );
        let _ = reply.send(Ok(Registered {
            version: shared::wire::Hello::CURRENT.agree(register.hello).unwrap_or_default(),
            lease_id: record.lease_id,
            generation: self.model.epoch().generation(),
            heartbeat_ms: millis(self.settings.terms.heartbeat),
            lease_ms: millis(self.settings.terms.duration),
        }));
    }

    fn loss_committed(&mut self, loss: Loss, revision: Revision) {
        if loss.left.as_ref().is_some_and(|left| !left.is_empty()) {
            self.mutations.push_front(Mutation::AcceptLoss(loss));
            return;
        }
        tracing::warn!(pod = %loss.pod, targets = loss.done, "the loss of a pod's data was accepted by an operator");
        let _ = loss.reply.send(Ok(DataLossAccepted { pod: loss.pod, targets: loss.done, revision }));
    }

    /// The term was in force after these heartbeats had arrived: their leases are renewed.
    fn renewed(&mut self, done: Result<(), StoreError>, riding: Vec<Beat>) -> Result<(), Ended> {
        if let Err(why) = done {
            self.metrics.store_error(&why);
            if matches!(why, StoreError::Fenced) {
                return Err(Ended::Fenced);
            }
            if !std::mem::replace(&mut self.away, true) {
                tracing::warn!(error = %why, "cannot renew the term; nothing is granted or placed until the store answers");
            }
            for beat in riding {
                self.refuse_beat(&beat.pod, ControlError::Store, beat.reply);
            }
            return Ok(());
        }
        if std::mem::take(&mut self.away) {
            tracing::info!("the store answers again");
        }
        let now = self.clock.now();
        for Beat { pod, heartbeat, reply } in riding {
            // It may have registered anew while it waited.
            if let Err(why) = self.fleet.admits(&self.model, &pod, &heartbeat) {
                self.refuse_beat(&pod, why, reply);
                continue;
            }
            let grant = Grant {
                lease_id: heartbeat.lease_id,
                incarnation: heartbeat.incarnation.clone(),
                nonce: heartbeat.nonce,
                term: self.term,
                lease_ms: millis(self.settings.terms.duration),
                revision: self.model.revision(),
                witnesses: self.fleet.witnesses(&self.model, &pod),
            };
            if self.fleet.grant(&pod, &heartbeat, now) {
                tracing::info!(%pod, lease = %grant.lease_id, leaving = heartbeat.leaving, "the state of a pod changed");
            }
            self.metrics.heartbeat("granted");
            let _ = reply.send(Ok(grant));
        }
        Ok(())
    }

    fn refuse_beat(&self, pod: &PodId, why: ControlError, reply: Reply<Grant>) {
        self.metrics.heartbeat("refused");
        tracing::debug!(%pod, reason = %why, "refused a heartbeat");
        let _ = reply.send(Err(why));
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.snapshot.upgrade().filter(|snapshot| self.hub.continues(snapshot.revision)) {
            return snapshot;
        }
        let snapshot = Arc::new(Snapshot {
            revision: self.model.revision(),
            epoch: self.model.epoch(),
            pods: self.model.pods().cloned().collect(),
            assignments: self.model.assignments(None).cloned().collect(),
        });
        self.snapshot = Arc::downgrade(&snapshot);
        snapshot
    }

    /// Begins to trim the change log when enough of it is too old.
    fn trim(&self) -> Running<Revision> {
        let up_to = Revision(self.model.revision().0.checked_sub(self.settings.change_keep)?);
        if up_to.0 < self.trimmed.0 + TRIM_STEP {
            return None;
        }
        let (store, term, trimmed) = (Arc::clone(&self.store), self.term, self.trimmed);
        Some(Box::pin(async move {
            // A long log is trimmed in pieces, one a second: the leader's row is not to be held for long.
            let rows = store.trim(term, up_to).await?;
            Ok(if rows == 0 { up_to } else { trimmed })
        }))
    }

    fn log_trimmed(&mut self, done: Result<Revision, StoreError>) {
        match done {
            Ok(up_to) => self.trimmed = up_to,
            Err(why) => {
                self.metrics.store_error(&why);
                tracing::warn!(error = %why, "cannot trim the change log");
            }
        }
    }

    /// Brings the gauges up to date.
    fn show(&self) {
        let now = self.clock.now();
        self.metrics.revision(self.model.revision());
        self.metrics.place_queue(self.places.waiting());
        self.metrics.watchers(self.settings.max_watchers.saturating_sub(self.hub.free_seats()));
        for (platform, count) in self.model.targets_by_platform() {
            self.metrics.targets(platform, count);
        }
        for record in self.model.pods() {
            let pod = &record.info.pod;
            self.metrics.pod(pod, self.model.targets_of(pod), self.fleet.may_act_for(pod, now));
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
