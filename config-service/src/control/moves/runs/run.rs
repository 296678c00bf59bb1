//! One plan that is carried out: the next of its moves, what became of each, and its end.

use super::super::{
    World, drains,
    limits::may_take,
    wishes::{Begun, CANARY, PINNED, REBALANCE, movable, new},
};
use super::pauses::Pauses;
use crate::{
    domain::Batch,
    planner::{EVEN, Limits, Ready, next_wave, skew},
};
use shared::wire::admin::{PlanHead, PlanProgress, PlanState, PlannedMove, Verdict};
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, PodId, TargetId};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Most moves that are looked at for one transaction.
const LOOKED_AT: usize = 4_096;

/// How often it is written how far a plan is.
const TOLD: Duration = Duration::from_secs(5);

/// The first wait before a move is tried again that was aborted; it doubles.
const RETRY: Duration = Duration::from_secs(1);

/// How often a move is tried.
const TRIES: u32 = 6;

/// The planner's word for what moves to the pods of its track.
const TRACK: &str = "track";

/// Of how many moves at least it is said that too many of them failed.
const ENOUGH: u64 = 20;

/// When a plan stops by itself (PLACEMENT.md, Execution limits).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Budget {
    /// The part of its moves that may be aborted, 0 to 1.
    pub(crate) aborted: f64,
    /// What 99 of 100 pauses may be.
    pub(crate) pause: Duration,
    /// What the longest may be while there were fewer than a hundred.
    pub(crate) longest: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { aborted: 0.1, pause: Duration::from_secs(2), longest: Duration::from_secs(30) }
    }
}

/// One plan.
#[derive(Debug)]
pub(super) struct Run {
    /// As it is committed.
    pub(super) head: PlanHead,
    moves: Arc<[PlannedMove]>,
    /// Those that have not begun, in their order.
    waiting: VecDeque<usize>,
    /// Those that have begun.
    moving: HashMap<TargetId, usize>,
    /// Where a target goes whose pod is emptied.
    destinations: HashMap<TargetId, usize>,
    /// When a move is tried again, and how often it was.
    retries: HashMap<usize, (Mono, u32)>,
    moved: u64,
    aborted: u64,
    dropped: u64,
    pauses: Pauses,
    told: Mono,
}

/// What is to become of a move that has not begun, as far as this leader knows.
enum Next {
    /// It could begin.
    Ready,
    /// It cannot yet.
    Wait,
    /// The leader before has begun it.
    UnderWay,
    Made,
    Drop,
}

impl Run {
    pub(super) fn new(head: PlanHead, moves: Arc<[PlannedMove]>, now: Mono) -> Self {
        let drained = |step: &PlannedMove| head.drains.contains(&step.from);
        let by_itself = moves.iter().enumerate().filter(|(_, step)| !drained(step)).map(|(at, _)| at);
        let emptied = moves.iter().enumerate().filter(|(_, step)| drained(step));
        let (waiting, destinations) =
            (by_itself.collect(), emptied.map(|(at, step)| (step.target.clone(), at)).collect());
        let aborted = head.progress.aborted;
        Self {
            head,
            moves,
            waiting,
            moving: HashMap::new(),
            destinations,
            retries: HashMap::new(),
            moved: 0,
            aborted,
            dropped: 0,
            pauses: Pauses::default(),
            told: now,
        }
    }

    /// Returns where a target of a pod that is emptied goes.
    pub(super) fn destination(&self, target: &TargetId) -> Option<&PodId> {
        let at = self.destinations.get(target).filter(|_| self.head.state == PlanState::Applying)?;
        self.moves.get(*at).map(|step| &step.to)
    }

    /// Begins as many moves as there is room for: the next wave of the plan.
    pub(super) fn begin(&mut self, world: &World<'_>, limits: &Limits, begun: &mut Begun, written: usize) {
        let free = Batch::MAX_WRITES.saturating_sub(written + begun.writes.len() + 2);
        let limits = Limits { in_flight: limits.in_flight.min(begun.traffic.all() + free), ..*limits };
        let (mut looked, mut known, mut made, mut dropped) = (Vec::new(), Vec::new(), 0, 0);
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        let ready = waiting.by_ref().take(LOOKED_AT).filter_map(|at| {
            let step = self.moves.get(at)?;
            match self.next(world, begun, at, step) {
                Next::UnderWay => known.push(at),
                Next::Made => made += 1,
                Next::Drop => dropped += 1,
                Next::Wait => looked.push(at),
                Next::Ready => {
                    looked.push(at);
                    return Some(Ready { at, family: step.family, from: Some(&step.from), to: &step.to });
                }
            }
            None
        });
        let wave = next_wave(ready, &begun.traffic, &limits);
        let chosen: HashSet<_> = wave.iter().copied().collect();
        self.waiting = looked.into_iter().filter(|at| !chosen.contains(at)).chain(waiting).collect();
        (self.moved, self.dropped) = (self.moved + made, self.dropped + dropped);
        for at in known.iter().chain(&wave) {
            let Some(step) = self.moves.get(*at) else { continue };
            self.moving.insert(step.target.clone(), *at);
        }
        for step in wave.iter().filter_map(|at| self.moves.get(*at)) {
            if let Some(owner) = world.model.assignment(&step.target) {
                // A word of the planner's; what stands at the move tells whose wish it is.
                let reason = match step.reason.as_str() {
                    PINNED => PINNED,
                    TRACK => CANARY,
                    _ => REBALANCE,
                };
                begun.add(Move { plan: Some(self.head.id), ..new(&owner, &step.to, reason, &self.head.actor) });
            }
        }
    }

    fn next(&self, world: &World<'_>, begun: &Begun, at: usize, step: &PlannedMove) -> Next {
        let Some(owner) = world.model.assignment(&step.target) else { return Next::Drop };
        if is_under_way(world, self, step) {
            return Next::UnderWay;
        }
        if owner.pod == step.to {
            return Next::Made;
        }
        if owner.pod != step.from {
            return Next::Drop;
        }
        if self.retries.get(&at).is_some_and(|(again, _)| *again > world.now) {
            return Next::Wait;
        }
        let (Some(from), Some(to)) = (world.model.pod(&step.from), world.model.pod(&step.to)) else {
            return Next::Drop;
        };
        // What fails over has another way; a pod that takes no targets any more is not given any by a plan of before.
        if from.buried || to.buried || !to.marks.open() {
            return Next::Drop;
        }
        let can = !begun.targets.contains(&step.target)
            && movable(world, &owner).is_ok()
            && may_take(world, &step.from, &step.to).is_ok();
        if can { Next::Ready } else { Next::Wait }
    }

    /// Notes what a move has become.
    pub(super) fn moved(&mut self, entry: &Move, now: Mono) {
        if let Some(ms) = entry.pause_ms.filter(|_| entry.state == MoveState::Cleaned) {
            self.pauses.push(ms);
        }
        match entry.state {
            MoveState::Committed if self.moving.remove(&entry.target).is_some() => self.moved += 1,
            MoveState::Aborted => {
                self.aborted += 1;
                let Some(at) = self.moving.remove(&entry.target) else { return };
                let tries = self.retries.get(&at).map_or(0, |(_, tries)| *tries);
                if tries + 1 >= TRIES {
                    self.dropped += 1;
                } else {
                    self.retries.insert(at, (now.after(RETRY * 2_u32.pow(tries)), tries + 1));
                    self.waiting.push_back(at);
                }
            }
            _ => {}
        }
    }

    /// What was put together is not committed: what was begun by it begins again.
    pub(super) fn failed(&mut self) {
        self.waiting.extend(self.moving.drain().map(|(_, at)| at));
        self.waiting.make_contiguous().sort_unstable();
    }

    /// Returns the plan as it stands.
    pub(super) fn shown(&self, world: &World<'_>) -> PlanHead {
        PlanHead { progress: self.progress(world), ..self.head.clone() }
    }

    fn progress(&self, world: &World<'_>) -> PlanProgress {
        let emptying: HashSet<_> = self.head.drains.iter().collect();
        let still: u64 = emptying.iter().map(|pod| world.model.targets_of(pod)).sum();
        let leaving = world.model.moves().filter(|entry| emptying.contains(&entry.from) && !entry.state.is_over());
        PlanProgress {
            moved: self.moved + (self.destinations.len() as u64).saturating_sub(still),
            in_flight: (self.moving.len() + leaving.count()) as u64,
            aborted: self.aborted,
            dropped: self.dropped,
            left: self.waiting.len() as u64 + still,
        }
    }

    /// Returns the plan as it is to be written: when it turns, and now and then.
    pub(super) fn further(&mut self, world: &World<'_>, budget: &Budget) -> Option<PlanHead> {
        let progress = self.progress(world);
        let (state, why) = self.turn(world, budget);
        let due = world.now.since(self.told) >= TOLD && progress != self.head.progress;
        if state == self.head.state && !due {
            return None;
        }
        self.told = world.now;
        let mut head = PlanHead { state, progress, ..self.head.clone() };
        head.detail = why.or(head.detail);
        if state.is_over() {
            head.verdict = Some(self.verdict(world, &progress));
        }
        Some(head)
    }

    fn turn(&self, world: &World<'_>, budget: &Budget) -> (PlanState, Option<String>) {
        let state = self.head.state;
        let under_way = !self.moving.is_empty() || world.model.moves().any(|entry| self.waits_for(world, entry));
        if state == PlanState::Cancelling {
            let over = if self.head.detail.is_some() { PlanState::Stopped } else { PlanState::Cancelled };
            return (if under_way { state } else { over }, None);
        }
        let marked = |pod: &PodId| world.model.pod(pod).is_some_and(|record| record.marks.draining);
        if !self.head.drains.is_empty() {
            // Whoever drains a pod wants it empty: what fails is tried again.
            let emptied = self.head.drains.iter().all(|pod| !marked(pod) || drains::is_drained(world.model, pod));
            return match self.head.drains.iter().any(marked) {
                false => (PlanState::Cancelled, Some("the drain was called off".to_owned())),
                true if emptied && self.waiting.is_empty() && !under_way => (PlanState::Done, None),
                true => (state, None),
            };
        }
        let ended = self.moved + self.aborted;
        if ended >= ENOUGH && self.aborted as f64 > budget.aborted * ended as f64 {
            let why = format!("{} of {ended} moves were aborted", self.aborted);
            return (PlanState::Cancelling, Some(why));
        }
        if let Some(why) = self.pauses.too_long(budget) {
            return (PlanState::Cancelling, Some(why));
        }
        (if self.waiting.is_empty() && !under_way { PlanState::Done } else { state }, None)
    }

    /// Returns whether a move is one of the plan's, of which more will be heard.
    fn waits_for(&self, world: &World<'_>, entry: &Move) -> bool {
        let there = || world.model.owner(&entry.target).is_some_and(|owner| *owner == entry.to);
        entry.plan == Some(self.head.id) && (entry.state != MoveState::Committed || there())
    }

    fn verdict(&self, world: &World<'_>, progress: &PlanProgress) -> Verdict {
        let cost = &self.head.cost;
        let part = if self.moves.is_empty() { 0.0 } else { progress.moved as f64 / self.moves.len() as f64 };
        let open = world.model.pods().filter(|record| !record.buried && !record.marks.draining);
        let shares: Vec<_> =
            open.map(|record| (world.model.targets_of(&record.info.pod), record.info.capacity)).collect();
        Verdict {
            moved_over_bound: (cost.bound > 0.0).then(|| cost.moved * part / cost.bound),
            skew: if shares.is_empty() { EVEN } else { skew(&shares) },
            pause_p50_ms: self.pauses.percentile(50),
            pause_p99_ms: self.pauses.percentile(99),
            pause_max_ms: self.pauses.percentile(100),
        }
    }
}

/// Returns whether a move of the plan's is under way for the target already: this leader goes on where another ended.
fn is_under_way(world: &World<'_>, run: &Run, step: &PlannedMove) -> bool {
    let running = world.model.move_of(&step.target);
    running.is_some_and(|entry| entry.plan == Some(run.head.id) && entry.state != MoveState::Committed)
}
