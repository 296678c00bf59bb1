//! Looks a plan over before it is carried out, and refuses one that breaks an invariant. It shares no code with the planner
//! but names and hashes: it counts by names, slowly and plainly, so that the same mistake is not made twice.

use super::{Phase, Plan, PlannedMove, PodView, Policy, Rank, Snapshot, TargetView, Track, hash::place_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet};

mod family;

use family::Families;

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// It would be on two pods.
    #[error("{target} is moved twice")]
    Twice {
        /// The target.
        target: TargetId,
    },
    /// There is no such target, or it is elsewhere, or there already.
    #[error("{target} is not where the plan takes it from, or is there already")]
    NotThere {
        /// The target.
        target: TargetId,
    },
    /// The destination takes no targets.
    #[error("{target} would go to {pod}, which takes no targets")]
    Closed {
        /// The target.
        target: TargetId,
        /// The destination.
        pod: PodId,
    },
    /// It is pinned, and not to the destination.
    #[error("{target} is pinned, and would be moved")]
    Pinned {
        /// The target.
        target: TargetId,
    },
    /// It cools down, is frozen or is moving, and nothing forces it to move.
    #[error("{target} has been moved just now, and would be moved again for balance")]
    Held {
        /// The target.
        target: TargetId,
    },
    /// The destination's bot has an older schema.
    #[error("{target} would go to {pod}, whose bot has an older schema")]
    OlderSchema {
        /// The target.
        target: TargetId,
        /// The destination.
        pod: PodId,
    },
    /// The destination is in a zone where it may not be.
    #[error("{target} would go to {pod}, in a zone where it may not be")]
    WrongZone {
        /// The target.
        target: TargetId,
        /// The destination.
        pod: PodId,
    },
    /// The destination is of the other track.
    #[error("{target} would go to {pod}, which is of the other track")]
    WrongTrack {
        /// The target.
        target: TargetId,
        /// The destination.
        pod: PodId,
    },
    /// It would be away from its guild, or from the rest of its group.
    #[error("{target} would be away from those it belongs to")]
    Apart {
        /// The target.
        target: TargetId,
    },
    /// The destination would have more than pods are meant to carry, and another pod would not.
    #[error("{pod} would carry more than it is meant to, and another pod would not")]
    TooMuch {
        /// The destination.
        pod: PodId,
    },
    /// A move for balance would bring its destination above the band.
    #[error("{pod} would be above its band, and nothing forces that")]
    Worse {
        /// The destination.
        pod: PodId,
    },
    /// It has no owner that lives, a pod could take it, and the plan leaves it.
    #[error("{target} has no owner, and is left so")]
    LeftOut {
        /// The target.
        target: TargetId,
    },
}

/// Says what is wrong with a plan for a snapshot; nothing when it may be carried out.
pub fn lint(snapshot: &Snapshot, policy: &Policy, now_ms: u64, plan: &Plan) -> Vec<Fault> {
    let look = Look::of(snapshot, policy, now_ms);
    let (mut faults, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for step in &plan.moves {
        if !seen.insert(&step.target) {
            faults.insert(Fault::Twice { target: step.target.clone() });
        }
        match (snapshot.target(&step.target), snapshot.pod(&step.to)) {
            (Some(at), Some(to))
                if snapshot.owner_of(&snapshot.targets()[at]) == step.from.as_ref()
                    && step.from.as_ref() != Some(&step.to) =>
            {
                look.step(step, at, &snapshot.pods()[to], &mut faults);
            }
            _ => drop(faults.insert(Fault::NotThere { target: step.target.clone() })),
        }
    }
    look.whole(plan, &mut faults);
    look.loads(plan, &mut faults);
    faults.into_iter().collect()
}

/// Says which targets a plan leaves without an owner that lives although a pod could take them. A plan for something else, for
/// example to drain one pod, may do that; the planner's own may not.
pub fn left_out(snapshot: &Snapshot, policy: &Policy, now_ms: u64, plan: &Plan) -> Vec<Fault> {
    let look = Look::of(snapshot, policy, now_ms);
    let moved: BTreeSet<_> = plan.moves.iter().map(|step| &step.target).collect();
    let mut faults = Vec::new();
    for (at, view) in snapshot.targets().iter().enumerate().filter(|(_, view)| !moved.contains(&view.target)) {
        let lives = view.owner().is_some_and(|owner| !is_over(&snapshot.pods()[owner]));
        let moving = view.rules.as_ref().is_some_and(|rules| rules.moving);
        let could = |pod: &PodView| look.families.of_target(at).iter().all(|member| look.may_have(*member, pod));
        // Who belongs to somebody waits for the pod of those.
        let lives = lives
            || look
                .families
                .of_target(at)
                .iter()
                .any(|member| look.view(*member).owner().is_some_and(|owner| !is_over(&snapshot.pods()[owner])));
        if !lives && !moving && snapshot.pods().iter().any(could) {
            faults.push(Fault::LeftOut { target: view.target.clone() });
        }
    }
    faults
}

struct Look<'s> {
    snapshot: &'s Snapshot,
    policy: &'s Policy,
    now_ms: u64,
    families: Families,
    /// A canary pod takes targets.
    canary: bool,
}

impl<'s> Look<'s> {
    fn of(snapshot: &'s Snapshot, policy: &'s Policy, now_ms: u64) -> Self {
        let canary = snapshot.pods().iter().any(|pod| pod.track == Track::Canary && is_open(pod));
        Self { snapshot, policy, now_ms, families: Families::of(snapshot), canary }
    }

    fn view(&self, at: usize) -> &'s TargetView {
        &self.snapshot.targets()[at]
    }

    /// Whether a pod takes targets, and this one as far as schema, zone and track go.
    fn may_have(&self, at: usize, pod: &PodView) -> bool {
        is_open(pod) && !self.is_older(at, pod) && !self.is_wrong_zone(at, pod) && !self.is_wrong_track(at, pod)
    }

    fn is_older(&self, at: usize, pod: &PodView) -> bool {
        let version = |pod: &PodView| pod.schema.flatten();
        self.view(at).owner().and_then(|owner| version(&self.snapshot.pods()[owner])) > version(pod)
    }

    /// Whether some of a target's family are on a pod: they are joined there, cordoned or not.
    fn is_home(&self, at: usize, pod: &PodView) -> bool {
        let owner = |member: &usize| self.snapshot.owner_of(self.view(*member)) == Some(&pod.pod);
        pod.phase == Phase::Ready && pod.in_range && self.families.of_target(at).iter().any(owner)
    }

    fn is_wrong_zone(&self, at: usize, pod: &PodView) -> bool {
        let zone = self.view(at).rules.as_ref().and_then(|rules| rules.zone.as_ref()).filter(|zone| zone.hard);
        zone.is_some_and(|zone| pod.zone.as_deref() != Some(zone.zone.as_str()))
    }

    fn is_wrong_track(&self, at: usize, pod: &PodView) -> bool {
        let members = self.families.of_target(at);
        let said = members.iter().find_map(|member| self.view(*member).rules.as_ref().and_then(|rules| rules.track));
        let track = said.unwrap_or_else(|| {
            let drawn =
                self.policy.canary > 0.0 && place_of(self.families.name(self.snapshot, at)) < self.policy.canary;
            if drawn { Track::Canary } else { Track::Stable }
        });
        pod.track != track && (track == Track::Stable || self.canary)
    }

    /// The track whose pods a pod is counted with: all are of one while no canary pod takes targets.
    fn counts_with(&self, pod: &PodView) -> Track {
        if self.canary { pod.track } else { Track::Stable }
    }

    /// A move by itself.
    fn step(&self, step: &PlannedMove, at: usize, to: &PodView, faults: &mut BTreeSet<Fault>) {
        let (target, pod) = (|| step.target.clone(), || to.pod.clone());
        let mut say = |wrong: bool, fault: Fault| {
            if wrong {
                faults.insert(fault);
            }
        };
        say(!is_open(to) && !self.is_home(at, to), Fault::Closed { target: target(), pod: pod() });
        say(self.is_older(at, to), Fault::OlderSchema { target: target(), pod: pod() });
        say(self.is_wrong_zone(at, to), Fault::WrongZone { target: target(), pod: pod() });
        say(self.is_wrong_track(at, to), Fault::WrongTrack { target: target(), pod: pod() });
        let free = matches!(step.rank, Rank::Rebalance | Rank::Polish);
        let held = self.is_held(at);
        say(free && held, Fault::Held { target: target() });
        let first_pin = self.families.of_target(at).iter().find_map(|member| self.pin(*member));
        if let Some(pin) = first_pin {
            let could = self.families.of_target(at).iter().all(|member| self.may_have(*member, pin));
            let away = pin.pod != to.pod && could;
            say(away || (free && pin.pod != to.pod), Fault::Pinned { target: target() });
        }
    }

    /// Whether a target cools down, is frozen or is moving.
    fn is_held(&self, at: usize) -> bool {
        self.view(at)
            .rules
            .as_deref()
            .is_some_and(|rules| rules.moving || rules.moved.is_some_and(|moved| moved.holds(self.policy, self.now_ms)))
    }

    /// The pod that a target is pinned to, if that is there to stay.
    fn pin(&self, at: usize) -> Option<&'s PodView> {
        let pin = self
            .view(at)
            .rules
            .as_ref()?
            .pin
            .as_ref()
            .filter(|pin| pin.until_ms.is_none_or(|until| self.now_ms < until))?;
        let pod = &self.snapshot.pods()[self.snapshot.pod(&pin.pod)?];
        (!is_over(pod)).then_some(pod)
    }

    /// What belongs together is together afterwards, as far as the plan touches it.
    fn whole(&self, plan: &Plan, faults: &mut BTreeSet<Fault>) {
        let to: BTreeMap<_, _> = plan.moves.iter().map(|step| (&step.target, &step.to)).collect();
        for step in &plan.moves {
            let Some(at) = self.snapshot.target(&step.target) else { continue };
            let apart = self.families.of_target(at).iter().any(|member| {
                let view = self.view(*member);
                to.get(&view.target).copied().or_else(|| self.snapshot.owner_of(view)) != Some(&step.to)
            });
            if apart {
                faults.insert(Fault::Apart { target: step.target.clone() });
            }
        }
    }

    /// What pods would carry. What has to move ignores balance, and may fill pods beyond their bands. So what is moved for
    /// balance is judged by how things would stand with only the rest of the plan done.
    fn loads(&self, plan: &Plan, faults: &mut BTreeSet<Fault>) {
        let free = |step: &&PlannedMove| matches!(step.rank, Rank::Rebalance | Rank::Polish);
        let with = |steps: &dyn Fn(&&PlannedMove) -> bool| {
            let to: BTreeMap<_, _> = plan.moves.iter().filter(steps).map(|step| (&step.target, &step.to)).collect();
            Loads::of(self, |view| to.get(&view.target).copied().or_else(|| self.snapshot.owner_of(view)))
        };
        let (before, after) = (with(&|step| !free(step)), with(&|_| true));
        let high = after.high(self);
        let fullest = [Track::Stable, Track::Canary].map(|track| {
            let pods = self.snapshot.pods().iter().filter(|pod| self.counts_with(pod) == track && pod.capacity > 0.0);
            pods.map(|pod| before.relative(pod)).fold(0.0, f64::max)
        });
        for step in plan.moves.iter().filter(free) {
            let (Some(at), Some(there)) = (self.snapshot.target(&step.target), self.snapshot.pod(&step.to)) else {
                continue;
            };
            let there = &self.snapshot.pods()[there];
            let high = high[self.counts_with(there) as usize];
            let load = after.relative(there);
            // What relieves the fullest pod of all may leave another one less full than that was.
            if load <= fullest[self.counts_with(there) as usize] * (1.0 + 1e-6) {
                continue;
            }
            if load > high * (1.0 + 1e-6) {
                faults.insert(Fault::Worse { pod: step.to.clone() });
            }
            // What is held or heavy is not moved for balance: others may have come to it.
            let own = self.weight(self.view(at));
            let heavy = own.into_iter().fold(0.0, f64::max) > high / (1.0 + self.policy.band) / 2.0 * there.capacity;
            let bound_there = self.families.of_target(at).len() > 1 || self.is_held(at) || heavy;
            if load > 1.0 + 1e-6 && !bound_there {
                let roomy = |pod: &PodView| {
                    let with: [f64; 4] = std::array::from_fn(|d| after.amount(&pod.pod)[d] + own[d]);
                    pod.pod != there.pod
                        && self.may_have(at, pod)
                        && with.iter().all(|part| *part <= pod.capacity * 0.75)
                };
                // Only what could be elsewhere without being too much there either.
                if self.snapshot.pods().iter().any(|pod| roomy(pod) && after.relative(pod) + 0.1 < load) {
                    faults.insert(Fault::TooMuch { pod: step.to.clone() });
                }
            }
        }
    }

    fn weight(&self, view: &TargetView) -> [f64; 4] {
        let part = |value: f64, most: f64| if most > 0.0 && value.is_finite() { value.max(0.0) / most } else { 0.0 };
        let (weight, policy) = (view.weight, self.policy);
        [
            part(1.0, policy.targets),
            part(weight.events.into(), policy.events_per_second),
            part(weight.bytes.into(), policy.bytes),
            part(weight.sockets.into(), policy.sockets),
        ]
    }
}

struct Loads<'s>(BTreeMap<&'s PodId, [f64; 4]>);

impl<'s> Loads<'s> {
    fn of<'p>(look: &Look<'s>, owner: impl Fn(&'s TargetView) -> Option<&'p PodId>) -> Self
    where
        's: 'p,
        'p: 's,
    {
        let mut loads = BTreeMap::<&'s PodId, [f64; 4]>::new();
        for view in look.snapshot.targets() {
            if let Some(owner) = owner(view) {
                let own = look.weight(view);
                let load = loads.entry(owner).or_default();
                (0..4).for_each(|d| load[d] += own[d]);
            }
        }
        Self(loads)
    }

    fn amount(&self, pod: &PodId) -> [f64; 4] {
        self.0.get(pod).copied().unwrap_or_default()
    }

    fn relative(&self, pod: &PodView) -> f64 {
        let most = self.amount(&pod.pod).into_iter().fold(0.0, f64::max);
        if pod.capacity > 0.0 { most / pod.capacity } else { f64::INFINITY }
    }

    /// The upper ends of the tracks' bands.
    fn high(&self, look: &Look<'s>) -> [f64; 2] {
        [Track::Stable, Track::Canary].map(|track| {
            let stays = |pod: &&PodView| look.counts_with(pod) == track && !is_over(pod) && pod.capacity > 0.0;
            let used = |pod: &&PodView| is_open(pod) || self.0.contains_key(&pod.pod);
            let pods: Vec<_> = look.snapshot.pods().iter().filter(stays).filter(used).collect();
            let capacity: f64 = pods.iter().map(|pod| pod.capacity).sum();
            let all = |d: usize| pods.iter().map(|pod| self.amount(&pod.pod)[d]).sum::<f64>();
            (0..4).map(all).fold(0.0, f64::max) / capacity.max(f64::MIN_POSITIVE) * (1.0 + look.policy.band)
        })
    }
}

/// Whether everything has to leave a pod.
fn is_over(pod: &PodView) -> bool {
    !pod.in_range || matches!(pod.phase, Phase::Dead | Phase::Retired | Phase::Draining | Phase::Drained)
}

/// Whether a pod may be given targets.
fn is_open(pod: &PodView) -> bool {
    pod.phase == Phase::Ready && !pod.cordoned && pod.in_range && pod.capacity > 0.0
}
