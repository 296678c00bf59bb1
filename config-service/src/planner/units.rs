//! What moves as one: a guild with its channels, and an affinity group that is to stay whole; most targets are alone. Decides
//! who belongs together, where such a unit is taken to be, and what is asked for it; knows no loads.

use super::{
    Policy, Rules, Snapshot, TargetView, Track, Warning,
    beside::{Nearer, Shards},
    hash::place_of,
    snapshot::NONE,
    world::{DIMENSIONS, Pod},
};
use std::collections::BTreeMap;

/// A zone that no pod is in: nobody has started one there, or a unit may only be in two at once.
const NOWHERE: u32 = NONE - 1;

/// What is asked for a unit beyond its weight. Most have none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    pub(super) track: Track,
    pub(super) zone: u32,
    pub(super) zone_hard: bool,
    /// The pod it is pinned to, if that is not to be empty itself.
    pub(super) pin: u32,
    /// The group that it likes to be with.
    pub(super) near: u32,
    /// It cools down, is frozen, or is moving.
    pub(super) held: bool,
    /// The newest schema that its members' owners have, when they have several owners.
    pub(super) schema: Option<u32>,
}

impl Wish {
    const PLAIN: Self =
        Self { track: Track::Stable, zone: NONE, zone_hard: false, pin: NONE, near: NONE, held: false, schema: None };
}

/// All units, by number, in the order of their first members' names.
#[derive(Debug)]
pub(super) struct Units {
    /// What each weighs, normalised: what an ordinary pod is meant to carry is 1.
    pub(super) weight: Vec<[f32; DIMENSIONS]>,
    home: Vec<u32>,
    wish: Vec<u32>,
    pub(super) wishes: Vec<Wish>,
    /// Where each unit's members begin; none when every target is alone.
    members: Option<Members>,
    /// The pod that holds each unit's shard; empty when there are no shards.
    beside: Vec<u32>,
    /// What turns a weight as reported into a normalised one.
    scale: [f32; DIMENSIONS],
}

#[derive(Debug)]
struct Members {
    start: Vec<u32>,
    targets: Vec<u32>,
}

impl Units {
    /// Finds the units of a snapshot.
    pub(super) fn of(
        snapshot: &Snapshot,
        policy: &Policy,
        pods: &[Pod],
        zones: &BTreeMap<&str, u32>,
        now_ms: u64,
        warnings: &mut Vec<Warning>,
    ) -> Self {
        let members = families(snapshot);
        let count = members.as_ref().map_or(snapshot.targets().len(), |members| members.start.len() - 1);
        let most = [policy.targets, policy.events_per_second, policy.bytes, policy.sockets];
        let scale = most.map(|most| if most > 0.0 { (1.0 / most) as f32 } else { 0.0 });
        let mut units = Self {
            weight: Vec::with_capacity(count),
            home: Vec::with_capacity(count),
            wish: Vec::with_capacity(count),
            wishes: Vec::new(),
            members,
            beside: Vec::new(),
            scale,
        };
        let mut reader = Reader { snapshot, policy, pods, zones, now_ms, warnings, groups: BTreeMap::new() };
        for unit in 0..count {
            let (weight, home, wish) = match &units.members {
                None => reader.single(unit, &scale),
                Some(members) => match members.of(unit) {
                    [one] => reader.single(*one as usize, &scale),
                    several => reader.several(several, &scale),
                },
            };
            units.weight.push(weight);
            units.home.push(home);
            units.wish.push(if wish == Wish::PLAIN {
                NONE
            } else {
                units.wishes.push(wish);
                u32::try_from(units.wishes.len() - 1).unwrap_or(NONE)
            });
        }
        let shards = Shards::of(snapshot);
        if !shards.is_empty() {
            let holder = |target: usize| shards.holder(&snapshot.targets()[target].target);
            let of = |unit| units.targets(unit).map(holder).find(|holder| *holder != NONE).unwrap_or(NONE);
            units.beside = (0..units.len()).map(of).collect();
        }
        units
    }

    /// Says what going from a pod to another one means for a unit and its shard.
    pub(super) fn nearer(&self, unit: usize, from: usize, to: usize) -> Nearer {
        match self.beside(unit) {
            Some(holder) if holder == to => Nearer::There,
            Some(holder) if holder == from => Nearer::Away,
            _ => Nearer::Neither,
        }
    }

    /// Returns the pod that holds a unit's shard.
    pub(super) fn beside(&self, unit: usize) -> Option<usize> {
        self.beside.get(unit).filter(|holder| **holder != NONE).map(|holder| *holder as usize)
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.weight.len()
    }

    /// Returns where a unit is taken to be; members that are elsewhere have to come there.
    pub(super) fn home(&self, unit: usize) -> Option<usize> {
        (self.home[unit] != NONE).then_some(self.home[unit] as usize)
    }

    /// Returns what is asked for a unit, if anything is.
    pub(super) fn wish(&self, unit: usize) -> Option<&Wish> {
        (self.wish[unit] != NONE).then(|| &self.wishes[self.wish[unit] as usize])
    }

    /// Returns the unit that a target belongs to.
    pub(super) fn unit_of(&self, target: usize) -> usize {
        match &self.members {
            None => target,
            Some(members) => {
                (0..self.len()).find(|unit| members.of(*unit).contains(&(target as u32))).unwrap_or_default()
            }
        }
    }

    /// Returns a unit's targets, by their places in the snapshot.
    pub(super) fn targets(&self, unit: usize) -> impl Iterator<Item = usize> {
        let (single, several) = match &self.members {
            None => (Some(unit), &[][..]),
            Some(members) => (None, members.of(unit)),
        };
        single.into_iter().chain(several.iter().map(|target| *target as usize))
    }

    /// Returns what a single target weighs.
    pub(super) fn weight_of(&self, target: &TargetView) -> [f32; DIMENSIONS] {
        weight(target, &self.scale)
    }

    /// Returns whether every target is a unit of its own.
    pub(super) fn are_single(&self) -> bool {
        self.members.is_none()
    }
}

impl Members {
    fn of(&self, unit: usize) -> &[u32] {
        &self.targets[self.start[unit] as usize..self.start[unit + 1] as usize]
    }
}

/// Finds who belongs together; none when nobody does.
fn families(snapshot: &Snapshot) -> Option<Members> {
    let targets = snapshot.targets();
    let mut leaders: Vec<u32> = Vec::new();
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for (at, target) in targets.iter().enumerate() {
        let group = target.rules.as_ref().and_then(|rules| rules.group.as_ref()).filter(|group| group.whole);
        if target.parent == NONE && group.is_none() {
            continue;
        }
        if leaders.is_empty() {
            leaders = (0..targets.len()).map(|at| u32::try_from(at).unwrap_or(NONE)).collect();
        }
        let me = u32::try_from(at).unwrap_or(NONE);
        if target.parent != NONE {
            join(&mut leaders, me, target.parent);
        }
        if let Some(group) = group {
            let first = *groups.entry(&group.name).or_insert(me);
            join(&mut leaders, me, first);
        }
    }
    if leaders.is_empty() {
        return None;
    }
    // The leader of all is the first by name, so it is seen first.
    let mut number = vec![NONE; targets.len()];
    let mut start = vec![0_u32];
    for at in 0..leaders.len() {
        let leader = leader_of(&mut leaders, u32::try_from(at).unwrap_or(NONE)) as usize;
        if leader == at {
            number[at] = u32::try_from(start.len() - 1).unwrap_or(NONE);
            start.push(0);
        }
        start[number[leader] as usize + 1] += 1;
        number[at] = number[leader];
    }
    for at in 1..start.len() {
        start[at] += start[at - 1];
    }
    let mut next = start.clone();
    let mut members = vec![0; targets.len()];
    for (at, unit) in number.iter().enumerate() {
        let place = &mut next[*unit as usize];
        members[*place as usize] = u32::try_from(at).unwrap_or(NONE);
        *place += 1;
    }
    Some(Members { start, targets: members })
}

fn leader_of(leaders: &mut [u32], mut at: u32) -> u32 {
    while leaders[at as usize] != at {
        let next = leaders[leaders[at as usize] as usize];
        leaders[at as usize] = next;
        at = next;
    }
    at
}

fn join(leaders: &mut [u32], a: u32, b: u32) {
    let (a, b) = (leader_of(leaders, a), leader_of(leaders, b));
    leaders[a.max(b) as usize] = a.min(b);
}

struct Reader<'r, 's> {
    snapshot: &'s Snapshot,
    policy: &'r Policy,
    pods: &'r [Pod],
    zones: &'r BTreeMap<&'s str, u32>,
    now_ms: u64,
    warnings: &'r mut Vec<Warning>,
    groups: BTreeMap<&'s str, u32>,
}

type Read = ([f32; DIMENSIONS], u32, Wish);

impl<'s> Reader<'_, 's> {
    fn single(&mut self, at: usize, scale: &[f32; DIMENSIONS]) -> Read {
        let target = &self.snapshot.targets()[at];
        let mut wish = Wish::PLAIN;
        if let Some(rules) = &target.rules {
            self.ask(at, rules, &mut wish);
        }
        let rules = target.rules.as_deref();
        let group = rules.and_then(|rules| rules.group.as_ref()).filter(|group| group.whole);
        let name = || group.map_or(target.target.as_str(), |group| &group.name);
        wish.track = rules.and_then(|rules| rules.track).unwrap_or_else(|| self.drawn(name));
        (weight(target, scale), target.owner, wish)
    }

    fn several(&mut self, members: &[u32], scale: &[f32; DIMENSIONS]) -> Read {
        let targets = self.snapshot.targets();
        let (mut all, mut wish) = ([0.0; DIMENSIONS], Wish::PLAIN);
        let (mut said, mut group, mut at_pod) = (None, None::<&str>, BTreeMap::<u32, f64>::new());
        for member in members {
            let target = &targets[*member as usize];
            let own = weight(target, scale);
            (0..DIMENSIONS).for_each(|d| all[d] += own[d]);
            if let Some(rules) = &target.rules {
                self.ask(*member as usize, rules, &mut wish);
                said = said.or(rules.track);
                let whole = rules.group.as_ref().filter(|group| group.whole);
                group = match (group, whole.map(|group| group.name.as_str())) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
            // A channel counts where its guild is.
            let with = targets[self.eldest(*member as usize)].owner;
            let owner = if with == NONE { target.owner } else { with };
            if owner != NONE {
                *at_pod.entry(owner).or_default() += f64::from(own.iter().copied().fold(0.0, f32::max));
            }
            if target.owner != NONE {
                // The newest of all: whoever takes the unit takes rows of each of them.
                wish.schema = wish.schema.max(self.pods[target.owner as usize].schema);
            }
        }
        let first = targets[self.eldest(members[0] as usize)].target.as_str();
        wish.track = said.unwrap_or_else(|| self.drawn(|| group.unwrap_or(first)));
        if wish.pin != NONE && members.iter().any(|member| targets[*member as usize].owner == wish.pin) {
            return (all, wish.pin, wish);
        }
        let stays = |pod: u32| self.pods[pod as usize].leaving.is_none();
        let home = at_pod
            .iter()
            .max_by(|(p, a), (q, b)| stays(**p).cmp(&stays(**q)).then_with(|| a.total_cmp(b)).then_with(|| q.cmp(p)));
        (all, home.map_or(NONE, |(pod, _)| *pod), wish)
    }

    /// The track that a name draws: the lowest hashes are the canary's, so that a larger share only adds.
    fn drawn<'n>(&self, name: impl FnOnce() -> &'n str) -> Track {
        if self.policy.canary > 0.0 && place_of(name()) < self.policy.canary { Track::Canary } else { Track::Stable }
    }

    /// The eldest of a target's forebears. A circle of parents ends somewhere.
    fn eldest(&self, mut at: usize) -> usize {
        for _ in 0..8 {
            match self.snapshot.targets()[at].parent {
                NONE => break,
                parent => at = parent as usize,
            }
        }
        at
    }

    fn ask(&mut self, at: usize, rules: &'s Rules, wish: &mut Wish) {
        let target = || self.snapshot.targets()[at].target.clone();
        if let Some(pin) = rules.pin.as_ref().filter(|pin| pin.holds(self.now_ms)) {
            let pod = self.snapshot.pod(&pin.pod).filter(|pod| self.pods[*pod].leaving.is_none());
            match pod.and_then(|pod| u32::try_from(pod).ok()) {
                Some(pod) if wish.pin == NONE => wish.pin = pod,
                Some(pod) if wish.pin != pod => self.warnings.push(Warning::PinsDisagree { target: target() }),
                Some(_) => (),
                None => self.warnings.push(Warning::PinGivesWay { target: target(), pod: pin.pod.clone() }),
            }
        }
        if let Some(zone) = &rules.zone {
            // A zone without a pod is one that nobody is in.
            let named = self.zones.get(zone.zone.as_str()).copied().unwrap_or(NOWHERE);
            if wish.zone_hard && zone.hard && wish.zone != named {
                wish.zone = NOWHERE;
            } else if wish.zone == NONE || (zone.hard && !wish.zone_hard) {
                (wish.zone, wish.zone_hard) = (named, zone.hard);
            }
        }
        if let Some(group) = rules.group.as_ref().filter(|group| !group.whole) {
            let next = u32::try_from(self.groups.len()).unwrap_or(NONE);
            wish.near = *self.groups.entry(&group.name).or_insert(next);
        }
        if let Some(moved) = rules.moved {
            wish.held |= moved.holds(self.policy, self.now_ms);
            if moved.is_frozen(self.policy) {
                self.warnings.push(Warning::Frozen { target: target() });
            }
        }
        wish.held |= rules.moving;
    }
}

fn weight(target: &TargetView, scale: &[f32; DIMENSIONS]) -> [f32; DIMENSIONS] {
    let usable = |value: f32| if value.is_finite() { value.max(0.0) } else { 0.0 };
    let weight = target.weight;
    [scale[0], usable(weight.events) * scale[1], usable(weight.bytes) * scale[2], usable(weight.sockets) * scale[3]]
}
