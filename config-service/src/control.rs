//! The leader's work: one task owns the model and decides; everybody else asks it through [`Control`]. A process that does
//! not lead follows: it reads along, and answers from its copy what does not take the leader. Knows the store by its trait
//! and no HTTP.

mod beats;
mod burial;
mod census;
mod desk;
mod errand;
mod error;
mod feed;
mod fencer;
mod fleet;
mod gate;
mod generation;
mod heirs;
mod hub;
mod intents;
mod leadership;
mod loss;
mod mirror;
mod moves;
mod mutations;
mod needs;
mod plans;
mod queue;
mod recover;
mod registration;
#[cfg(feature = "plant")]
pub mod simulation;
mod standing;
mod tracks;
mod upkeep;
mod view;
mod weights;

pub(crate) use burial::Proof;
pub(crate) use errand::Errand;
pub(crate) use error::ControlError;
pub(crate) use feed::{Feed, From};
pub(crate) use leadership::lead;
pub(crate) use moves::{Budget, Marking};
pub(crate) use plans::{ACTOR as REBALANCER, PlanWish, word};
pub(crate) use standing::Standing;
pub(crate) use upkeep::USED_STEP_MS;
pub(crate) use view::View;

use crate::{
    domain::{By, Change, Model, Snapshot},
    options::Options,
    planner::{Limits, Policy, Polish, Wanted, scaling::Range},
    store::{EventFilter, KeptAnswer, Log, MoveFilter, Reign, Store, StoreError},
};
use burial::Burial;
use hub::Hub;
use mirror::{Ask, Following};
use moves::{Stands, Wish};
use shared::protocol::{handoff, leader};
use shared::settings::Secret;
use shared::wire::admin::{
    DataLossAccepted, DeadDeclared, Event, GenerationBegun, Ownership, PodMarked, PodRecovery, TargetLossAccepted,
};
use shared::wire::control::{
    Grant, Heartbeat, Holdings, HoldingsKept, Placed, Register, Registered, Restored, RestoredTaken,
};
use shared::wire::handoff::{Move, Reported, Reports};
use shared::{MoveId, PodId, Revision, TargetId, Term, lease::LeaseTerms, shutdown::Shutdown};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// The bounds and times of the control plane.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where this process is reached, as it stands in the database when it leads.
    pub(crate) address: String,
    /// The protocol's constants.
    pub(crate) terms: LeaseTerms,
    /// How long a term lasts without being renewed.
    pub(crate) leader_lease: Duration,
    /// What an ordinary pod is meant to carry.
    pub(crate) policy: Policy,
    /// Most targets placed in one transaction.
    pub(crate) place_batch: usize,
    /// Most first contacts that may wait.
    pub(crate) place_queue: usize,
    /// Most watchers at once.
    pub(crate) max_watchers: usize,
    /// Changes a watcher may be behind.
    pub(crate) watch_backlog: usize,
    /// How often a quiet watch gets a bookmark.
    pub(crate) watch_bookmark: Duration,
    /// Changes kept in the log.
    pub(crate) change_keep: u64,
    /// Most tokens of the admin API.
    pub(crate) max_tokens: usize,
    /// Most targets of one pod's report on what it holds.
    pub(crate) max_holdings: usize,
    /// How long the leader waits for what the protocol's constants do not say.
    pub(crate) lease_patience: leader::Patience,
    /// How long a witness may take to answer.
    pub(crate) fence_timeout: Duration,
    /// Most witnesses that are asked at once.
    pub(crate) fence_calls: usize,
    /// What is presented to witnesses.
    pub(crate) token: Option<Secret>,
    /// How often a follower looks.
    pub(crate) follower_poll: Duration,
    /// How old what it knows may be.
    pub(crate) follower_age: Duration,
    /// How long moves may stay where they are.
    pub(crate) patience: handoff::Patience,
    /// How many moves may be under way.
    pub(crate) moves: Limits,
    /// How many of those that plans have asked for.
    pub(crate) plan_moves: Limits,
    /// When a plan stops by itself.
    pub(crate) budget: Budget,
    /// How often the leader looks for an even share; zero for never.
    pub(crate) rebalance: Duration,
}

impl Settings {
    /// Takes the settings from the flags; `address` is where this process is reached, `token` what it presents to others.
    pub(crate) fn new(options: &Options, address: String, token: Option<Secret>) -> Self {
        let (heartbeat, duration, fence_after) = (options.heartbeat, options.lease, options.fence_after);
        let margin = options.lease_margin.max(duration / 20);
        let terms = LeaseTerms { heartbeat, duration, margin, fence_after, ..LeaseTerms::default() };
        let policy = Policy {
            targets: options.pod_targets,
            events_per_second: options.pod_events,
            bytes: options.pod_bytes as f64,
            band: options.rebalance_band,
            cooldown_ms: u64::try_from(options.move_cooldown.as_millis()).unwrap_or(u64::MAX),
            sockets: options.pod_sockets,
            freeze_after: options.plan_freeze_after,
            half_life_ms: options.plan_half_life.as_millis() as u64,
            polish: Polish { evaluations: options.plan_evaluations, share: options.plan_polish, ..Polish::default() },
            ..Policy::default()
        };
        Self {
            address,
            terms,
            leader_lease: options.leader_lease,
            policy,
            place_batch: options.place_batch,
            place_queue: options.place_queue,
            max_watchers: options.max_watchers,
            watch_backlog: options.watch_backlog,
            watch_bookmark: options.watch_bookmark,
            change_keep: options.change_keep,
            max_tokens: options.max_tokens,
            max_holdings: options.max_holdings,
            lease_patience: leader::Patience { check: options.term_check, restart: options.restart_patience },
            fence_timeout: options.fence_timeout,
            fence_calls: options.fence_calls,
            token,
            follower_poll: options.follower_poll,
            follower_age: options.follower_age,
            patience: handoff::Patience { frozen: options.move_freeze, stalled: options.move_stall },
            moves: Limits {
                in_flight: options.moves_in_flight,
                per_source: options.moves_per_source,
                per_destination: options.moves_per_destination,
            },
            plan_moves: Limits {
                in_flight: options.plan_moves_in_flight,
                per_source: options.plan_moves_per_source,
                per_destination: options.plan_moves_per_destination,
            },
            budget: Budget {
                aborted: options.plan_abort_budget,
                pause: options.plan_pause_budget,
                longest: options.plan_longest_pause,
            },
            rebalance: options.rebalance_interval,
        }
    }
}

/// Of how many moves of a target its history tells.
const MOVES_TOLD: usize = 1_000;

/// A cheap handle for asking the leader. Cloned into every request.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    role: watch::Receiver<Role>,
    following: watch::Receiver<Option<Following>>,
    store: Arc<dyn Store>,
    bookmark: Duration,
}

/// What this process is.
#[derive(Debug, Clone)]
enum Role {
    /// Nobody knows yet who leads, or the term of this process has just ended.
    Idle,
    /// Another leads, or is about to.
    Follower {
        /// Where the leader is, if known.
        leader: Option<String>,
    },
    /// This process leads.
    Leader(Leading),
}

/// The way to the leader's task. When that ends, the other side of the channel is gone and every question is answered
/// with [`ControlError::NotLeader`].
#[derive(Debug, Clone)]
struct Leading {
    commands: mpsc::Sender<Command>,
    hub: Hub,
    standing: watch::Receiver<Arc<Standing>>,
    term: Term,
    /// Ends the term.
    leave: Shutdown,
}

type Reply<T> = oneshot::Sender<Result<T, ControlError>>;

/// What the leader's task is asked.
enum Command {
    Register(Register, Reply<Registered>),
    Heartbeat(PodId, Heartbeat, Reply<Grant>),
    Place(Vec<Wanted>, Reply<Placed>),
    AcceptLoss(PodId, By, Reply<DataLossAccepted>),
    AcceptLossOf(TargetId, By, Reply<TargetLossAccepted>),
    Bury(Burial),
    Holdings(PodId, Holdings, Reply<HoldingsKept>),
    Restored(PodId, Restored, Reply<RestoredTaken>),
    Recover(PodId, By, Reply<PodRecovery>),
    Generation(By, Reply<GenerationBegun>),
    Errand(Errand, Reply<Revision>),
    Report(Reports, Reply<Stands>),
    Wish(Wish),
    Plan(PlanWish),
    Used(String, u64),
    Range(Range),
    Snapshot(Reply<Arc<Snapshot>>),
    Read(Box<dyn FnOnce(&View<'_>) + Send>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register(..) => "Register",
            Self::Heartbeat(..) => "Heartbeat",
            Self::Place(..) => "Place",
            Self::AcceptLoss(..) => "AcceptLoss",
            Self::AcceptLossOf(..) => "AcceptLossOf",
            Self::Bury(..) => "Bury",
            Self::Holdings(..) => "Holdings",
            Self::Restored(..) => "Restored",
            Self::Recover(..) => "Recover",
            Self::Generation(..) => "Generation",
            Self::Errand(..) => "Errand",
            Self::Report(..) => "Report",
            Self::Wish(..) => "Wish",
            Self::Plan(..) => "Plan",
            Self::Used(..) => "Used",
            Self::Range(..) => "Range",
            Self::Snapshot(..) => "Snapshot",
            Self::Read(..) => "Read",
        })
    }
}

impl Control {
    /// Registers a pod.
    pub(crate) async fn register(&self, register: Register) -> Result<Registered, ControlError> {
        self.ask(|reply| Command::Register(register, reply)).await
    }

    /// Renews a pod's lease.
    pub(crate) async fn heartbeat(&self, pod: PodId, heartbeat: Heartbeat) -> Result<Grant, ControlError> {
        self.ask(|reply| Command::Heartbeat(pod, heartbeat, reply)).await
    }

    /// Says where targets are, and gives those a home that have none.
    pub(crate) async fn place(&self, wanted: Vec<Wanted>) -> Result<Placed, ControlError> {
        self.ask(|reply| Command::Place(wanted, reply)).await
    }

    /// The same for targets that belong to no guild.
    pub(crate) async fn place_alone(&self, targets: Vec<TargetId>) -> Result<Placed, ControlError> {
        self.place(targets.into_iter().map(Wanted::of).collect()).await
    }

    /// Lets another incarnation take over a pod's targets, empty.
    pub(crate) async fn accept_loss(&self, pod: PodId, by: By) -> Result<DataLossAccepted, ControlError> {
        self.ask(|reply| Command::AcceptLoss(pod, by, reply)).await
    }

    /// Lets one target begin empty where it waits for its data.
    pub(crate) async fn accept_loss_of(&self, target: TargetId, by: By) -> Result<TargetLossAccepted, ControlError> {
        self.ask(|reply| Command::AcceptLossOf(target, by, reply)).await
    }

    /// Takes somebody's word that a pod is dead.
    pub(crate) async fn bury(&self, pod: PodId, proof: Proof) -> Result<DeadDeclared, ControlError> {
        self.ask(|reply| Command::Bury(Burial { pod, proof, targets: 0, reply })).await
    }

    /// Takes a part of what a pod says it holds.
    pub(crate) async fn holdings(&self, pod: PodId, part: Holdings) -> Result<HoldingsKept, ControlError> {
        self.ask(|reply| Command::Holdings(pod, part, reply)).await
    }

    /// Takes what a pod has restored from a dead one's replica.
    pub(crate) async fn restored(&self, pod: PodId, said: Restored) -> Result<RestoredTaken, ControlError> {
        self.ask(|reply| Command::Restored(pod, said, reply)).await
    }

    /// Has restored what a dead pod had.
    pub(crate) async fn recover(&self, pod: PodId, by: By) -> Result<PodRecovery, ControlError> {
        self.ask(|reply| Command::Recover(pod, by, reply)).await
    }

    /// Begins a new generation of the cluster.
    pub(crate) async fn begin_generation(&self, by: By) -> Result<GenerationBegun, ControlError> {
        self.ask(|reply| Command::Generation(by, reply)).await
    }

    /// Does an errand; returns the newest revision when it was done.
    pub(crate) async fn errand(&self, errand: Errand) -> Result<Revision, ControlError> {
        self.ask(|reply| Command::Errand(errand, reply)).await
    }

    /// Takes what a pod reports on moves, and says how they stand. Those that are over for long are read from the database.
    pub(crate) async fn report(&self, said: Reports) -> Result<Reported, ControlError> {
        let stands = self.ask(|reply| Command::Report(said, reply)).await?;
        let missing: Vec<_> = stands.iter().filter(|(_, entry)| entry.is_none()).map(|(id, _)| *id).collect();
        let mut found = Vec::new();
        if !missing.is_empty() {
            let limit = missing.len();
            let wanted = MoveFilter { ids: Some(missing), ..MoveFilter::default() };
            found = self.store.moves(wanted, limit).await.map_err(unread)?;
        }
        let known =
            |(id, entry): (MoveId, Option<Move>)| entry.or_else(|| found.iter().find(|one| one.id == id).cloned());
        Ok(Reported { moves: stands.into_iter().filter_map(known).collect() })
    }

    /// Begins to move a target.
    pub(crate) async fn move_target(&self, target: TargetId, to: Option<PodId>, by: By) -> Result<Move, ControlError> {
        self.ask(|reply| Command::Wish(Wish::Move { target, to, by, reply })).await
    }

    /// Calls a move off.
    pub(crate) async fn cancel_move(&self, id: MoveId, by: By) -> Result<Move, ControlError> {
        match self.ask(|reply| Command::Wish(Wish::Cancel { id, by, reply })).await {
            Err(ControlError::UnknownMove(_)) => {
                let wanted = MoveFilter { ids: Some(vec![id]), ..MoveFilter::default() };
                let over = self.moves(wanted, 1).await?.pop().ok_or(ControlError::UnknownMove(id))?;
                Err(ControlError::MoveDecided { id, state: over.state })
            }
            answer => answer,
        }
    }

    /// Says something of a pod.
    pub(crate) async fn mark(&self, pod: PodId, marking: Marking, by: By) -> Result<PodMarked, ControlError> {
        self.ask(|reply| Command::Wish(Wish::Mark { pod, marking, by, reply })).await
    }

    /// Reads moves, newest first; those under way with what was reported of their progress, where this process leads.
    pub(crate) async fn moves(&self, wanted: MoveFilter, limit: usize) -> Result<Vec<Move>, ControlError> {
        let mut moves = self.store.moves(wanted, limit).await.map_err(unread)?;
        let running: Vec<_> = moves.iter().filter(|entry| !entry.state.is_over()).map(|entry| entry.id).collect();
        if running.is_empty() {
            return Ok(moves);
        }
        let shown = self.read(move |view| running.into_iter().filter_map(|id| view.moving(id)).collect::<Vec<_>>());
        for newer in shown.await.unwrap_or_default() {
            moves.iter_mut().filter(|entry| entry.id == newer.id).for_each(|entry| *entry = newer.clone());
        }
        Ok(moves)
    }

    /// Returns what requests are judged by; none when this process neither leads nor follows closely.
    pub(crate) fn standing(&self) -> Option<Arc<Standing>> {
        if let Role::Leader(leading) = &*self.role.borrow() {
            return Some(Arc::clone(&leading.standing.borrow()));
        }
        self.following.borrow().as_ref().map(|following| Arc::clone(&following.standing.borrow()))
    }

    /// Returns whether this process leads.
    pub(crate) fn leads(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader(_))
    }

    /// Returns whether this process follows closely enough to answer for itself.
    pub(crate) fn follows(&self) -> bool {
        self.following.borrow().is_some()
    }

    /// Returns who leads as far as this process knows, with the newest revision it has.
    pub(crate) fn reign(&self, own: &str, lease: Duration) -> (Reign, Revision) {
        if let Role::Leader(leading) = &*self.role.borrow() {
            let reign = Reign { term: leading.term, address: own.to_owned(), remaining: lease };
            return (reign, leading.hub.newest());
        }
        match &*self.following.borrow() {
            Some(following) => (following.reign.borrow().clone(), following.hub.newest()),
            None => (Reign::default(), Revision(0)),
        }
    }

    /// Ends the term of this process: another one takes over. Nothing happens when it does not lead.
    pub(crate) fn step_down(&self) {
        if let Role::Leader(leading) = &*self.role.borrow() {
            leading.leave.cancel();
        }
    }

    /// Returns when another than `leader` leads, or this process itself, as far as it knows.
    pub(crate) async fn succeeded(&self, leader: &str) {
        let (mut role, mut following) = (self.role.clone(), self.following.clone());
        while self.leader().as_deref() == Some(leader) {
            let mut reign = following.borrow_and_update().as_ref().map(|following| following.reign.clone());
            let changed = async {
                match &mut reign {
                    Some(reign) => reign.changed().await,
                    None => std::future::pending().await,
                }
            };
            // What ends by itself ends with the service.
            let _ = tokio::select! {
                changed = role.changed() => changed,
                changed = following.changed() => changed,
                changed = changed => changed,
            };
        }
    }

    /// Returns when all is known here that was committed before; at once when this process leads.
    pub(crate) async fn catch_up(&self) {
        let following = self.following.borrow().clone();
        if let Some(following) = following.filter(|_| !self.leads()) {
            // Who cannot catch up says so to the next question.
            let _ = following.ask(Ask::CatchUp).await;
        }
    }

    /// Notes that a token was used. It is no harm when this is lost.
    pub(crate) fn used(&self, token: &str, at_ms: u64) {
        if let Role::Leader(leading) = &*self.role.borrow() {
            let _ = leading.commands.try_send(Command::Used(token.to_owned(), at_ms));
        }
    }

    /// Tells the leader which pods are to run on. Whoever tells it does so in every term, and when it changes.
    pub(crate) async fn range(&self, range: Range) -> Result<(), ControlError> {
        let leading = match &*self.role.borrow() {
            Role::Leader(leading) => Some(leading.commands.clone()),
            _ => None,
        };
        let gone = || ControlError::NotLeader { leader: None };
        leading.ok_or_else(gone)?.send(Command::Range(range)).await.map_err(|_| gone())
    }

    /// Reads the audit, newest first.
    pub(crate) async fn events(&self, wanted: EventFilter, limit: usize) -> Result<Vec<Event>, ControlError> {
        self.store.events(wanted, limit).await.map_err(unread)
    }

    /// Reads who owned a target, newest first.
    pub(crate) async fn history(
        &self,
        target: TargetId,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Vec<Ownership>, ControlError> {
        self.store.history(target, before, limit).await.map_err(unread)
    }

    /// Adds to ownerships what is remembered of the moves that began them: both have the time of their transaction.
    pub(crate) async fn told(
        &self,
        target: &TargetId,
        mut ownerships: Vec<Ownership>,
    ) -> Result<Vec<Ownership>, ControlError> {
        if ownerships.iter().all(|owned| owned.from.is_none()) {
            return Ok(ownerships);
        }
        let wanted = MoveFilter { target: Some(target.clone()), ..MoveFilter::default() };
        let moves = self.moves(wanted, MOVES_TOLD).await?;
        for owned in &mut ownerships {
            let began =
                |of: &&Move| of.ended_ms == Some(owned.since_ms) && of.to == owned.pod && of.epoch < owned.epoch;
            if let Some(of) = moves.iter().find(began) {
                (owned.actor, owned.pause_ms) = (Some(of.actor.clone()), of.pause_ms);
                (owned.moved_by, owned.plan) = (Some(of.id), of.plan);
            }
        }
        Ok(ownerships)
    }

    /// Reads the answer that was kept for an actor's key.
    pub(crate) async fn kept(&self, actor: String, key: String) -> Result<Option<KeptAnswer>, ControlError> {
        self.store.kept(actor, key).await.map_err(unread)
    }

    /// Reads what the leader knows.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        self.ask(|reply| {
            Command::Read(Box::new(move |view| {
                // Nobody waits any more when the request was cut off.
                let _ = reply.send(Ok(read(view)));
            }))
        })
        .await
    }

    /// Reads pods, assignments, tokens and settings as this process has them: as they are when it leads, as they were a
    /// moment ago when it follows.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Model) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let following = self.following.borrow().clone();
        match following.filter(|_| !self.leads()) {
            None => self.read(move |view| look(view.model)).await,
            Some(following) => {
                following
                    .ask(|reply| {
                        Ask::Look(Box::new(move |model| {
                            // Nobody waits any more when the request was cut off.
                            let _ = reply.send(Ok(look(model)));
                        }))
                    })
                    .await
            }
        }
    }

    /// Reads at most `limit` changes up to `newest` from the log, in order; none when the log does not go back so far.
    pub(crate) async fn changes_up_to(&self, newest: Revision, limit: usize) -> Result<Vec<Change>, ControlError> {
        let after = Revision(newest.0.saturating_sub(limit as u64));
        match self.store.changes(after, limit).await {
            Ok(Log::Changes(changes)) => Ok(changes),
            Ok(Log::Gone) => Ok(Vec::new()),
            Err(why) => {
                tracing::warn!(error = %why, "cannot read the change log");
                Err(ControlError::Store)
            }
        }
    }

    /// Begins a watch. `pod` limits the assignments to that pod's.
    pub(crate) async fn watch(&self, from: From, pod: Option<PodId>) -> Result<Feed, ControlError> {
        let following = self.following.borrow().clone().filter(|_| !self.leads());
        let hub = match &following {
            Some(following) => following.hub.clone(),
            None => self.leading()?.hub,
        };
        let seat = hub.seat().ok_or(ControlError::TooManyWatchers)?;
        let start = match (from, &following) {
            (From::Start, None) => feed::Start::Snapshot(self.ask(Command::Snapshot).await?),
            (From::Start, Some(following)) => feed::Start::Snapshot(following.ask(Ask::Snapshot).await?),
            (From::After(position), _) => feed::Start::After(position),
        };
        Ok(Feed::new(hub, Arc::clone(&self.store), seat, start, pod, self.bookmark))
    }

    /// Returns where the leader is, as far as this process knows; none when it leads itself or nobody is known.
    pub(crate) fn leader(&self) -> Option<String> {
        match &*self.role.borrow() {
            Role::Leader(_) | Role::Idle => None,
            Role::Follower { leader } => match &*self.following.borrow() {
                // It has looked more lately.
                Some(following) => following.reign.borrow().leader().map(ToOwned::to_owned),
                None => leader.clone(),
            },
        }
    }

    fn leading(&self) -> Result<Leading, ControlError> {
        match &*self.role.borrow() {
            Role::Leader(leading) => Ok(leading.clone()),
            Role::Follower { .. } | Role::Idle => Err(ControlError::NotLeader { leader: self.leader() }),
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        let gone = || ControlError::NotLeader { leader: None };
        self.leading()?.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn unread(why: StoreError) -> ControlError {
    tracing::warn!(error = %why, "cannot read from the store");
    ControlError::Store
}
