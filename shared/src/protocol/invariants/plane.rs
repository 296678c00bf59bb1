//! What the control plane and the routers owe (I7 to I11). Which pods are well, and whether the control plane works, is
//! the observer's word, not the protocol's.

use super::owners::Owners;
use super::{Invariant, Say, What};
use crate::wire::peers::Mark;
use crate::{LeaseId, Mono, PodId, TargetId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// The bounds of the invariants that have some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// I7: how long a target may stay with a pod that is gone.
    pub left: Duration,
    /// I7: how much longer for each pod that is gone, after most were silent at once.
    pub pacing: Duration,
    /// I9, I8: how long a pod counts as well after its fault began, and must be well before it counts.
    pub settle: Duration,
    /// I10: unforced moves in any minute.
    pub moves_per_minute: usize,
    /// I10: least time between two unforced moves of one target.
    pub cooldown: Duration,
    /// I11: processes that a request may pass.
    pub hops: u32,
    /// I11: requests that may wait in one router.
    pub parked: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            left: Duration::from_secs(30),
            pacing: Duration::from_secs(60),
            settle: Duration::from_secs(10),
            moves_per_minute: 60,
            cooldown: Duration::from_secs(60),
            hops: 3,
            parked: 10_000,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Since {
    yes: bool,
    since: Mono,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    bounds: Bounds,
    pods: BTreeMap<PodId, Since>,
    reached: BTreeMap<PodId, Since>,
    /// When the leader last heard from each.
    heard: BTreeMap<PodId, Mono>,
    /// Which lease of whom each witness said last that it has fenced.
    fenced: BTreeMap<(PodId, PodId), LeaseId>,
    /// Failed over, and not back yet: nobody's witness.
    dead: BTreeSet<PodId>,
    works: Option<Since>,
    leases: BTreeMap<PodId, Mono>,
    unforced: Vec<Mono>,
    moved: HashMap<TargetId, Mono>,
    told: BTreeMap<PodId, Mono>,
    mass_silence: Option<Mono>,
}

impl Plane {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    pub(super) fn handle(&mut self, at: Mono, what: &What, owners: &Owners, say: &mut Say<'_>) {
        match what {
            What::Well { pod, yes } => {
                turn(self.pods.entry(pod.clone()), at, *yes);
                let gone = self.pods.values().filter(|pod| !pod.yes).count();
                if gone * 2 > self.pods.len() {
                    self.mass_silence = Some(at);
                }
            }
            What::Reached { pod, yes } => turn(self.reached.entry(pod.clone()), at, *yes),
            What::Heard { pod } => {
                self.heard.insert(pod.clone(), at);
            }
            What::Fenced { by, mark } => {
                self.heard.insert(by.clone(), at);
                self.fenced.insert((by.clone(), mark.pod.clone()), mark.lease_id);
            }
            What::Plane { yes } if self.works.is_none_or(|works| works.yes != *yes) => {
                self.works = Some(Since { yes: *yes, since: at });
            }
            What::Held { pod, until } => {
                self.leases.insert(pod.clone(), *until);
                self.dead.remove(pod);
            }
            What::Stopped { pod } | What::Restarted { pod } => {
                self.leases.remove(pod);
            }
            What::Buried { mark, proven } => {
                if !proven {
                    self.buried(at, mark, say);
                }
                self.dead.insert(mark.pod.clone());
            }
            What::Returned { pod } => {
                self.dead.remove(pod);
            }
            What::MoveBegan { target, forced: false } => self.moved(at, target, say),
            What::Answered { target, pod, epoch, hops } => {
                if owners.issued_to(target, *epoch) != Some(pod) {
                    say(
                        Invariant::AnsweredByOwner,
                        format!("{pod} answered for {target} under epoch {epoch}, which is not its own"),
                    );
                }
                if *hops > self.bounds.hops {
                    say(Invariant::AnsweredByOwner, format!("a request for {target} took {hops} hops"));
                }
            }
            What::Parked { requests } if *requests > self.bounds.parked => {
                say(Invariant::AnsweredByOwner, format!("{requests} requests are parked in one router"));
            }
            What::Tick => {
                self.left(at, owners, say);
                self.alone(at, say);
            }
            _ => {}
        }
    }

    /// I7: the owner is gone, somebody could take over, nobody does.
    fn left(&mut self, at: Mono, owners: &Owners, say: &mut Say<'_>) {
        let Some(works) = self.works.filter(|works| works.yes) else { return };
        let well = self.pods.values().filter(|pod| pod.yes).count();
        // The witnesses of a pod are all others; more than half of them are needed.
        if well < (self.pods.len() - 1) / 2 + 1 {
            return;
        }
        let well_since = self.pods.values().filter(|pod| pod.yes).map(|pod| pod.since).max().unwrap_or_default();
        let paced = self.mass_silence.is_some_and(|since| at.since(since) < self.bounds.pacing * 4);
        let pacing = if paced { self.bounds.pacing * self.pods.len() as u32 } else { Duration::ZERO };
        for (pod, targets) in owners.burden() {
            let stands = self.reached.get(pod).or_else(|| self.pods.get(pod));
            let Some(gone) = stands.filter(|pod| !pod.yes) else { continue };
            let since = gone.since.max(works.since).max(well_since);
            if at.since(since) > self.bounds.left + pacing && self.told.get(pod) != Some(&gone.since) {
                self.told.insert(pod.clone(), gone.since);
                let seconds = at.since(since).as_secs();
                say(
                    Invariant::NobodyLeft,
                    format!("{pod} could be failed over for {seconds} s and still has {targets} targets"),
                );
            }
        }
    }

    /// I8: without a control plane a healthy pod that had a lease has one still.
    fn alone(&mut self, at: Mono, say: &mut Say<'_>) {
        let Some(works) = self.works.filter(|works| !works.yes) else { return };
        let over: Vec<_> = self.leases.iter().filter(|(_, until)| **until <= at).map(|(pod, _)| pod.clone()).collect();
        for pod in over {
            let since = works.since.before(self.bounds.settle);
            let all_well = self.pods.values().all(|pod| pod.yes && pod.since <= since);
            if all_well && self.leases.remove(&pod).is_some_and(|until| until > works.since) {
                say(Invariant::ServesAlone, format!("{pod} is well and let its lease end without a control plane"));
            }
        }
    }

    /// I9: whoever concludes death from silence has heard from more than half of the others lately. One that has fenced the
    /// lease counts while it is heard, though nothing reaches it any more, or it was failed over itself since.
    fn buried(&self, at: Mono, mark: &Mark, say: &mut Say<'_>) {
        let Mark { pod: buried, lease_id } = mark;
        let lately = |pod: &Since| pod.yes || at.since(pod.since) <= self.bounds.settle;
        let spoke = |name: &PodId| self.heard.get(name).is_some_and(|heard| at.since(*heard) <= self.bounds.settle);
        let fenced = |name: &PodId| self.fenced.get(&(name.clone(), buried.clone())).is_some_and(|to| to >= lease_id);
        let agrees = |name: &PodId| fenced(name) && spoke(name);
        let counts = |name: &PodId| name != buried && (!self.dead.contains(name) || agrees(name));
        let others = || self.pods.iter().filter(|(name, _)| counts(name));
        let reached = |name: &PodId, pod: &Since| lately(pod) || self.reached.get(name).is_some_and(lately);
        let heard = others().filter(|(name, pod)| reached(name, pod) || agrees(name)).count();
        let quorum = others().count() / 2 + 1;
        if heard < quorum {
            say(
                Invariant::NoMassFailover,
                format!("{buried} was failed over while {heard} other pods could be reached, {quorum} are needed"),
            );
        }
    }

    /// I10.
    fn moved(&mut self, at: Mono, target: &TargetId, say: &mut Say<'_>) {
        if let Some(last) = self.moved.insert(target.clone(), at).filter(|last| at.since(*last) < self.bounds.cooldown)
        {
            let seconds = at.since(last).as_secs();
            say(Invariant::MovesBounded, format!("{target} moves again after {seconds} s, unforced"));
        }
        self.unforced.retain(|began| at.since(*began) < Duration::from_secs(60));
        self.unforced.push(at);
        if self.unforced.len() > self.bounds.moves_per_minute {
            say(Invariant::MovesBounded, format!("{} unforced moves in a minute", self.unforced.len()));
        }
    }
}

fn turn(entry: std::collections::btree_map::Entry<'_, PodId, Since>, at: Mono, yes: bool) {
    let state = entry.or_insert(Since { yes, since: at });
    if state.yes != yes {
        *state = Since { yes, since: at };
    }
}
