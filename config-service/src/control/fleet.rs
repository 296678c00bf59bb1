//! What the leader knows of the pods beyond the database: the protocol's own leader (OWNERSHIP.md, Leases), and what pods say
//! that they carry, which is only shown. Pure: `now` comes in.

use super::{ControlError, tracks::Reports, weights::Weights};
use crate::{
    domain::{Model, PodRecord, Weight},
    planner::{Candidate, scaling::Range},
};
use shared::protocol::leader::{Input, Known, Leader, Output, Patience, Why};
use shared::wire::admin::PodStatus;
use shared::wire::control::{Heartbeat, Load, MAX_NOT_READY, Peer, PodState, Witnesses};
use shared::wire::replication::Lag;
use shared::{Incarnation, LeaseId, Mono, PodId, Revision, TargetId, Term, lease::LeaseTerms};
use std::{collections::BTreeMap, time::Duration};

/// How many heartbeats a pod may miss before it is suspect.
const MISSED: u32 = 3;

/// All pods' liveness.
#[derive(Debug)]
pub(super) struct Fleet {
    terms: LeaseTerms,
    leader: Leader,
    pods: BTreeMap<PodId, Liveness>,
    /// Why pods cannot do their work, by their last heartbeats.
    not_ready: BTreeMap<PodId, String>,
    weights: Weights,
    /// How many events pods have answered, and how.
    reports: Reports,
    /// Which pods are to run on, as far as whatever starts and stops them has told.
    range: Option<Range>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Liveness {
    /// The lease that this leader has granted, and when.
    granted: Option<(LeaseId, Mono)>,
    /// It registered with this leader.
    joined: bool,
    leaving: bool,
    /// The last group that its database has committed, when it said so as it left.
    goodbye: Option<u64>,
    load: Load,
    /// Targets that were assigned to it when it told its load.
    targets: u64,
    seen: Revision,
    /// How often it has told what its busiest targets do, when it does, and when that was heard last.
    windows: Option<(u64, Option<Mono>)>,
    /// The state it had when it was last asked what has turned, and when it was first seen in it.
    told: Option<(PodState, Mono)>,
}

impl Fleet {
    /// Makes the fleet of the leader of `term`, which took over at `now`: any of the pods may hold a lease granted until just
    /// then.
    pub(super) fn taken_over(term: Term, terms: LeaseTerms, patience: Patience, model: &Model, now: Mono) -> Self {
        let known = model.pods().map(|record| Known {
            pod: record.info.pod.clone(),
            lease_id: record.lease_id,
            incarnation: record.info.incarnation.clone(),
            buried: record.buried,
            acknowledged: 0,
            fenced: model.fencing_of(&record.info.pod).map(|fencing| (fencing.lease_id, fencing.round)),
        });
        let leader = Leader::new(term, terms, now, known, model.members().clone()).with_patience(patience);
        Self {
            terms,
            leader,
            pods: BTreeMap::new(),
            not_ready: BTreeMap::new(),
            weights: Weights::default(),
            reports: Reports::default(),
            range: None,
        }
    }

    /// Tells the protocol what happened; returns what to do, in order.
    pub(super) fn handle(&mut self, now: Mono, input: Input) -> Vec<Output> {
        self.leader.handle(now, input)
    }

    /// Returns when the protocol has something to do next.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.leader.wake_at()
    }

    /// Says whether a heartbeat may be passed on to the protocol's leader.
    ///
    /// # Errors
    /// Why not; the pod registers anew.
    pub(super) fn admits(&self, model: &Model, pod: &PodId, heartbeat: &Heartbeat) -> Result<(), ControlError> {
        let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
        if record.info.incarnation != heartbeat.incarnation || record.loss_accepted {
            return Err(ControlError::WrongIncarnation(pod.clone()));
        }
        if record.buried {
            return Err(ControlError::Buried(pod.clone()));
        }
        let superseded = record.lease_id != heartbeat.lease_id;
        // What it told the leader before this one is forgotten: it registers, and is asked again.
        if superseded || (record.report && !self.live(pod).joined) {
            return Err(ControlError::LeaseSuperseded(pod.clone()));
        }
        Ok(())
    }

    /// Says whether a buried pod may come back as this incarnation yet.
    ///
    /// # Errors
    /// Its name still stands in a witness config as that of the one before: in a moment.
    pub(super) fn readmits(&self, pod: &PodId, incarnation: &Incarnation) -> Result<(), ControlError> {
        match self.leader.admits(pod, incarnation) {
            Err(Why::Suspended) => Err(ControlError::Suspended(pod.clone())),
            _ => Ok(()),
        }
    }

    /// Notes that a pod has registered: its newest lease was not granted yet.
    pub(super) fn joined(&mut self, pod: &PodId) {
        self.not_ready.remove(pod);
        let live = self.pods.entry(pod.clone()).or_default();
        (live.joined, live.leaving, live.goodbye) = (true, false, None);
    }

    /// Notes a grant that is answered now.
    pub(super) fn grant(&mut self, model: &Model, pod: &PodId, heartbeat: &Heartbeat, now: Mono) {
        match &heartbeat.not_ready {
            Some(why) => drop(self.not_ready.insert(pod.clone(), why.chars().take(MAX_NOT_READY).collect())),
            None => drop(self.not_ready.remove(pod)),
        }
        let live = self.pods.entry(pod.clone()).or_default();
        live.granted = Some((heartbeat.lease_id, now));
        live.leaving = heartbeat.leaving;
        live.goodbye = heartbeat.goodbye.filter(|_| heartbeat.leaving);
        (live.load, live.targets) = (heartbeat.load, model.targets_of(pod));
        live.seen = heartbeat.revision;
        let told = heartbeat.measured.windows;
        live.windows = told.map(|told| match live.windows {
            Some((before, at)) if before == told => (told, at),
            // What it told another leader counts for that one.
            Some(_) => (told, Some(now)),
            None => (told, None),
        });
        self.weights.heard(&heartbeat.weights, now);
        self.reports.heard(pod, heartbeat.served.as_deref().copied(), now);
        self.weights.sized(&heartbeat.measured.sizes);
    }

    /// Takes what the leader before has written of targets.
    pub(super) fn remember(&mut self, written: Vec<(TargetId, Weight)>, now: Mono) {
        self.weights.remember(written, now);
    }

    /// Returns what is to be written of targets, at most of so many.
    pub(super) fn unwritten(&mut self, most: usize, now: Mono) -> Vec<(TargetId, Weight)> {
        self.weights.unwritten(most, now)
    }

    /// Returns a pod that is ready and has not told what its busiest targets do since then; none when all have, or never do.
    pub(super) fn untold<'a>(&self, model: &'a Model, since: Mono, now: Mono) -> Option<&'a PodId> {
        let untold = |record: &&PodRecord| {
            let live = self.live(&record.info.pod);
            let tells = live.windows.is_some_and(|(_, at)| at.is_none_or(|at| at <= since));
            tells && self.state(&live, record, now) == PodState::Ready
        };
        model.pods().find(untold).map(|record| &record.info.pod)
    }

    /// Returns the pods whose state is another than when this was last asked, by name.
    pub(super) fn turns(&mut self, model: &Model, now: Mono) -> Vec<(PodId, PodState)> {
        let mut turns = Vec::new();
        for record in model.pods() {
            let may_act = self.leader.may_act_for(&record.info.pod, now);
            let live = self.pods.entry(record.info.pod.clone()).or_default();
            let state = state(live, record, now, &self.terms, may_act);
            if live.told.is_none_or(|(before, _)| before != state) {
                live.told = Some((state, now));
                turns.push((record.info.pod.clone(), state));
            }
        }
        turns
    }

    /// Returns for how long a lease that was granted to the pod may still be valid, promises of its witnesses aside.
    pub(super) fn may_act_for(&self, pod: &PodId, now: Mono) -> Duration {
        self.leader.may_act_for(pod, now)
    }

    /// Returns the pods as the planner takes them.
    pub(super) fn candidates(&self, model: &Model, now: Mono) -> Vec<Candidate> {
        let canary = model.canary();
        let candidate = |record: &PodRecord| {
            let live = self.live(&record.info.pod);
            let targets = model.targets_of(&record.info.pod);
            Candidate {
                pod: record.info.pod.clone(),
                capacity: record.info.capacity,
                ready: self.state(&live, record, now) == PodState::Ready,
                open: record.marks.open() && self.in_range(&record.info.pod),
                targets,
                fresh: targets.saturating_sub(live.targets),
                track: canary.counts(record.track),
                load: live.load,
            }
        };
        model.pods().map(candidate).collect()
    }

    /// Returns how many events pods have answered, and how.
    pub(super) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Takes which pods are to run on.
    pub(super) fn ranges(&mut self, range: Range) {
        self.range = Some(range);
    }

    /// Returns whether a pod's ordinal is inside the StatefulSet's range; it is when nobody has said otherwise.
    pub(super) fn in_range(&self, pod: &PodId) -> bool {
        self.range.as_ref().is_none_or(|range| range.keeps(pod))
    }

    /// Returns what targets weigh, as far as pods have told.
    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Returns all pods with what becomes of each, by name.
    pub(super) fn states<'a>(
        &'a self,
        model: &'a Model,
        now: Mono,
    ) -> impl Iterator<Item = (&'a PodRecord, PodState)> + use<'a> {
        model.pods().map(move |record| (record, self.state(&self.live(&record.info.pod), record, now)))
    }

    /// Returns the witnesses of a pod: all others of the config in force.
    pub(super) fn witnesses(&self, model: &Model, of: &PodId) -> Witnesses {
        let members = self.leader.members();
        let others = members.now.iter().filter(|pod| *pod != of).filter_map(|pod| model.pod(pod));
        let peer = |record: &PodRecord| Peer { pod: record.info.pod.clone(), address: record.info.address.clone() };
        Witnesses { version: members.version, pods: others.map(peer).collect() }
    }

    /// Returns a pod as it stands at `now`.
    pub(super) fn status(&self, record: &PodRecord, model: &Model, now: Mono) -> PodStatus {
        let live = self.live(&record.info.pod);
        let granted = live.granted.filter(|(id, _)| *id == record.lease_id);
        let state = self.state(&live, record, now);
        let told = live.told.filter(|(told, _)| *told == state);
        PodStatus {
            info: record.info.clone(),
            state,
            state_age_ms: told.map(|(_, at)| millis(now.since(at))),
            lease_id: record.lease_id,
            lease_age_ms: granted.map(|(_, at)| millis(now.since(at))),
            lease_remaining_ms: millis(self.may_act_for(&record.info.pod, now)),
            targets: model.targets_of(&record.info.pod),
            quarantined: model.quarantined_at(&record.info.pod),
            restoring: model.restoring_at(&record.info.pod),
            replica: record.replica.clone(),
            load: live.load,
            seen_revision: live.seen,
            version: record.version.clone(),
            schema: record.schema,
            bot: record.bot.clone(),
            not_ready: self.not_ready.get(&record.info.pod).cloned(),
            track: record.track,
            cordoned: record.marks.cordoned,
            drain: None,
        }
    }

    /// Returns how far a pod's replica is behind, by a heartbeat of its newest lease that is not old; none when that is not
    /// known, or it has none.
    pub(super) fn lag(&self, record: &PodRecord, now: Mono) -> Option<Lag> {
        let live = self.live(&record.info.pod);
        let (lease_id, at) = live.granted?;
        let is_fresh = lease_id == record.lease_id && now.since(at) <= self.terms.heartbeat * MISSED;
        live.load.replication.filter(|_| is_fresh)
    }

    /// Returns the last group that a pod's database had committed when it said goodbye, if nothing was heard of it since. A
    /// leader that took over later does not know it.
    pub(super) fn goodbye(&self, record: &PodRecord) -> Option<u64> {
        let live = self.live(&record.info.pod);
        live.goodbye.filter(|_| live.granted.is_some_and(|(id, _)| id == record.lease_id))
    }

    fn state(&self, live: &Liveness, record: &PodRecord, now: Mono) -> PodState {
        state(live, record, now, &self.terms, self.leader.may_act_for(&record.info.pod, now))
    }

    fn live(&self, pod: &PodId) -> Liveness {
        self.pods.get(pod).copied().unwrap_or_default()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `may_act` is for how long any lease of the pod may still be valid.
fn state(live: &Liveness, record: &PodRecord, now: Mono, terms: &LeaseTerms, may_act: Duration) -> PodState {
    if record.buried {
        return PodState::Dead;
    }
    match live.granted.filter(|(id, _)| *id == record.lease_id) {
        Some((_, at)) if terms.over_at(at) <= now => PodState::Expired,
        Some(_) if live.leaving => PodState::Restarting,
        Some((_, at)) if now.since(at) <= terms.heartbeat * MISSED => PodState::Ready,
        Some(_) => PodState::Suspect,
        None if live.joined => PodState::Joining,
        // Known from the database: it may hold a lease that the leader before this one granted.
        None if !may_act.is_zero() => PodState::Suspect,
        None => PodState::Expired,
    }
}

#[cfg(test)]
mod tests;
