//! What a plan is made from: pods and targets as they are at one revision, dense and in order, so that a million targets are
//! gone through in milliseconds. Whoever asks for a plan fills it; nothing in here decides.

use super::{Moved, Plan, Policy, Weight};
use serde::{Deserialize, Serialize};
use shared::{PodId, Revision, TargetId, wire::control::Track};

/// Stands for no pod and no target.
pub(super) const NONE: u32 = u32::MAX;

/// What a pod is doing (PLACEMENT.md, Inputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Registered and not granted yet, or back soon: its targets wait for it.
    Joining,
    /// Its lease is being renewed.
    #[default]
    Ready,
    /// It has missed heartbeats; its targets wait for it.
    Suspect,
    /// Everything is to leave it.
    Draining,
    /// Everything has left it.
    Drained,
    /// It was failed over.
    Dead,
    /// It is not to come back.
    Retired,
}

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodView {
    /// Its name; the number at its end is its ordinal.
    pub pod: PodId,
    /// Its relative capacity; 1.0 is an ordinary pod.
    pub capacity: f64,
    /// Where it is.
    pub zone: Option<String>,
    /// Which targets it is for.
    pub track: Track,
    /// What it is doing.
    pub phase: Phase,
    /// It gets no targets; what it has stays.
    pub cordoned: bool,
    /// Its ordinal is inside the StatefulSet's range. True when nobody has said otherwise.
    pub in_range: bool,
    /// The schema of its bot's own tables: `Some(None)` when there are none; none when it has not said, which counts as that.
    pub schema: Option<Option<u32>>,
}

impl PodView {
    /// Makes an ordinary pod that is ready.
    pub fn ready(pod: PodId) -> Self {
        Self {
            pod,
            capacity: 1.0,
            zone: None,
            track: Track::Stable,
            phase: Phase::Ready,
            cordoned: false,
            in_range: true,
            schema: None,
        }
    }
}

/// What is asked for a target beyond its weight. Most have nothing of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Whom it belongs to.
    pub group: Option<Group>,
    /// Where it is to be.
    pub zone: Option<ZoneRule>,
    /// On which pod it is to be.
    pub pin: Option<Pin>,
    /// Its track, if somebody has said; else its share of the canary decides.
    pub track: Option<Track>,
    /// When it was moved last.
    pub moved: Option<Moved>,
    /// A move of it is under way; then its owner here is the destination.
    pub moving: bool,
}

/// An affinity group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// All of it is on one pod, always; else that is only wished for.
    pub whole: bool,
}

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRule {
    /// Its name.
    pub zone: String,
    /// It may be nowhere else; else that is only wished for.
    pub hard: bool,
}

/// A pin: the operator's word that a target stays on a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The pod.
    pub pod: PodId,
    /// When it ends, in milliseconds since 1970.
    pub until_ms: Option<u64>,
}

impl Pin {
    /// Returns whether it is in force.
    pub fn holds(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < until)
    }
}

/// A target, to be put into a [`Builder`].
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The target.
    pub target: TargetId,
    /// Its guild, unless it is split off: they stay together. One that is not in the snapshot does not count.
    pub parent: Option<TargetId>,
    /// Its owner, as [`Builder::pod`] numbers pods.
    pub owner: Option<u32>,
    /// What it weighs.
    pub weight: Weight,
    /// What else is asked for it.
    pub rules: Option<Box<Rules>>,
}

/// A target, as the planner has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetView {
    /// The target.
    pub target: TargetId,
    /// What it weighs.
    pub weight: Weight,
    pub(super) owner: u32,
    pub(super) parent: u32,
    /// What else is asked for it.
    pub rules: Option<Box<Rules>>,
}

impl TargetView {
    /// Returns its owner's place among [`Snapshot::pods`].
    pub fn owner(&self) -> Option<usize> {
        (self.owner != NONE).then_some(self.owner as usize)
    }
}

/// Pods and targets at one revision, both by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    pods: Vec<PodView>,
    targets: Vec<TargetView>,
}

impl Snapshot {
    /// Begins a snapshot of these pods, of which there may be `targets` targets.
    pub fn of(revision: Revision, mut pods: Vec<PodView>, targets: usize) -> Builder {
        pods.sort_by(|a, b| a.pod.cmp(&b.pod));
        pods.dedup_by(|a, b| a.pod == b.pod);
        Builder { snapshot: Self { revision, pods, targets: Vec::with_capacity(targets) }, parents: Vec::new() }
    }

    /// Returns all pods, by name.
    pub fn pods(&self) -> &[PodView] {
        &self.pods
    }

    /// Returns all targets, by name.
    pub fn targets(&self) -> &[TargetView] {
        &self.targets
    }

    /// Returns a pod's place among the pods.
    pub fn pod(&self, pod: &PodId) -> Option<usize> {
        self.pods.binary_search_by(|view| view.pod.cmp(pod)).ok()
    }

    /// Returns a target's place among the targets.
    pub fn target(&self, target: &TargetId) -> Option<usize> {
        self.targets.binary_search_by(|view| view.target.cmp(target)).ok()
    }

    /// Returns the name of a target's owner.
    pub fn owner_of(&self, target: &TargetView) -> Option<&PodId> {
        target.owner().map(|at| &self.pods[at].pod)
    }

    /// Returns the place of a target's guild among the targets.
    pub fn parent_of(&self, target: &TargetView) -> Option<usize> {
        (target.parent != NONE).then_some(target.parent as usize)
    }

    /// Returns a pod, to be changed in anything but its name.
    pub fn pod_mut(&mut self, at: usize) -> &mut PodView {
        &mut self.pods[at]
    }

    /// Changes what a target weighs.
    pub fn weigh(&mut self, at: usize, weight: Weight) {
        self.targets[at].weight = weight;
    }

    /// Changes what is asked for a target.
    pub fn rules_mut(&mut self, at: usize) -> &mut Rules {
        self.targets[at].rules.get_or_insert_default()
    }

    /// Gives a target to a pod, as a move at `now_ms` does: from then on it cools down.
    pub fn give(&mut self, at: usize, pod: usize, policy: &Policy, now_ms: u64) {
        let target = &mut self.targets[at];
        target.owner = u32::try_from(pod).unwrap_or(NONE);
        let rules = target.rules.get_or_insert_default();
        rules.moved = Some(Moved::again(rules.moved, policy, now_ms));
    }

    /// Does everything that a plan says, at once.
    #[must_use]
    pub fn after(&self, plan: &Plan, policy: &Policy, now_ms: u64) -> Self {
        let mut after = self.clone();
        for step in &plan.moves {
            if let (Some(at), Some(pod)) = (after.target(&step.target), after.pod(&step.to)) {
                after.give(at, pod, policy, now_ms);
            }
        }
        after
    }
}

/// A snapshot that is being filled.
#[derive(Debug)]
pub struct Builder {
    snapshot: Snapshot,
    parents: Vec<(TargetId, TargetId)>,
}

impl Builder {
    /// Returns a pod's number.
    pub fn pod(&self, pod: &PodId) -> Option<u32> {
        self.snapshot.pod(pod).and_then(|at| u32::try_from(at).ok())
    }

    /// Adds a target. In the order of their names is fastest; any will do. Of two with one name the first counts.
    pub fn add(&mut self, entry: Entry) {
        let owner = entry.owner.filter(|at| (*at as usize) < self.snapshot.pods.len()).unwrap_or(NONE);
        if let Some(parent) = entry.parent {
            self.parents.push((entry.target.clone(), parent));
        }
        let Entry { target, weight, rules, .. } = entry;
        self.snapshot.targets.push(TargetView { target, weight, owner, parent: NONE, rules });
    }

    /// Returns the snapshot.
    pub fn finish(self) -> Snapshot {
        let Self { mut snapshot, parents } = self;
        let targets = &mut snapshot.targets;
        if !targets.is_sorted_by(|a, b| a.target < b.target) {
            targets.sort_by(|a, b| a.target.cmp(&b.target));
            targets.dedup_by(|later, first| later.target == first.target);
        }
        for (child, parent) in parents {
            if let (Some(child), Some(parent)) = (snapshot.target(&child), snapshot.target(&parent)) {
                snapshot.targets[child].parent = u32::try_from(parent).unwrap_or(NONE);
            }
        }
        snapshot
    }
}
