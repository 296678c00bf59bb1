//! Decides which pod gets a new target (PLACEMENT.md, New target): weighted rendezvous hashing over the eligible pods, the
//! best three by score, then the least relatively loaded of them. Pure and synchronous: the same fleet and the same
//! targets give the same answer, in every process. Knows no clock, no database and no lease.

mod skew;

pub use skew::{EVEN, skew};

use shared::wire::control::Load;
use shared::{PodId, TargetId};
use std::collections::HashMap;

/// How many of the best-scored pods are compared by load.
const CANDIDATES: usize = 3;

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
    /// What it says it carries.
    pub load: Load,
}

impl Candidate {
    /// Returns whether it may get a target that is nobody's child: a child goes where its parent is, open or not.
    fn is_eligible(&self) -> bool {
        self.ready && self.open && self.capacity > 0.0
    }
}

/// What an ordinary pod (capacity 1.0) is meant to carry: makes the dimensions of load comparable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Targets.
    pub targets: f64,
    /// Events per second.
    pub events_per_second: f64,
    /// Bytes stored.
    pub bytes: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { targets: 20_000.0, events_per_second: 2_000.0, bytes: 10.0 * 1_073_741_824.0 }
    }
}

/// Says whether a pod whose bot's tables have schema `to` may be given the rows of a target from one that has `from`: never
/// an older schema, since rows would lose what it does not know. A bot without tables is older than any with tables.
pub fn may_receive(from: Option<u32>, to: Option<u32>) -> bool {
    to >= from
}

/// A target without a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The target.
    pub target: TargetId,
    /// The guild it belongs to.
    pub parent: Option<TargetId>,
}

/// Why a target got no home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No pod is ready and has capacity.
    #[error("no pod is ready to take a new target")]
    NoReadyPod,
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
            Self::NoReadyPod | Self::ParentNotReady => "no-ready-pod",
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

/// Says how placement sees each pod for a target without a parent, the chosen one first, then by score.
pub fn explain(fleet: &[Candidate], policy: &Policy, target: &TargetId) -> Vec<Seen> {
    let placer = Placer { fleet, policy, extra: vec![0; fleet.len()], placed: HashMap::new(), out: Vec::new() };
    let chosen = placer.best(target).ok();
    let mut seen: Vec<_> = fleet
        .iter()
        .enumerate()
        .map(|(at, pod)| Seen {
            pod: pod.pod.clone(),
            eligible: pod.is_eligible(),
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

/// Places `wanted` in order. `owner_of` says where a target is already. Nothing in `wanted` may have a home already.
pub fn place<'a>(
    fleet: &[Candidate],
    policy: &Policy,
    wanted: &[Wanted],
    owner_of: impl Fn(&TargetId) -> Option<&'a PodId>,
) -> Decisions {
    let mut placer = Placer { fleet, policy, extra: vec![0; fleet.len()], placed: HashMap::new(), out: Vec::new() };
    for want in wanted {
        placer.settle(want, &owner_of);
    }
    placer.out
}

struct Placer<'f> {
    fleet: &'f [Candidate],
    policy: &'f Policy,
    /// Targets each pod got in this batch.
    extra: Vec<u64>,
    placed: HashMap<TargetId, Result<usize, Refused>>,
    out: Decisions,
}

impl Placer<'_> {
    fn settle<'a>(&mut self, want: &Wanted, owner_of: &impl Fn(&TargetId) -> Option<&'a PodId>) {
        if self.placed.contains_key(&want.target) {
            return;
        }
        let decision = match &want.parent {
            None => self.best(&want.target),
            Some(parent) => match owner_of(parent) {
                Some(owner) => self.ready(owner).ok_or(Refused::ParentNotReady),
                None => {
                    self.settle(&Wanted { target: parent.clone(), parent: None }, owner_of);
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

    fn best(&self, target: &TargetId) -> Result<usize, Refused> {
        let eligible = self.fleet.iter().enumerate().filter(|(_, pod)| pod.is_eligible());
        let mut scored: Vec<_> = eligible.map(|(at, pod)| (score(target, &pod.pod, pod.capacity), at)).collect();
        scored.sort_by(|(a, i), (b, j)| b.total_cmp(a).then_with(|| self.fleet[*i].pod.cmp(&self.fleet[*j].pod)));
        scored.truncate(CANDIDATES);
        let least = scored.into_iter().map(|(_, at)| at).min_by(|i, j| {
            let order = self.relative_load(*i).total_cmp(&self.relative_load(*j));
            order.then_with(|| self.fleet[*i].pod.cmp(&self.fleet[*j].pod))
        });
        least.ok_or(Refused::NoReadyPod)
    }

    /// The largest of the normalised dimensions, so that neither bytes nor count nor events alone can hide an overload.
    fn relative_load(&self, at: usize) -> f64 {
        let pod = &self.fleet[at];
        let targets = (pod.targets + self.extra[at]) as f64 / self.policy.targets;
        let events = pod.load.events_per_second / self.policy.events_per_second;
        let bytes = pod.load.bytes as f64 / self.policy.bytes;
        targets.max(events).max(bytes) / pod.capacity
    }
}

/// The weighted rendezvous score `-w / ln(u)`: the pod with the highest one is the target's first choice, and a pod that
/// comes or goes changes no other pod's score.
pub fn score(target: &TargetId, pod: &PodId, weight: f64) -> f64 {
    // 53 bits, moved by a half: strictly between 0 and 1, so that the logarithm is neither zero nor infinite.
    let u = ((hash(target, pod) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / u.ln()
}

/// FNV-1a over both names, with a byte between them that neither can contain, and a final mix (SplitMix64's): FNV alone
/// leaves names that differ in their last character close together.
fn hash(target: &TargetId, pod: &PodId) -> u64 {
    let bytes = target.as_str().bytes().chain([0xFF]).chain(pod.as_str().bytes());
    let fnv = bytes
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    shared::backoff::Rng::seeded(fnv).next_u64()
}

#[cfg(test)]
mod tests;
