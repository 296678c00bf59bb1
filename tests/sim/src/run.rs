//! One run: a seed goes in, what it broke comes out.

use crate::agenda::SECOND;
use crate::disk::Held;
use crate::history::History;
use crate::network::{PODS, ROUTERS};
use crate::pod::number;
use crate::profile::{Day, Profile};
use crate::world::World;
use shared::plant::{self, Bug};
use shared::protocol::invariants::{Bounds, Checker, Invariant, Owned, View, Violation, disagreements};
use shared::wire::control::{Assignment, AssignmentState};
use shared::wire::handoff::{Move, MoveState};
use shared::{Mono, TargetId};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a run is made with, beside its seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Print everything that happens.
    pub trace: bool,
    /// A bug to be found.
    pub bug: Option<Bug>,
    /// What kind of day it is.
    pub day: Day,
}

/// What became of a run.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What kind of day it was.
    pub day: Day,
    /// What was broken, in order; nothing in a good run.
    pub broken: Vec<Violation>,
    /// Simulated seconds.
    pub seconds: u64,
    /// Things that happened.
    pub steps: u64,
    /// Faults.
    pub faults: u64,
    /// Events that platforms sent, and those that were acknowledged.
    pub events: (u64, u64),
    /// Owners that were replaced since the control plane was last gone altogether, or at all when it never was.
    pub replaced: u64,
    /// The longest that an event of a known target waited for its acknowledgement, of those sent since the control plane last went.
    pub longest_wait: Duration,
    /// How long after the database last came back every pod had been granted its lease again.
    pub all_granted_after: Option<Duration>,
    /// The same for the same seed, however often it is run.
    pub hash: u64,
}

/// Runs a seed until something is broken, or to its end.
pub fn run(seed: u64, options: Options) -> Report {
    plant::plant(options.bug);
    let profile = Profile::draw(seed, options.day);
    if options.trace {
        println!("{profile:#?}");
    }
    let mut checker = Checker::new(Bounds::default());
    if profile.wild {
        // What rests on clocks says nothing about clocks that break their promise.
        for invariant in [Invariant::OneOwner, Invariant::ServesAlone, Invariant::NoMassFailover] {
            checker.ignore(invariant);
        }
    }
    let mut world = World::new(seed, profile, History::new(checker, options.trace));
    world.begin();
    while world.history.broken.is_empty() && world.step() {}
    if world.history.broken.is_empty() {
        world.judge();
    }
    plant::plant(None);
    Report {
        seed,
        day: options.day,
        seconds: world.now / SECOND,
        steps: world.agenda.steps(),
        faults: world.faults.count,
        events: (world.platform.sent, world.history.checker().acknowledged()),
        replaced: world.measures.replaced,
        longest_wait: world.measures.longest_wait(),
        all_granted_after: world.measures.all_granted_after(),
        hash: world.history.hash(),
        broken: std::mem::take(&mut world.history.broken),
    }
}

impl World {
    /// The end: everybody agrees, nothing is under way, nothing acknowledged is missing (I2, I3, I12).
    fn judge(&mut self) {
        let at = Mono::from_nanos(self.now);
        let truth = self.database.truth();
        let owned = |target: &shared::TargetId, pod: &shared::PodId, epoch| Owned {
            target: target.clone(),
            pod: pod.clone(),
            epoch,
        };
        let all: Vec<_> = truth.assignments.told().map(|entry| owned(&entry.target, &entry.pod, entry.epoch)).collect();
        let mut broken = disagreements(at, &all, &[], &self.views());
        let mut say = |detail: String| broken.push(Violation { invariant: Invariant::Converges, at, detail });
        for entry in truth.assignments.told().filter(|entry| entry.state == AssignmentState::Quarantined) {
            say(format!("{} is quarantined although every pod is back", entry.target));
        }
        for (event, target) in self.platform.unacknowledged.iter().take(3) {
            say(format!("event {event} of target {target} was never acknowledged"));
        }
        // One that is committed, and whose target has gone on since, waits for a destination that will never serve it.
        // It may have come back to that pod: the commit's own change of the owner is the one behind the move's.
        let owner = |target: &TargetId| truth.assignments.get(target).map(|held| held.told());
        let is_since = |owner: &Assignment, entry: &Move| owner.revision.0 > entry.revision.0 + 1;
        // What the destination had is served elsewhere: then the move is over.
        let is_outlived = |owner: &Assignment, entry: &Move| {
            owner.pod != entry.to && owner.data.as_ref().is_some_and(|copy| copy.epoch > entry.epoch)
        };
        let gone_on = |entry: &Move| {
            owner(&entry.target).is_none_or(|owner| is_since(&owner, entry) && !is_outlived(&owner, entry))
        };
        let stranded = |entry: &&Move| entry.state == MoveState::Committed && gone_on(entry);
        let gone: BTreeSet<_> = truth.moves.iter().filter(stranded).map(|entry| self.index(&entry.target)).collect();
        for entry in truth.moves.iter().filter(|entry| !stranded(entry)) {
            say(format!("move {} of {} is {} still", entry.id, entry.target, entry.state.as_str()));
        }
        for n in 0..PODS {
            if let Some(target) = self.pod_moving(n).difference(&gone).next() {
                say(format!("gateway-{n} is still moving target {target}"));
            }
        }
        for n in (0..PODS).filter(|n| self.operator_wants_empty(*n)) {
            let left = truth.assignments.iter().filter(|held| number(held.pod()) == n).count();
            if left > 0 {
                say(format!("gateway-{n} is to be drained and has {left} targets still"));
            }
        }
        for entry in truth.assignments.told() {
            let target = self.index(&entry.target);
            let rows = self.pods.get(usize::from(number(&entry.pod))).map(|pod| &pod.disk.data.rows);
            let row = rows.and_then(|rows| rows.get(&target)).filter(|row| row.held == Held::Owned);
            let times = |event: u64| row.map_or(0, |row| row.times(event));
            broken.extend(self.history.checker().holds(at, &entry.target, times));
        }
        self.history.broken.extend(broken);
    }

    fn views(&self) -> Vec<View> {
        let pods = self.pods.iter().filter_map(|pod| {
            let process = pod.process.as_ref()?;
            let targets = process.ownership.targets().into_iter();
            let owned = targets.map(|(target, epoch)| Owned { target, pod: pod.id.clone(), epoch }).collect();
            Some(View { name: pod.id.to_string(), owned, serves: true })
        });
        let routers = (0..ROUTERS).map(|n| {
            let routes = self.routers[usize::from(n)].table.routes();
            let mut owned: Vec<_> = routes
                .map(|(target, route)| Owned { target: target.clone(), pod: route.pod.clone(), epoch: route.epoch })
                .collect();
            owned.sort_by(|a, b| a.target.cmp(&b.target));
            View { name: format!("router-{n}"), owned, serves: false }
        });
        pods.chain(routers).collect()
    }
}
