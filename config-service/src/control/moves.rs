//! The shell around `shared::protocol::handoff` (OWNERSHIP.md, Moves): carries reports, operators' wishes and time to the
//! moves that are not over, and what they decide into the next transaction. Reports that arrive while a transaction runs
//! share the next one; a commit's new owner is written in the same transaction as the move's state. What the database has is
//! the truth: a new leader goes on from the rows, and what was only in memory here is reported again by the pods.

mod drains;
mod holds;
mod limits;
mod recent;
mod reports;
mod runs;
mod wishes;

pub(super) use holds::moved;
pub(super) use reports::Stands;
pub(crate) use runs::Budget;
pub(super) use wishes::MANUAL;
pub(crate) use wishes::Marking;
pub(super) use wishes::{Wish, would_mark};

use super::{ControlError, Reply};
use crate::{
    domain::{Batch, Change, Model, Write},
    metrics::Metrics,
    planner::{Candidate, Limits, Policy},
};
use drains::Drains;
use recent::Recent;
use reports::Reports;
use runs::Runs;
#[cfg(feature = "plant")]
use shared::plant::{self, Bug};
use shared::protocol::handoff::{Decision, Event, Handoff, Patience};
use shared::wire::admin::{Plan, PlanHead, PlannedMove, PodStatus};
use shared::wire::control::{Assignment, AssignmentState};
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, MoveId, PodId, TargetId};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use wishes::{Begun, Wishes};

/// Most moves that change in one transaction; the reports on others wait for the next one.
const CHANGED: usize = 1_500;

/// The least time until time alone is looked at again.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// What the moves are decided by, beside themselves.
pub(super) struct World<'a> {
    /// Pods, assignments and moves, as committed.
    pub(super) model: &'a Model,
    /// The pods as the planner takes them.
    pub(super) fleet: &'a [Candidate],
    /// What an ordinary pod is meant to carry.
    pub(super) policy: &'a Policy,
    /// The time.
    pub(super) now: Mono,
    /// The wall time, in milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
    /// The pods whose drains wait until it is planned where their targets go.
    pub(super) awaited: &'a BTreeSet<PodId>,
}

impl World<'_> {
    /// Returns a pod that is known and has its lease.
    fn alive(&self, pod: &PodId) -> Option<&Candidate> {
        self.fleet.iter().find(|candidate| candidate.pod == *pod && candidate.ready)
    }

    /// Returns whether what a pod had is out of reach: this life of it is over for good.
    fn is_lost(&self, pod: &PodId) -> bool {
        self.model.pod(pod).is_none_or(|record| record.buried)
    }
}

/// The moves of one term.
#[derive(Debug)]
pub(super) struct Moves {
    patience: Patience,
    limits: Limits,
    metrics: Metrics,
    live: BTreeMap<MoveId, Live>,
    recent: Recent,
    reports: Reports,
    wishes: Wishes,
    drains: Drains,
    runs: Runs,
    /// How many moves of plans may be under way.
    plan_limits: Limits,
}

/// A move that is not over.
#[derive(Debug)]
struct Live {
    /// As it is committed.
    handoff: Handoff,
    /// What it becomes with the transaction that is put together or under way.
    next: Option<Next>,
    /// Rows and bytes that have travelled, as far as was reported.
    travelled: (u64, u64),
}

/// What a move becomes.
#[derive(Debug)]
struct Next {
    state: MoveState,
    detail: Option<String>,
    pause_ms: Option<u64>,
}

impl Live {
    fn new(entry: &Move, now: Mono) -> Self {
        Self { handoff: Handoff::new(entry, now), next: None, travelled: (entry.rows, entry.bytes) }
    }

    /// Lets something happen to the move, as it will stand after what was decided already.
    fn take(&mut self, now: Mono, patience: &Patience, event: &Event) {
        let mut handoff = self.handoff.clone();
        if let Some(next) = &self.next {
            handoff.become_at(now, next.state);
        }
        let mut pause = None;
        for decision in handoff.step(now, patience, event) {
            match decision {
                Decision::Progress { rows, bytes } => {
                    self.travelled = (rows, bytes);
                    self.handoff.progressed(now);
                }
                Decision::Paused(ms) => pause = Some(ms),
                Decision::Become { state, detail } => self.next = Some(Next { state, detail, pause_ms: pause }),
            }
        }
    }

    /// Returns the move as it is to be written.
    fn entry(&self, committed: &Move) -> Move {
        let (rows, bytes) = self.travelled;
        let mut entry = Move { rows, bytes, ..committed.clone() };
        if let Some(next) = &self.next {
            entry.state = next.state;
            entry.detail = next.detail.clone().or(entry.detail);
            entry.pause_ms = next.pause_ms.or(entry.pause_ms);
        }
        entry
    }
}

impl Moves {
    /// Makes the moves of a leader that has just read `model`, at `now`.
    pub(super) fn new(model: &Model, patience: Patience, limits: Limits, metrics: Metrics, now: Mono) -> Self {
        let live = model.moves().map(|entry| (entry.id, Live::new(entry, now))).collect();
        Self {
            patience,
            limits,
            metrics,
            live,
            recent: Recent::default(),
            reports: Reports::default(),
            wishes: Wishes::default(),
            drains: Drains::default(),
            runs: Runs::default(),
            plan_limits: limits,
        }
    }

    /// Goes on with the plans that the term before has left, within such bounds.
    #[must_use]
    pub(super) fn with_plans(self, plans: Vec<Plan>, budget: Budget, plan_limits: Limits, now: Mono) -> Self {
        Self { runs: Runs::new(plans, budget, now), plan_limits, ..self }
    }

    /// Carries a plan out that is applied from now on.
    pub(super) fn run(&mut self, head: PlanHead, moves: Arc<[PlannedMove]>, now: Mono) {
        self.runs.begin(head, moves, now);
    }

    /// Returns the plans that are carried out, as they were last written.
    pub(super) fn plans(&self) -> impl Iterator<Item = &PlanHead> {
        self.runs.all()
    }

    /// Returns the plans that are carried out, as they stand.
    pub(super) fn plans_now(&self, world: &World<'_>) -> Vec<PlanHead> {
        self.runs.heads(world)
    }

    /// Takes a pod's reports.
    pub(super) fn report(&mut self, said: shared::wire::handoff::Reports, reply: Reply<Stands>) {
        self.reports.push(said, reply);
    }

    /// Takes an operator's wish.
    pub(super) fn wish(&mut self, wish: Wish) {
        self.wishes.push(wish);
    }

    /// A transaction is put together: adds what the moves become, and those that begin.
    pub(super) fn board(&mut self, world: &World<'_>, batch: &mut Batch) {
        // What gets another owner in this transaction anyway neither begins to move in it nor goes on.
        let assigned = assigned(batch);
        self.look(world);
        self.reports.board(world, &mut self.live, &self.patience);
        let traffic = limits::traffic(world.model, self.live.values().map(|live| &live.handoff));
        let mut begun = Begun { traffic, writes: Vec::new(), targets: assigned.clone() };
        self.wishes.board(world, &mut self.live, (&self.limits, &self.patience), batch, &mut begun);
        for live in self.live.values_mut() {
            live.take(world.now, &self.patience, &Event::Tick);
        }
        self.turn(world, &assigned, batch);
        if batch.writes.len() + begun.writes.len() + CHANGED <= Batch::MAX_WRITES {
            self.drains.board(world, &self.limits, &self.runs, &mut begun);
            self.runs.board(world, &self.plan_limits, batch, &mut begun);
        }
        batch.writes.extend(begun.writes);
    }

    /// Notes what the pods and the target of each move have become meanwhile.
    fn look(&mut self, world: &World<'_>) {
        let (model, now) = (world.model, world.now);
        for (id, live) in &mut self.live {
            let Some(entry) = model.moving(*id) else { continue };
            let mut happened = Vec::new();
            if matches!(entry.state, MoveState::Copying | MoveState::Frozen | MoveState::Imported) {
                let lost = [&entry.from, &entry.to].into_iter().find(|pod| world.is_lost(pod));
                happened.extend(lost.map(|pod| Event::Buried(pod.clone())));
                if !still_owns(model, entry) {
                    happened.push(Event::Reassigned);
                }
            }
            if entry.state == MoveState::Copying {
                let plan = self.runs.called_off(entry).then_some("its plan is carried out no more");
                happened.extend(called_off(model, entry).or(plan).map(|why| Event::Cancel(why.to_owned())));
            }
            if entry.state == MoveState::Committed && given_back(model, entry) {
                happened.push(Event::GivenBack);
            }
            if entry.state == MoveState::Committed && is_outlived(model, entry) {
                happened
                    .push(Event::Closed(format!("{} was lost, and what it had is served from its replica", entry.to)));
            }
            for event in happened {
                live.take(now, &self.patience, &event);
            }
        }
    }

    /// Adds what was decided: each move's state, and behind it the owner that a commit makes.
    fn turn(&mut self, world: &World<'_>, assigned: &HashSet<TargetId>, batch: &mut Batch) {
        let mut changed = 0;
        let held = held(batch);
        for (id, live) in &mut self.live {
            let Some(next) = &live.next else { continue };
            let room = changed < CHANGED && batch.writes.len() + 3 <= Batch::MAX_WRITES;
            let Some(entry) = world.model.moving(*id).filter(|entry| room && !assigned.contains(&entry.target)) else {
                // Decided anew for a later transaction: time asks again by itself, and a pod reports again.
                live.next = None;
                continue;
            };
            let commits = next.state == MoveState::Committed;
            batch.writes.push(Write::Move { entry: live.entry(entry), expected: Some(entry.state) });
            if commits {
                batch.writes.push(owned(world.model, entry));
                batch.writes.extend(holds::after(world, entry).filter(|_| !held.contains(&entry.target)));
            }
            changed += 1;
        }
    }

    /// The transaction is committed, `model` has it: takes the moves among its changes in, and answers.
    pub(super) fn committed(&mut self, model: &Model, changes: &[Change], now: Mono) {
        self.runs.committed(changes);
        for entry in among(changes) {
            self.metrics.moved(&entry);
            self.drains.moved(&entry, now);
            self.runs.moved(&entry, now);
            if entry.state.is_over() {
                self.live.remove(&entry.id);
                log(&entry);
                self.recent.push(entry);
                continue;
            }
            let live = self.live.entry(entry.id).or_insert_with(|| Live::new(&entry, now));
            live.next = None;
            if live.handoff.state != entry.state {
                live.handoff.become_at(now, entry.state);
            }
        }
        self.settle(model);
    }

    /// Nothing was to be written: answers what waited.
    pub(super) fn settle(&mut self, model: &Model) {
        let (live, recent) = (&self.live, &self.recent);
        self.reports.settle(|id| match live.get(id) {
            Some(live) => model.moving(*id).map(|entry| live.entry(entry)),
            None => recent.get(*id).cloned(),
        });
        self.wishes.settle(model, &self.recent);
    }

    /// The transaction is not committed, as far as is known: answers that.
    pub(super) fn failed(&mut self) {
        self.live.values_mut().for_each(|live| live.next = None);
        self.runs.failed();
        self.reports.fail(&ControlError::Store);
        self.wishes.fail(&ControlError::Store);
    }

    /// Answers all that waits for a transaction with an error.
    pub(super) fn turn_away(&mut self, why: &ControlError) {
        self.reports.turn_away(why);
        self.wishes.turn_away(why);
    }

    /// Returns how long until time alone changes something; none when it never does.
    pub(super) fn wakes_in(&self, now: Mono) -> Option<Duration> {
        let wakes = self.live.values().filter_map(|live| live.handoff.wake_at(&self.patience));
        wakes.min().map(|at| at.since(now).max(LEAST_WAIT))
    }

    /// Brings the gauges up to date, and tells of pods that are drained.
    pub(super) fn show(&mut self, model: &Model, now: Mono) {
        self.metrics.moves(self.live.values().map(|live| live.handoff.state));
        self.drains.show(model, now);
    }

    /// Returns a move that is not over, with what was reported of its progress.
    pub(super) fn shown(&self, model: &Model, id: MoveId) -> Option<Move> {
        let (rows, bytes) = self.live.get(&id)?.travelled;
        Some(Move { rows, bytes, ..model.moving(id)?.clone() })
    }

    /// Adds to a pod's status what is said of it, and how far its drain is.
    pub(super) fn complete(&self, status: &mut PodStatus, model: &Model) {
        self.drains.complete(status, model);
    }

    /// Returns whether a committed move would be closed by being called off.
    pub(super) fn would_close(model: &Model, id: MoveId) -> bool {
        model.moving(id).is_some_and(|entry| wishes::may_be_closed(model, entry))
    }

    /// Says what a move of `target` would be, and begins none.
    pub(super) fn would_move(
        &self,
        world: &World<'_>,
        target: &TargetId,
        to: Option<&PodId>,
        actor: &str,
    ) -> Result<Move, ControlError> {
        let traffic = limits::traffic(world.model, self.live.values().map(|live| &live.handoff));
        wishes::decide(world, target, to, actor, &self.limits, &traffic)
    }
}

/// Returns whether a pod is to be drained, and nothing is left of it.
pub(super) fn is_drained(model: &Model, pod: &PodId) -> bool {
    model.pod(pod).is_some_and(|record| record.marks.draining) && drains::is_drained(model, pod)
}

fn log(entry: &Move) {
    let Move { id, target, from, to, reason, .. } = entry;
    match &entry.detail {
        Some(why) if entry.state == MoveState::Aborted => {
            tracing::warn!(%id, %target, %from, %to, reason, why, "a move was aborted");
        }
        Some(why) => tracing::warn!(%id, %target, %from, %to, reason, why, "a committed move was closed"),
        None => tracing::debug!(%id, %target, %from, %to, reason, pause_ms = entry.pause_ms, "a move is done"),
    }
}

/// Returns whether the source owns the target under the move's epoch.
fn still_owns(model: &Model, entry: &Move) -> bool {
    #[cfg(feature = "plant")]
    if plant::on(Bug::ReassignedGoesOn) {
        return true;
    }
    let owner = model.assignment(&entry.target);
    owner.is_some_and(|owner| {
        owner.pod == entry.from && owner.epoch == entry.epoch && owner.state == AssignmentState::Serving
    })
}

/// Returns whether the source owns the target again, with the very rows that it has released by this move.
fn given_back(model: &Model, entry: &Move) -> bool {
    let goes_on = |owner: &Assignment| {
        let copy = owner.data.as_ref().filter(|data| data.pod == entry.from && data.epoch == entry.epoch);
        owner.pod == entry.from && owner.state == AssignmentState::Serving && copy.is_some()
    };
    model.assignment(&entry.target).as_ref().is_some_and(goes_on)
}

/// Returns whether the target is served elsewhere with what the destination had after the commit: it is lost, and will not say that
/// it serves; its replica holds the import, so that the rows which the source has kept are not the newest (OWNERSHIP.md, Moves).
fn is_outlived(model: &Model, entry: &Move) -> bool {
    let goes_on = |owner: &Assignment| {
        let later = owner.data.as_ref().is_some_and(|copy| copy.epoch > entry.epoch);
        later && owner.pod != entry.to && owner.state == AssignmentState::Serving
    };
    model.assignment(&entry.target).as_ref().is_some_and(goes_on)
}

/// Says why nobody wants a move any more that is being copied.
fn called_off(model: &Model, entry: &Move) -> Option<&'static str> {
    let draining = |pod: &PodId| model.pod(pod).is_some_and(|record| record.marks.draining);
    if draining(&entry.to) {
        return Some("the destination is to be drained");
    }
    (entry.reason == drains::REASON && !draining(&entry.from)).then_some("the drain was called off")
}

/// The write that makes the destination the owner, with the next epoch.
fn owned(model: &Model, entry: &Move) -> Write {
    Write::Assign {
        target: entry.target.clone(),
        parent: model.assignment(&entry.target).and_then(|owner| owner.parent),
        pod: entry.to.clone(),
        expected: Some((entry.from.clone(), entry.epoch)),
        reason: wishes::word(&entry.reason),
        state: AssignmentState::Serving,
        data: None,
    }
}

/// The targets of which it is written in a transaction what holds them.
fn held(batch: &Batch) -> HashSet<TargetId> {
    let held = batch.writes.iter().filter_map(|write| match write {
        Write::Hold { target, .. } => Some(target.clone()),
        _ => None,
    });
    held.collect()
}

/// The targets that get an owner in a transaction.
fn assigned(batch: &Batch) -> HashSet<TargetId> {
    let assigned = batch.writes.iter().filter_map(|write| match write {
        Write::Assign { target, .. } => Some(target.clone()),
        _ => None,
    });
    assigned.collect()
}

/// The moves among changes.
fn among(changes: &[Change]) -> Vec<Move> {
    let moves = changes.iter().filter_map(|change| match change {
        Change::Move(entry) => Some(entry.clone()),
        _ => None,
    });
    moves.collect()
}
