//! Decides which pod gets a new target (PLACEMENT.md, New target): weighted rendezvous hashing over the eligible pods, the
//! best three by score, then the least relatively loaded of them. The same fleet and the same targets give the same answer,
//! in every process. Knows nothing of targets that have a home: those are the plan's.

use super::{
    Policy, Track,
    hash::{Scores, place_of, score},
};
use shared::wire::control::{Beside, Load};
use shared::wire::discord::Shard;
use shared::{Kind, Platform, PodId, TargetId};
use std::collections::HashMap;

/// How many of the best-scored pods are compared by load.
const CANDIDATES: usize = 3;

/// Which of a pod's loads its targets are.
const TARGETS: usize = 0;

/// A pod that does or stores less than this part of what it is meant to is not too full for that.
const QUIET: f64 = 0.5;

/// A pod that may get targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub pod: PodId,
    /// Its relative capacity; 1.0 is an ordinary pod.
    pub capacity: f64,
    /// Whether its lease is being renewed.
    pub ready: bool,
    /// Whether operators let it have new targets.
    pub open: bool,
    /// Targets assigned to it, as the control plane knows.
    pub targets: u64,
    /// How many of them it was given since it said what it carries.
    pub fresh: u64,
    /// Which targets it is for.
    pub track: Track,
    /// What it says it carries.
    pub load: Load,
}

impl Candidate {
    /// Returns whether it may get a target that is nobody's child: a child goes where its parent is, open or not.
    fn is_eligible(&self) -> bool {
        self.ready && self.open && self.capacity > 0.0
    }
}

/// A target without a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The target.
    pub target: TargetId,
    /// The guild it belongs to.
    pub parent: Option<TargetId>,
    /// Where it would best be.
    pub beside: Option<Beside>,
}

impl Wanted {
    /// Makes a target that belongs to no other and may be anywhere.
    pub const fn of(target: TargetId) -> Self {
        Self { target, parent: None, beside: None }
    }
}

/// Why a target got no home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No pod is ready and has capacity.
    #[error("no pod is ready to take a new target")]
    NoReadyPod,
    /// Only pods of the canary take targets, and this one is not of the canary.
    #[error(
        "only pods of track canary take new targets, and the target is not of the canary: start a pod of track stable, or promote the canary"
    )]
    OnlyCanary,
    /// The target goes where its parent is, and that pod is not ready.
    #[error("the pod of the target's parent is not ready")]
    ParentNotReady,
    /// An operator has paused placement.
    #[error("an operator has paused placement")]
    Paused,
}

impl Refused {
    /// Returns the word for it in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoReadyPod | Self::OnlyCanary | Self::ParentNotReady => "no-ready-pod",
            Self::Paused => "placement-paused",
        }
    }
}

/// A pod as placement sees it for one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its name.
    pub pod: PodId,
    /// Whether it may get new targets.
    pub eligible: bool,
    /// Its score for the target.
    pub score: f64,
    /// The largest of its normalised loads.
    pub load: f64,
    /// Targets assigned to it.
    pub targets: u64,
    /// Whether it would be chosen.
    pub chosen: bool,
}

/// Returns the track of a target that belongs to no other: what somebody has said, else its share of the canary. The lowest
/// hashes are the canary's, so that a larger share only adds.
pub fn track_of(name: &str, said: Option<Track>, policy: &Policy) -> Track {
    let drawn = || if policy.canary > 0.0 && place_of(name) < policy.canary { Track::Canary } else { Track::Stable };
    said.unwrap_or_else(drawn)
}

/// Says how placement sees each pod for a target without a parent, the chosen one first, then by score. `said` is the track
/// that somebody has said the target is of.
pub fn explain(fleet: &[Candidate], policy: &Policy, target: &TargetId, said: Option<Track>) -> Vec<Seen> {
    let placer = Placer::new(fleet, policy);
    let (chosen, track) = (placer.best(target, said).ok(), placer.served_by(target, said));
    let mut seen: Vec<_> = fleet
        .iter()
        .enumerate()
        .map(|(at, pod)| Seen {
            pod: pod.pod.clone(),
            eligible: pod.is_eligible() && pod.track == track,
            score: score(target, &pod.pod, pod.capacity),
            load: if pod.capacity > 0.0 { placer.relative_load(at) } else { 0.0 },
            targets: pod.targets,
            chosen: chosen == Some(at),
        })
        .collect();
    seen.sort_by(|a, b| {
        let order = b.chosen.cmp(&a.chosen).then_with(|| b.eligible.cmp(&a.eligible));
        order.then_with(|| b.score.total_cmp(&a.score)).then_with(|| a.pod.cmp(&b.pod))
    });
    seen
}

/// Where each target goes. A parent that has no home itself stands before its first child: both get the same pod.
pub type Decisions = Vec<(Wanted, Result<PodId, Refused>)>;

/// Places `wanted` in order. `owner_of` says where a target is already, `said` which track somebody has said that it is of.
/// Nothing in `wanted` may have a home already.
pub fn place<'a>(
    fleet: &[Candidate],
    policy: &Policy,
    wanted: &[Wanted],
    owner_of: impl Fn(&TargetId) -> Option<&'a PodId>,
    said: impl Fn(&TargetId) -> Option<Track>,
) -> Decisions {
    let mut placer = Placer::new(fleet, policy);
    for want in wanted {
        placer.settle(want, &owner_of, &said);
    }
    placer.out
}

struct Placer<'f> {
    fleet: &'f [Candidate],
    policy: &'f Policy,
    /// Whether a pod of the canary takes targets.
    canary: bool,
    /// Targets each pod got in this batch.
    extra: Vec<u64>,
    /// What a target is expected to bring until its pod has told: the fleet's mean.
    expected: Expected,
    placed: HashMap<TargetId, Result<usize, Refused>>,
    out: Decisions,
}

impl<'f> Placer<'f> {
    fn new(fleet: &'f [Candidate], policy: &'f Policy) -> Self {
        let canary = fleet.iter().any(|pod| pod.is_eligible() && pod.track == Track::Canary);
        let expected = Expected::of(fleet);
        Self { fleet, policy, canary, extra: vec![0; fleet.len()], expected, placed: HashMap::new(), out: Vec::new() }
    }

    fn settle<'a>(
        &mut self,
        want: &Wanted,
        owner_of: &impl Fn(&TargetId) -> Option<&'a PodId>,
        said: &impl Fn(&TargetId) -> Option<Track>,
    ) {
        if self.placed.contains_key(&want.target) {
            return;
        }
        let decision = match &want.parent {
            None => self.home(want, owner_of, said(&want.target)),
            Some(parent) => match owner_of(parent) {
                Some(owner) => self.ready(owner).ok_or(Refused::ParentNotReady),
                None => {
                    self.settle(&Wanted::of(parent.clone()), owner_of, said);
                    self.placed[parent]
                }
            },
        };
        if let Ok(at) = decision {
            self.extra[at] += 1;
        }
        self.placed.insert(want.target.clone(), decision);
        self.out.push((want.clone(), decision.map(|at| self.fleet[at].pod.clone())));
    }

    fn ready(&self, pod: &PodId) -> Option<usize> {
        self.fleet.iter().position(|candidate| candidate.pod == *pod && candidate.ready)
    }

    /// The track whose pods a target goes to: what is of the canary is served by the others while none of its pods takes targets.
    fn served_by(&self, target: &TargetId, said: Option<Track>) -> Track {
        if self.canary { track_of(target.as_str(), said, self.policy) } else { Track::Stable }
    }

    /// The pod of what it would best be beside, if that one has room for it; else as if it had no wish.
    fn home<'a>(
        &self,
        want: &Wanted,
        owner_of: &impl Fn(&TargetId) -> Option<&'a PodId>,
        said: Option<Track>,
    ) -> Result<usize, Refused> {
        let wished = want.beside.as_ref().and_then(|beside| {
            let (pod, track) = (owner_of(&beside.target)?, self.served_by(&want.target, said));
            let takes = |pod: &Candidate| pod.is_eligible() && pod.track == track;
            let at = self.fleet.iter().position(|candidate| candidate.pod == *pod && takes(candidate))?;
            self.has_room(at, &takes, expected(beside)).then_some(at)
        });
        wished.map_or_else(|| self.best(&want.target, said), Ok)
    }

    /// Whether a pod of those that may take a target is not too full for one more, in each dimension. It is not when it stays so
    /// near to the mean that all others can stay within their bands (PLACEMENT.md, Rebalancing 2), or when nobody would be less
    /// full with it: so nothing that is placed here is moved for an even share. The mean of targets is that of `coming` when
    /// those are more. What pods do and store is compared only where it is much: while guilds come up it changes by the second.
    fn has_room(&self, at: usize, takes: &impl Fn(&Candidate) -> bool, coming: f64) -> bool {
        let pods: Vec<_> = (0..self.fleet.len()).filter(|pod| takes(&self.fleet[*pod])).collect();
        let capacity = |pod: usize| self.fleet[pod].capacity;
        let all: f64 = pods.iter().map(|pod| capacity(*pod)).sum();
        let smallest = pods.iter().map(|pod| capacity(*pod)).fold(f64::INFINITY, f64::min) / all;
        let play = 1.0 + self.policy.band.max(0.0) * smallest / (1.0 - smallest);
        let with = self.loads(at, 1);
        (0..with.len()).all(|d| {
            let mine = with[d] / capacity(at);
            let others = pods.iter().filter(|pod| **pod != at);
            let least = others.map(|pod| self.loads(*pod, 1)[d] / capacity(*pod)).fold(f64::INFINITY, f64::min);
            let mut sum: f64 =
                with[d] + pods.iter().filter(|pod| **pod != at).map(|pod| self.loads(*pod, 0)[d]).sum::<f64>();
            if d == TARGETS {
                sum = sum.max(coming / self.policy.targets);
            }
            let mean = sum / all;
            let high = if mean <= 1.0 { (mean * play).min(1.0) } else { mean * play };
            mine <= least || mine <= high || (d != TARGETS && mine <= QUIET)
        })
    }

    fn best(&self, target: &TargetId, said: Option<Track>) -> Result<usize, Refused> {
        let track = self.served_by(target, said);
        let eligible = self.fleet.iter().enumerate().filter(|(_, pod)| pod.is_eligible() && pod.track == track);
        let scores = Scores::of(target);
        let mut scored: Vec<_> = eligible.map(|(at, pod)| (scores.with(&pod.pod, pod.capacity), at)).collect();
        let order = |(a, i): &(f64, usize), (b, j): &(f64, usize)| {
            b.total_cmp(a).then_with(|| self.fleet[*i].pod.cmp(&self.fleet[*j].pod))
        };
        // Which are the best matters, not their order.
        if scored.len() > CANDIDATES {
            scored.select_nth_unstable_by(CANDIDATES - 1, order);
            scored.truncate(CANDIDATES);
        }
        let least = scored.into_iter().map(|(_, at)| at).min_by(|i, j| {
            let order = self.relative_load(*i).total_cmp(&self.relative_load(*j));
            order.then_with(|| self.fleet[*i].pod.cmp(&self.fleet[*j].pod))
        });
        least.ok_or(if self.canary { Refused::OnlyCanary } else { Refused::NoReadyPod })
    }

    /// The largest of the normalised dimensions, so that neither bytes nor count nor events alone can hide an overload. What a
    /// pod was given since it told its load counts too: else all that comes until it tells again went to one pod.
    fn relative_load(&self, at: usize) -> f64 {
        self.relative(at, 0)
    }

    /// The same with so many targets more.
    fn relative(&self, at: usize, more: u64) -> f64 {
        self.loads(at, more).into_iter().fold(0.0, f64::max) / self.fleet[at].capacity
    }

    /// What a pod carries with so many targets more, in what an ordinary pod is meant to carry: targets, events, bytes.
    fn loads(&self, at: usize, more: u64) -> [f64; 3] {
        let (pod, extra) = (&self.fleet[at], self.extra[at] + more);
        let fresh = (pod.fresh + extra) as f64;
        let targets = (pod.targets + extra) as f64 / self.policy.targets;
        let events = (pod.load.events_per_second + fresh * self.expected.events) / self.policy.events_per_second;
        let bytes = (pod.load.bytes as f64 + fresh * self.expected.bytes) / self.policy.bytes;
        [targets, events, bytes]
    }
}

/// How many targets there will be once all shards have as many guilds as the one that was named; none when it is no shard, or
/// has not said how many.
fn expected(beside: &Beside) -> f64 {
    let target = &beside.target;
    let is_shard = target.platform() == Platform::Discord && target.kind() == Kind::Shard;
    let shards = target.id().parse::<Shard>().ok().filter(|_| is_shard).map_or(0, |shard| shard.count);
    f64::from(shards) * beside.of as f64
}

/// What a target brings in the mean, over all that pods have told.
#[derive(Debug, Clone, Copy)]
struct Expected {
    events: f64,
    bytes: f64,
}

impl Expected {
    fn of(fleet: &[Candidate]) -> Self {
        let told = |pod: &&Candidate| pod.targets > pod.fresh;
        let sum = |of: fn(&Candidate) -> f64| fleet.iter().filter(told).map(of).sum::<f64>();
        let targets = sum(|pod| (pod.targets - pod.fresh) as f64).max(1.0);
        Self {
            events: sum(|pod| pod.load.events_per_second) / targets,
            bytes: sum(|pod| pod.load.bytes as f64) / targets,
        }
    }
}

#[cfg(test)]
mod tests;
