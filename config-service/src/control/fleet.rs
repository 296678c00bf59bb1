//! What the leader knows of the pods beyond the database: when it last granted a lease, what they carry. Pure: `now` comes
//! in. A leader that has just taken over knows of no grant, so it assumes that every pod was granted one at that moment
//! (OWNERSHIP.md, Leases 2).

use super::ControlError;
use crate::{
    domain::{Model, PodRecord},
    planner::Candidate,
};
use shared::wire::admin::PodStatus;
use shared::wire::control::{Heartbeat, Load, MAX_NOT_READY, Peer, PodInfo, PodState, Witnesses};
use shared::{LeaseId, Mono, PodId, Revision, lease::LeaseTerms};
use std::{collections::BTreeMap, time::Duration};

/// How many heartbeats a pod may miss before it is suspect.
const MISSED: u32 = 3;

/// All pods' liveness.
#[derive(Debug)]
pub(super) struct Fleet {
    terms: LeaseTerms,
    pods: BTreeMap<PodId, Liveness>,
    /// Why pods cannot do their work, by their last heartbeats.
    not_ready: BTreeMap<PodId, String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Liveness {
    /// The last moment at which a lease of this pod, of whatever incarnation, was granted or may have been.
    last: Option<Mono>,
    /// The lease that this leader has granted, and when.
    granted: Option<(LeaseId, Mono)>,
    /// It registered with this leader.
    joined: bool,
    leaving: bool,
    load: Load,
    seen: Revision,
    /// The state it had when it was last asked what has turned, and when it was first seen in it.
    told: Option<(PodState, Mono)>,
}

impl Fleet {
    /// Makes the fleet of a leader that took over at `now`: any of the pods may hold a lease granted until just then.
    pub(super) fn taken_over<'a>(terms: LeaseTerms, pods: impl Iterator<Item = &'a PodRecord>, now: Mono) -> Self {
        let assumed = Liveness { last: Some(now), ..Liveness::default() };
        let pods = pods.map(|record| (record.info.pod.clone(), assumed)).collect();
        Self { terms, pods, not_ready: BTreeMap::new() }
    }

    /// Says whether a heartbeat belongs to the pod's newest lease.
    ///
    /// # Errors
    /// Why it does not; the pod registers anew.
    pub(super) fn admits(&self, model: &Model, pod: &PodId, heartbeat: &Heartbeat) -> Result<(), ControlError> {
        let record = model.pod(pod).ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
        if record.info.incarnation != heartbeat.incarnation || record.loss_accepted {
            return Err(ControlError::WrongIncarnation(pod.clone()));
        }
        if record.buried {
            return Err(ControlError::Buried(pod.clone()));
        }
        if record.lease_id != heartbeat.lease_id {
            return Err(ControlError::LeaseSuperseded(pod.clone()));
        }
        if heartbeat.revision > model.revision() {
            let (seen, known) = (heartbeat.revision, model.revision());
            return Err(ControlError::RevisionAhead { pod: pod.clone(), seen, known });
        }
        match record.report {
            false => Ok(()),
            // What it told the leader before this one is forgotten.
            true if !self.live(pod).joined => Err(ControlError::LeaseSuperseded(pod.clone())),
            true => Err(ControlError::ReportFirst(pod.clone())),
        }
    }

    /// Notes that a pod has registered: its newest lease was not granted yet.
    pub(super) fn joined(&mut self, pod: &PodId) {
        self.not_ready.remove(pod);
        let live = self.pods.entry(pod.clone()).or_default();
        (live.joined, live.leaving) = (true, false);
    }

    /// Notes a grant that is answered now.
    pub(super) fn grant(&mut self, pod: &PodId, heartbeat: &Heartbeat, now: Mono) {
        match &heartbeat.not_ready {
            Some(why) => drop(self.not_ready.insert(pod.clone(), why.chars().take(MAX_NOT_READY).collect())),
            None => drop(self.not_ready.remove(pod)),
        }
        let live = self.pods.entry(pod.clone()).or_default();
        live.last = Some(now);
        live.granted = Some((heartbeat.lease_id, now));
        live.leaving = heartbeat.leaving;
        live.load = heartbeat.load;
        live.seen = heartbeat.revision;
    }

    /// Returns the pods whose state is another than when this was last asked, by name.
    pub(super) fn turns(&mut self, model: &Model, now: Mono) -> Vec<(PodId, PodState)> {
        let mut turns = Vec::new();
        for record in model.pods() {
            let live = self.pods.entry(record.info.pod.clone()).or_default();
            let state = state(live, record, now, &self.terms);
            if live.told.is_none_or(|(before, _)| before != state) {
                live.told = Some((state, now));
                turns.push((record.info.pod.clone(), state));
            }
        }
        turns
    }

    /// Returns how long a lease of the pod may still be valid; zero when it certainly is over.
    pub(super) fn may_act_for(&self, pod: &PodId, now: Mono) -> Duration {
        let last = self.pods.get(pod).and_then(|live| live.last);
        last.map_or(Duration::ZERO, |last| self.terms.over_at(last).since(now))
    }

    /// Returns the pods as the planner takes them.
    pub(super) fn candidates(&self, model: &Model, now: Mono) -> Vec<Candidate> {
        let candidate = |record: &PodRecord| {
            let live = self.live(&record.info.pod);
            Candidate {
                pod: record.info.pod.clone(),
                capacity: record.info.capacity,
                ready: state(&live, record, now, &self.terms) == PodState::Ready,
                open: record.marks.open(),
                targets: model.targets_of(&record.info.pod),
                load: live.load,
            }
        };
        model.pods().map(candidate).collect()
    }

    /// Returns the witnesses of a pod. The set only grows while no pod can be forgotten, so its size is its version.
    pub(super) fn witnesses(&self, model: &Model, of: &PodId) -> Witnesses {
        let others = model.pods().map(|record| &record.info).filter(|info| info.pod != *of);
        let peer = |info: &PodInfo| Peer { pod: info.pod.clone(), address: info.address.clone() };
        Witnesses { version: model.pods().len() as u64, pods: others.map(peer).collect() }
    }

    /// Returns a pod as it stands at `now`.
    pub(super) fn status(&self, record: &PodRecord, model: &Model, now: Mono) -> PodStatus {
        let live = self.live(&record.info.pod);
        let granted = live.granted.filter(|(id, _)| *id == record.lease_id);
        let state = state(&live, record, now, &self.terms);
        let told = live.told.filter(|(told, _)| *told == state);
        PodStatus {
            info: record.info.clone(),
            state,
            state_age_ms: told.map(|(_, at)| millis(now.since(at))),
            lease_id: record.lease_id,
            lease_age_ms: granted.map(|(_, at)| millis(now.since(at))),
            lease_remaining_ms: millis(self.may_act_for(&record.info.pod, now)),
            targets: model.targets_of(&record.info.pod),
            load: live.load,
            seen_revision: live.seen,
            version: record.version.clone(),
            schema: record.schema,
            bot: record.bot.clone(),
            not_ready: self.not_ready.get(&record.info.pod).cloned(),
            cordoned: record.marks.cordoned,
            drain: None,
        }
    }

    fn live(&self, pod: &PodId) -> Liveness {
        self.pods.get(pod).copied().unwrap_or_default()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn state(live: &Liveness, record: &PodRecord, now: Mono, terms: &LeaseTerms) -> PodState {
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
        None if live.last.is_some_and(|at| terms.over_at(at) > now) => PodState::Suspect,
        None => PodState::Expired,
    }
}
