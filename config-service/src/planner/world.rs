//! A snapshot made dense: pods and units by number, weights normalised by the policy, and where a unit may be. Nothing in here
//! changes while a plan is made; what does is the state's.

use super::{Phase, PodView, Policy, Reason, Snapshot, Track, Warning, may_receive, snapshot::NONE, units::Units};
use std::collections::BTreeMap;

/// Targets, events, bytes, sockets: what a pod may have too much of.
pub(super) const DIMENSIONS: usize = 4;
/// So much of each, in what an ordinary pod is meant to carry.
pub(super) type Amount = [f64; DIMENSIONS];

/// A pod by its number.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) capacity: f64,
    pub(super) zone: u32,
    pub(super) track: Track,
    /// The track whose pods it is counted with: the other one, too, while the canary track has no pod that takes targets.
    pub(super) counts_with: Track,
    pub(super) schema: Option<u32>,
    /// It may be given targets.
    pub(super) receives: bool,
    /// Targets may leave it in order, for balance: it answers.
    pub(super) gives: bool,
    /// Why everything has to leave it.
    pub(super) leaving: Option<Reason>,
}

impl Pod {
    fn of(view: &PodView, zones: &BTreeMap<&str, u32>) -> Self {
        let leaving = match view.phase {
            Phase::Dead | Phase::Retired => Some(Reason::OwnerDead),
            Phase::Draining | Phase::Drained => Some(Reason::Drain),
            Phase::Joining | Phase::Ready | Phase::Suspect => (!view.in_range).then_some(Reason::OutOfRange),
        };
        let capacity = if view.capacity.is_finite() { view.capacity.max(0.0) } else { 0.0 };
        let ready = view.phase == Phase::Ready && leaving.is_none();
        Self {
            capacity,
            zone: view.zone.as_deref().map_or(NONE, |zone| zones[zone]),
            track: view.track,
            counts_with: view.track,
            // Who has not said may have no tables.
            schema: view.schema.flatten(),
            receives: ready && !view.cordoned && capacity > 0.0,
            gives: ready,
            leaving,
        }
    }
}

/// Everything that a plan is made from.
#[derive(Debug)]
pub(super) struct World<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) policy: &'s Policy,
    pub(super) pods: Vec<Pod>,
    pub(super) units: Units,
    /// A pod of the canary track takes targets: until then that track is the other one.
    pub(super) canary: bool,
    /// Found on the way.
    pub(super) warnings: Vec<Warning>,
}

impl<'s> World<'s> {
    /// Makes a snapshot dense.
    pub(super) fn of(snapshot: &'s Snapshot, policy: &'s Policy, now_ms: u64) -> Self {
        let mut zones = BTreeMap::new();
        for zone in snapshot.pods().iter().filter_map(|pod| pod.zone.as_deref()) {
            let next = u32::try_from(zones.len()).unwrap_or(NONE);
            zones.entry(zone).or_insert(next);
        }
        let mut pods: Vec<_> = snapshot.pods().iter().map(|view| Pod::of(view, &zones)).collect();
        let canary = pods.iter().any(|pod| pod.receives && pod.track == Track::Canary);
        if !canary {
            pods.iter_mut().for_each(|pod| pod.counts_with = Track::Stable);
        }
        let mut warnings = Vec::new();
        let units = Units::of(snapshot, policy, &pods, &zones, now_ms, &mut warnings);
        if !canary && units.wishes.iter().any(|wish| wish.track == Track::Canary) {
            warnings.push(Warning::NoCanaryPod);
        }
        Self { snapshot, policy, pods, units, canary, warnings }
    }

    /// Returns the track whose pods a unit is counted with.
    pub(super) fn track(&self, unit: usize) -> Track {
        match self.units.wish(unit) {
            Some(wish) if wish.track == Track::Canary && self.canary => Track::Canary,
            _ => Track::Stable,
        }
    }

    /// Says whether a unit may be on a pod as far as track and zone go. A unit of the canary track may be anywhere while
    /// that has no pod.
    pub(super) fn suits(&self, unit: usize, pod: usize) -> bool {
        let there = &self.pods[pod];
        let Some(wish) = self.units.wish(unit) else { return there.track == Track::Stable };
        let track = there.track == wish.track || (wish.track == Track::Canary && !self.canary);
        track && (!wish.zone_hard || wish.zone == there.zone)
    }

    /// Says whether a unit may be given to a pod: the hard filters (PLACEMENT.md, New target), room aside.
    pub(super) fn may_go(&self, unit: usize, pod: usize) -> bool {
        self.pods[pod].receives && self.suits(unit, pod) && self.pin_allows(unit, pod) && self.schema_allows(unit, pod)
    }

    /// Says whether a unit's pin lets it be on a pod.
    pub(super) fn pin_allows(&self, unit: usize, pod: usize) -> bool {
        self.bound_to(unit).is_none_or(|pin| pin == pod)
    }

    /// Returns the pod that a unit's pin takes it to. A pin to a pod that takes no targets now, or may not have this one, takes
    /// nobody there, and holds nobody elsewhere.
    pub(super) fn bound_to(&self, unit: usize) -> Option<usize> {
        let pin = self.units.wish(unit).map(|wish| wish.pin).filter(|pin| *pin != NONE)? as usize;
        (self.pods[pin].receives && self.suits(unit, pin) && self.schema_allows(unit, pin)).then_some(pin)
    }

    /// Says whether a pod's bot knows all tables that the unit's rows are in.
    pub(super) fn schema_allows(&self, unit: usize, pod: usize) -> bool {
        let own = self.units.home(unit).and_then(|home| self.pods[home].schema);
        let from = self.units.wish(unit).map_or(own, |wish| own.max(wish.schema));
        may_receive(from, self.pods[pod].schema)
    }

    /// Says whether members of a unit may come to where the rest of it is, open or not: that pod answers, and all of it may be
    /// there.
    pub(super) fn may_join(&self, unit: usize, pod: usize) -> bool {
        self.pods[pod].gives && self.suits(unit, pod) && self.pin_allows(unit, pod) && self.schema_allows(unit, pod)
    }

    /// Returns whether some of a unit are not where the rest of it is.
    pub(super) fn is_scattered(&self, unit: usize) -> bool {
        let owner = |target: usize| self.snapshot.targets()[target].owner();
        !self.units.are_single() && self.units.targets(unit).any(|target| owner(target) != self.units.home(unit))
    }

    /// Says whether a unit may be moved for balance: not when it is pinned, cools down, is frozen, or is moving.
    pub(super) fn is_movable(&self, unit: usize) -> bool {
        self.units.wish(unit).is_none_or(|wish| !wish.held && wish.pin == NONE)
    }

    /// Returns what a unit weighs in each dimension.
    pub(super) fn weight(&self, unit: usize) -> Amount {
        self.units.weight[unit].map(f64::from)
    }

    /// Returns what a single target weighs, by its place in the snapshot.
    pub(super) fn weight_of(&self, target: usize) -> Amount {
        self.units.weight_of(&self.snapshot.targets()[target]).map(f64::from)
    }

    /// Returns what moving a unit is taken to cost: the fixed part is 1; bytes to copy, open sockets and recent activity add.
    pub(super) fn price(&self, unit: usize) -> f64 {
        let [_, events, bytes, sockets] = self.weight(unit);
        let policy = self.policy;
        1.0 + bytes * policy.bytes / 50e6 + sockets * policy.sockets / 10.0 + events * policy.events_per_second / 10.0
    }
}

/// Returns the largest dimension over a capacity: what a pod's load is.
pub(super) fn relative(amount: &Amount, capacity: f64) -> f64 {
    if capacity > 0.0 { amount.iter().copied().fold(0.0, f64::max) / capacity } else { 0.0 }
}
