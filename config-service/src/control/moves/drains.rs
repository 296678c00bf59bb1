//! Drains: every target of a draining pod moves away, as many at once as the bounds allow, each to where the plan says that is
//! made for it; what is in none goes where a first contact would, a channel to where its guild goes. What is to be drained is in the database; only rate and retries are remembered here.

use super::{
    World,
    limits::{Destinations, may_take},
    runs::Runs,
    wishes::{Begun, movable, new},
};
use crate::{
    domain::{Model, Write},
    planner::Limits,
};
use shared::wire::admin::{Drain, PodStatus};
use shared::wire::control::{Assignment, AssignmentState, PodState};
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, PodId, TargetId};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

/// Why a target moves that is drained away.
pub(super) const REASON: &str = "drain";

/// The first wait before a target is tried again whose move was aborted; it doubles.
const RETRY: Duration = Duration::from_secs(1);

/// How often it doubles.
const DOUBLINGS: u32 = 5;

/// How many seconds the rate is taken over.
const WINDOW: usize = 10;

/// The drains of one term.
#[derive(Debug, Default)]
pub(super) struct Drains {
    pods: BTreeMap<PodId, Progress>,
    /// Targets whose move was aborted: when they are tried again, and how often they were tried.
    retries: HashMap<TargetId, (Mono, u32)>,
}

/// How far the drain of one pod is, since this leader knows of it.
#[derive(Debug, Default)]
struct Progress {
    moved: u64,
    aborted: u64,
    /// How many had moved at some moments, a second apart.
    samples: VecDeque<(Mono, u64)>,
    /// Why nothing begins.
    waiting: Option<String>,
    /// It was said that the pod is drained.
    told: bool,
}

impl Progress {
    fn per_second(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let seconds = to.since(*from).as_secs_f64();
        if seconds > 0.0 { after.saturating_sub(*before) as f64 / seconds } else { 0.0 }
    }
}

impl Drains {
    /// Begins as many moves away from draining pods as there is room for.
    pub(super) fn board(&mut self, world: &World<'_>, limits: &Limits, runs: &Runs, begun: &mut Begun) {
        let draining = world.model.pods().filter(|record| record.marks.draining).map(|record| &record.info.pod);
        let draining: Vec<_> = draining.cloned().collect();
        self.pods.retain(|pod, _| draining.contains(pod));
        if draining.is_empty() {
            self.retries.clear();
        }
        for pod in draining {
            let why = self.drain(world, &pod, limits, runs, begun).err();
            self.pods.entry(pod).or_default().waiting = why.map(str::to_owned);
        }
    }

    /// # Errors
    /// Why nothing can begin.
    fn drain(
        &self,
        world: &World<'_>,
        pod: &PodId,
        limits: &Limits,
        runs: &Runs,
        begun: &mut Begun,
    ) -> Result<(), &'static str> {
        let room = begun.traffic.room(limits, pod);
        if room == 0 || world.model.targets_of(pod) == 0 {
            return Ok(());
        }
        if world.alive(pod).is_none() {
            return Err("the pod itself is not ready: its targets move when it is back, or are failed over");
        }
        if world.awaited.contains(pod) {
            return Err("it is being planned where its targets go");
        }
        let destinations = Destinations::of(world, pod, limits, &begun.traffic);
        if destinations.is_empty() {
            return Err("no other pod is ready and takes targets");
        }
        empty_handed(world, pod, room, &destinations, begun);
        let (alone, with_parent) = self.pick(world, pod, room, begun);
        let mut chosen: HashMap<TargetId, PodId> = HashMap::new();
        // Where a plan sends a target counts, as long as that pod takes targets. When it has no room just now, they wait.
        let fleet = world.fleet.iter().map(|candidate| &candidate.pod);
        let open: HashSet<_> = fleet.filter(|to| may_take(world, pod, to).is_ok()).collect();
        let planned = |target: &TargetId| runs.destination(target).filter(|(_, to)| open.contains(to));
        let (sent, alone): (Vec<_>, Vec<_>) = alone.into_iter().partition(|target| planned(target).is_some());
        let mut going = destinations.choose(world, &alone);
        going
            .extend(sent.into_iter().filter_map(|target| planned(&target).map(|(_, to)| (target.clone(), to.clone()))));
        for (target, to) in &going {
            chosen.insert(target.clone(), to.clone());
        }
        for (target, parent) in with_parent {
            let sent = planned(&target).map(|(_, to)| to.clone());
            if let Some(to) = sent.or_else(|| goes_with(world, &destinations, &parent, &chosen)) {
                going.push((target, to));
            }
        }
        for (target, to) in going {
            // The bound of a destination may have been reached by those before.
            if begun.traffic.arriving(&to) < limits.per_destination
                && let Some(owner) = world.model.assignment(&target)
            {
                let plan = planned(&target).filter(|(_, planned)| **planned == to).map(|(id, _)| id);
                begun.add(Move { plan, ..new(&owner, &to, REASON, "drain") });
            }
        }
        Ok(())
    }

    /// Picks targets that move next: those that go by themselves, and those that go where their parent does. A parent that
    /// is still here goes before its children.
    fn pick(
        &self,
        world: &World<'_>,
        pod: &PodId,
        room: usize,
        begun: &Begun,
    ) -> (Vec<TargetId>, Vec<(TargetId, TargetId)>) {
        let ready = |owner: &Assignment| {
            let again = self.retries.get(&owner.target).is_none_or(|(at, _)| *at <= world.now);
            again && !begun.targets.contains(&owner.target) && movable(world, owner).is_ok()
        };
        let (mut alone, mut with_parent, mut picked) = (Vec::new(), Vec::new(), HashSet::new());
        for owner in world.model.assignments_of(pod, None) {
            if picked.len() >= room {
                break;
            }
            if picked.contains(&owner.target) || !ready(&owner) {
                continue;
            }
            let Some(parent) = &owner.parent else {
                picked.insert(owner.target.clone());
                alone.push(owner.target.clone());
                continue;
            };
            let at_home = world.model.assignment(parent).filter(|parent| parent.pod == *pod);
            if let Some(parent) = at_home.filter(ready)
                && picked.insert(parent.target.clone())
            {
                alone.push(parent.target);
            }
            picked.insert(owner.target.clone());
            with_parent.push((owner.target.clone(), parent.clone()));
        }
        (alone, with_parent)
    }

    /// Notes what a move of a drain has become.
    pub(super) fn moved(&mut self, entry: &Move, now: Mono) {
        let Some(progress) = self.pods.get_mut(&entry.from).filter(|_| entry.reason == REASON) else { return };
        match entry.state {
            MoveState::Committed => {
                progress.moved += 1;
                self.retries.remove(&entry.target);
            }
            MoveState::Aborted => {
                progress.aborted += 1;
                let tries = self.retries.get(&entry.target).map_or(0, |(_, tries)| *tries);
                let wait = RETRY * 2_u32.pow(tries.min(DOUBLINGS));
                self.retries.insert(entry.target.clone(), (now.after(wait), tries + 1));
            }
            _ => {}
        }
    }

    /// Takes a sample of the rate, and tells of pods that are drained. Called every second.
    pub(super) fn show(&mut self, model: &Model, now: Mono) {
        for (pod, progress) in &mut self.pods {
            progress.samples.push_back((now, progress.moved));
            if progress.samples.len() > WINDOW {
                progress.samples.pop_front();
            }
            let drained = is_drained(model, pod);
            if drained && !progress.told {
                tracing::info!(%pod, moved = progress.moved, aborted = progress.aborted, "a pod is drained, it is safe to remove");
            }
            progress.told = drained;
        }
    }

    /// Adds to a pod's status what is said of it, and how far its drain is.
    pub(super) fn complete(&self, status: &mut PodStatus, model: &Model) {
        let pod = &status.info.pod;
        let Some(record) = model.pod(pod) else { return };
        if !record.marks.draining {
            return;
        }
        status.state = match status.state {
            // Also one that has left: it said goodbye and is safe to remove.
            _ if is_drained(model, pod) => PodState::Drained,
            PodState::Dead => PodState::Dead,
            PodState::Ready => PodState::Draining,
            other => other,
        };
        let unknown = Progress::default();
        let progress = self.pods.get(pod).unwrap_or(&unknown);
        let (left, per_second) = (status.targets, progress.per_second());
        let eta = (per_second > 0.0 && left > 0).then(|| (left as f64 / per_second * 1_000.0) as u64);
        status.drain = Some(Drain {
            left,
            in_flight: model.moves().filter(|entry| entry.from == *pod).count() as u64,
            moved: progress.moved,
            aborted: progress.aborted,
            per_second,
            eta_ms: eta,
            waiting: progress.waiting.clone(),
        });
    }
}

/// Targets of which the pod has no data have nothing to copy and nobody to freeze: they get another owner at once, and stay
/// quarantined there.
fn empty_handed(world: &World<'_>, pod: &PodId, room: usize, destinations: &Destinations, begun: &mut Begun) {
    let quarantined =
        |owner: &Assignment| owner.state == AssignmentState::Quarantined && !begun.targets.contains(&owner.target);
    let targets = world.model.assignments_of(pod, None).filter(quarantined).take(room);
    let targets: Vec<_> = targets.map(|owner| owner.target).collect();
    for (target, to) in destinations.choose(world, &targets) {
        let Some(owner) = world.model.assignment(&target) else { continue };
        begun.writes.push(Write::Assign {
            target: target.clone(),
            parent: owner.parent,
            pod: to,
            expected: Some((owner.pod, owner.epoch)),
            reason: REASON,
            state: AssignmentState::Quarantined,
            data: owner.data,
        });
        begun.targets.insert(target);
    }
}

/// A pod holds nothing that anybody needs any more: it owns no target, each destination has said that it serves, and no target
/// that failed over waits for the data in its folder.
pub(super) fn is_drained(model: &Model, pod: &PodId) -> bool {
    let waits = |owner: &Assignment| owner.data.as_ref().is_some_and(|data| data.pod == *pod);
    model.targets_of(pod) == 0
        && !model.moves().any(|entry| entry.from == *pod || entry.to == *pod)
        && !model.quarantined(None).any(|owner| waits(&owner))
}

/// Where a channel goes: where its guild is going, or where it is already; anywhere when that takes no targets.
fn goes_with(
    world: &World<'_>,
    destinations: &Destinations,
    parent: &TargetId,
    chosen: &HashMap<TargetId, PodId>,
) -> Option<PodId> {
    let moving = || world.model.move_of(parent).map(|entry| entry.to.clone());
    let there = || world.model.owner(parent).cloned();
    let with = chosen.get(parent).cloned().or_else(moving).or_else(there).filter(|to| destinations.has(to));
    let anywhere = || destinations.choose(world, std::slice::from_ref(parent)).into_iter().next().map(|(_, to)| to);
    with.or_else(anywhere)
}
