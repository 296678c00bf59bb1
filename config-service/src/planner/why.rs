//! Says of any target and every pod what each decider thinks of the two (PLACEMENT.md, Explain). A decider is one value of
//! [`Decider`]; its sentences and its remedy are arms of a `match`: one without them does not compile.

use super::{
    Phase, Plan, Policy, Reason, Snapshot, Track, forced, hash::score, snapshot::NONE, state::State, world::World,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{PodId, TargetId};

/// Who has a say in whether a target may be on a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// Whether it is there already.
    Here,
    /// What the pod is doing.
    Phase,
    /// Whether operators let the pod have targets.
    Cordon,
    /// The StatefulSet's range.
    Range,
    /// The track.
    Track,
    /// The zone that the target may only be in.
    Zone,
    /// The pin.
    Pin,
    /// The schema of the bot's own tables.
    Schema,
    /// The guild, or the group.
    Family,
    /// A move that is under way.
    Moving,
    /// The cooldown after a move.
    Cooldown,
    /// The flap guard.
    Frozen,
    /// What the pod is meant to carry.
    Room,
    /// The band around the mean.
    Band,
}

/// All deciders, in the order in which they are shown.
const ALL: [Decider; 14] = [
    Decider::Here,
    Decider::Phase,
    Decider::Cordon,
    Decider::Range,
    Decider::Track,
    Decider::Zone,
    Decider::Pin,
    Decider::Schema,
    Decider::Family,
    Decider::Moving,
    Decider::Cooldown,
    Decider::Frozen,
    Decider::Room,
    Decider::Band,
];

/// What a decider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It has nothing against it.
    Yes,
    /// Not now: it passes by itself, or gives way to what has to be.
    Throttle,
    /// It may not be.
    No,
}

impl Decider {
    /// Returns what it says, as a sentence about the target and the pod.
    pub const fn sentence(self, answer: Answer) -> &'static str {
        use Answer::{No, Throttle, Yes};
        match (self, answer) {
            (Decider::Here, Yes) => "the target is elsewhere",
            (Decider::Here, Throttle | No) => "the target is on this pod",
            (Decider::Phase, Yes) => "the pod is ready",
            (Decider::Phase, Throttle) => "the pod is joining, or has missed heartbeats",
            (Decider::Phase, No) => "the pod is gone, or everything is to leave it",
            (Decider::Cordon, Yes) => "the pod is not cordoned",
            (Decider::Cordon, Throttle | No) => "the pod is cordoned",
            (Decider::Range, Yes) => "the pod's ordinal is inside the StatefulSet's range",
            (Decider::Range, Throttle | No) => "the pod's ordinal is outside the StatefulSet's range",
            (Decider::Track, Yes) => "the pod is of the target's track",
            (Decider::Track, Throttle | No) => "the pod is of the other track",
            (Decider::Zone, Yes) => "the pod is in a zone where the target may be",
            (Decider::Zone, Throttle | No) => "the target may only be in another zone",
            (Decider::Pin, Yes) => "no pin is against it",
            (Decider::Pin, Throttle) => {
                "the target is pinned to a pod that takes no targets now: only what must be moves it"
            }
            (Decider::Pin, No) => "the target is pinned to another pod",
            (Decider::Schema, Yes) => "the pod's bot knows the tables that the target's rows are in",
            (Decider::Schema, Throttle | No) => "the pod's bot has an older schema than the target's rows",
            (Decider::Family, Yes) => "those that the target belongs to may be there too",
            (Decider::Family, Throttle | No) => "the target stays with its guild or group, and that may not be there",
            (Decider::Moving, Yes) => "no move of the target is under way",
            (Decider::Moving, Throttle | No) => "a move of the target is under way",
            (Decider::Cooldown, Yes) => "the target has not moved lately",
            (Decider::Cooldown, Throttle | No) => {
                "the target has moved lately and cools down: only what must be moves it"
            }
            (Decider::Frozen, Yes) => "the target has not moved too often",
            (Decider::Frozen, Throttle | No) => {
                "the target has moved too often in a row and is frozen: only what must be moves it"
            }
            (Decider::Room, Yes) => "the pod would not carry more than it is meant to",
            (Decider::Room, Throttle) => "the pod would carry more than it is meant to: only what must be goes there",
            (Decider::Room, No) => "the pod has no capacity",
            (Decider::Band, Yes) => "the pod would stay within its band",
            (Decider::Band, Throttle | No) => "the pod would be above its band: only what must be goes there",
        }
    }

    /// Returns what an operator can do about it, where there is something.
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Decider::Here | Decider::Family => None,
            Decider::Phase => Some("see what the pod is doing: berth pod get; a drain is ended by berth pod undrain"),
            Decider::Cordon => Some("berth pod uncordon"),
            Decider::Range => Some("scale up: berth scale to"),
            Decider::Track => Some("change the canary's share, or give the target another track"),
            Decider::Zone => Some("start pods in that zone, or let the target prefer it only"),
            Decider::Pin => Some("berth target unpin"),
            Decider::Schema => Some("update the pod's bot"),
            Decider::Moving => Some("wait for it, or berth move cancel"),
            Decider::Cooldown => Some("wait, or move it by hand: berth target move"),
            Decider::Frozen => Some("find out what moves it; a move by hand still works: berth target move"),
            Decider::Room => Some("more pods, or a larger --pod-targets, --pod-events, --pod-bytes"),
            Decider::Band => Some("none is needed: the pod has its share"),
        }
    }
}

/// What one decider says of a target and a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Who.
    pub decider: Decider,
    /// What.
    pub answer: Answer,
    /// The same in words.
    pub sentence: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A pod as the planner sees it for one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Considered {
    /// The pod.
    pub pod: PodId,
    /// Its rendezvous score for the target: what first contacts are ranked by.
    pub score: f64,
    /// Its load; 1.0 is what it is meant to carry.
    pub load: f64,
    /// The worst of all answers.
    pub answer: Answer,
    /// What each decider says.
    pub verdicts: Vec<Verdict>,
}

/// A target as the planner sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consideration {
    /// Where it is.
    pub owner: Option<PodId>,
    /// Where it should be: where a plan takes it, else where it is.
    pub desired: Option<PodId>,
    /// Why it cannot stay, or why the plan moves it.
    pub reason: Option<Reason>,
    /// Every pod: those without objection first, then by load.
    pub pods: Vec<Considered>,
}

/// Says how the planner sees a target and every pod, with a plan that was made from the same snapshot if there is one. None when
/// the snapshot does not have the target. It goes through the whole snapshot once, as a plan does.
pub fn consider(
    snapshot: &Snapshot,
    policy: &Policy,
    now_ms: u64,
    target: &TargetId,
    plan: Option<&Plan>,
) -> Option<Consideration> {
    let at = snapshot.target(target)?;
    let view = &snapshot.targets()[at];
    let world = World::of(snapshot, policy, now_ms);
    let mut state = State::of(&world);
    state.set_bands(&[]);
    let unit = world.units.unit_of(at);
    let owner = snapshot.owner_of(view).cloned();
    let step = plan.and_then(|plan| plan.moves.iter().find(|step| step.target == *target));
    let reason = step.map(|step| step.reason).or_else(|| forced::reason(&world, unit));
    let desired = step.map(|step| step.to.clone()).or_else(|| owner.clone());
    let subject = Subject { snapshot, policy, now_ms, world: &world, state: &state, unit, at };
    let mut pods: Vec<_> = (0..snapshot.pods().len()).map(|pod| subject.consider(pod, target)).collect();
    pods.sort_by(|a, b| {
        let order = a.answer.cmp(&b.answer).then_with(|| a.load.total_cmp(&b.load));
        order.then_with(|| a.pod.cmp(&b.pod))
    });
    Some(Consideration { owner, desired, reason, pods })
}

struct Subject<'c, 's> {
    snapshot: &'s Snapshot,
    policy: &'s Policy,
    now_ms: u64,
    world: &'c World<'s>,
    state: &'c State<'c, 's>,
    unit: usize,
    at: usize,
}

impl Subject<'_, '_> {
    fn consider(&self, pod: usize, target: &TargetId) -> Considered {
        let view = &self.snapshot.pods()[pod];
        let verdicts: Vec<_> = ALL
            .into_iter()
            .map(|decider| {
                let answer = self.ask(decider, pod);
                let remedy = decider.remedy().filter(|_| answer != Answer::Yes).map(str::to_owned);
                Verdict { decider, answer, sentence: decider.sentence(answer).to_owned(), remedy }
            })
            .collect();
        Considered {
            pod: view.pod.clone(),
            score: score(target, &view.pod, view.capacity),
            load: self.state.load(pod),
            answer: verdicts.iter().map(|verdict| verdict.answer).max().unwrap_or(Answer::Yes),
            verdicts,
        }
    }

    fn ask(&self, decider: Decider, pod: usize) -> Answer {
        let (world, view) = (self.world, &self.snapshot.pods()[pod]);
        let rules = self.snapshot.targets()[self.at].rules.as_deref();
        let no = |against: bool| if against { Answer::No } else { Answer::Yes };
        let throttle = |against: bool| if against { Answer::Throttle } else { Answer::Yes };
        let here = self.snapshot.targets()[self.at].owner() == Some(pod);
        let wish = world.units.wish(self.unit);
        let weight = world.weight(self.unit);
        let load = if self.state.at[self.unit] as usize == pod {
            self.state.load(pod)
        } else {
            self.state.load_with(pod, &weight, 1.0)
        };
        match decider {
            Decider::Here => no(here),
            Decider::Phase => match view.phase {
                Phase::Ready => Answer::Yes,
                Phase::Joining | Phase::Suspect => Answer::Throttle,
                Phase::Draining | Phase::Drained | Phase::Dead | Phase::Retired => Answer::No,
            },
            Decider::Cordon => no(view.cordoned),
            Decider::Range => no(!view.in_range),
            Decider::Track => {
                let track = wish.map_or(Track::Stable, |wish| wish.track);
                no(view.track != track && (track == Track::Stable || world.canary))
            }
            Decider::Zone => no(wish.is_some_and(|wish| wish.zone_hard && wish.zone != world.pods[pod].zone)),
            Decider::Pin if world.pin_allows(self.unit, pod) => {
                throttle(wish.is_some_and(|wish| wish.pin != NONE && wish.pin as usize != pod))
            }
            Decider::Pin => Answer::No,
            Decider::Schema => no(!world.schema_allows(self.unit, pod)),
            Decider::Family => {
                let alone = world.units.targets(self.unit).count() == 1;
                no(!alone && !world.suits(self.unit, pod))
            }
            Decider::Moving => throttle(rules.is_some_and(|rules| rules.moving)),
            Decider::Cooldown => {
                let moved = rules.and_then(|rules| rules.moved);
                throttle(
                    moved.is_some_and(|moved| !moved.is_frozen(self.policy) && moved.holds(self.policy, self.now_ms)),
                )
            }
            Decider::Frozen => {
                throttle(rules.and_then(|rules| rules.moved).is_some_and(|moved| moved.is_frozen(self.policy)))
            }
            Decider::Room if world.pods[pod].capacity <= 0.0 => Answer::No,
            Decider::Room => throttle(load > 1.0),
            Decider::Band => throttle(!self.state.fits(pod, load)),
        }
    }
}
