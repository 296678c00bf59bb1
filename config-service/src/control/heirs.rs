//! Who gets the targets of pods that are dead, and what a pod gets back that has returned with its data (OWNERSHIP.md, Leases 5
//! and 11, Data 5). The dead pod's targets get owners that do not have their data: they are quarantined there, never begun
//! empty. Epochs say whose copy counts: the one under which the target was owned last; what copy that is in a folder, is
//! decided in [`copies`]. Pure.

mod copies;
mod restores;
mod settle;

use super::census::{Census, Report};
use crate::{
    domain::{Batch, Model, PodRecord, Write},
    planner::{self, Candidate, Policy, Wanted, may_receive},
};
pub(super) use copies::begins;
use copies::{data_of, names, newest};
use restores::{Restores, handed_on};
pub(super) use restores::{Terms, can_restore, to_restore};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Life};
use shared::{Epoch, PodId, TargetId};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// Why targets change hands here, as it stands in their assignments.
const FAILOVER: &str = "failover";
const RETURNED: &str = "data-returned";
const UNHEARD: &str = "never-begun";
const LOSS: &str = "data-loss-accepted";
const GENERATION: &str = "generation";

/// What is still to be done after reports. It is worked out once for each, and again when a transaction was refused and by
/// the next leader.
#[derive(Debug, Default)]
pub(super) struct Heirs {
    /// What each pod that reported gets, in the order of the targets.
    returning: BTreeMap<PodId, VecDeque<Due>>,
    /// What everybody gets in a new generation; none before every report is in.
    settling: Option<VecDeque<Due>>,
    /// What is restored from replicas.
    restores: Restores,
}

/// A target that is to change hands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Due {
    target: TargetId,
    parent: Option<TargetId>,
    pod: PodId,
    state: AssignmentState,
    data: Option<DataAt>,
    reason: &'static str,
}

impl Due {
    /// As an assignment goes on: with its parent, at its pod.
    fn of(assignment: &Assignment, reason: &'static str) -> Self {
        let Assignment { target, parent, pod, state, data, .. } = assignment.clone();
        Self { target, parent, pod, state, data, reason }
    }

    fn serving(self, pod: &PodId, data: Option<DataAt>) -> Self {
        Self { pod: pod.clone(), state: AssignmentState::Serving, data, ..self }
    }

    fn quarantined(self, pod: &PodId, data: Option<DataAt>) -> Self {
        Self { pod: pod.clone(), state: AssignmentState::Quarantined, data, ..self }
    }

    /// Returns it as it is written.
    pub(super) fn write(self, model: &Model) -> Write {
        let Self { target, parent, pod, state, data, reason } = self;
        let expected = model.assignment(&target).map(|assignment| (assignment.pod, assignment.epoch));
        Write::Assign { target, parent, pod, expected, reason, state, data }
    }
}

/// What the other parts of the control plane say about where targets may go.
pub(super) struct Fleet<'a> {
    /// The pods as the planner takes them.
    pub(super) candidates: Vec<Candidate>,
    /// What a pod is meant to carry.
    pub(super) policy: &'a Policy,
}

impl Heirs {
    /// Adds what is due to a transaction, at most `room` rows. `census` has the reports.
    pub(super) fn board<'a>(
        &mut self,
        model: &Model,
        census: &Census,
        terms: Terms,
        fleet: impl FnOnce() -> Fleet<'a>,
        room: usize,
        batch: &mut Batch,
    ) {
        if room == 0 {
            return;
        }
        // A pod that registers or is buried in this very transaction: what its report means is decided once that stands.
        let turning: HashSet<PodId> = batch.writes.iter().filter_map(turns).cloned().collect();
        if !model.is_settled() {
            return if turning.is_empty() {
                self.settle(model, census, room, batch)
            };
        }
        self.settling = None;
        let end = batch.writes.len() + room;
        let mut taken: HashSet<TargetId> = batch.writes.iter().filter_map(assigns).cloned().collect();
        let reporting = model.pods().filter(|record| record.report && !record.buried);
        for record in reporting.filter(|record| !turning.contains(&record.info.pod)) {
            let Some(report) = census.report(record) else { continue };
            self.give_back(model, record, report, &mut taken, end, batch);
        }
        self.restores.board(model, terms, &mut taken, end, batch);
        let dead: Vec<_> =
            model.pods().filter(|record| record.buried && model.targets_of(&record.info.pod) > 0).collect();
        if dead.is_empty() || batch.writes.len() >= end {
            return;
        }
        let fleet = fleet();
        for record in dead {
            let room = end.saturating_sub(batch.writes.len());
            bequeath(model, record, (&fleet, terms), &mut taken, room, batch);
        }
    }

    /// Forgets what was worked out for a pod under another lease, and for all together when a pod comes or goes.
    pub(super) fn registered(&mut self, record: &PodRecord) {
        self.returning.remove(&record.info.pod);
        self.settling = None;
    }

    /// Adds what a pod gets back, and at last the note that it has reported.
    fn give_back(
        &mut self,
        model: &Model,
        record: &PodRecord,
        report: &Report,
        taken: &mut HashSet<TargetId>,
        end: usize,
        batch: &mut Batch,
    ) {
        let pod = &record.info.pod;
        let left = self.returning.entry(pod.clone()).or_insert_with(|| inheritance(model, record, report));
        for _ in 0..left.len().min(end.saturating_sub(batch.writes.len())) {
            match left.pop_front() {
                Some(due) if taken.contains(&due.target) => left.push_back(due),
                Some(due) => {
                    taken.insert(due.target.clone());
                    batch.writes.push(due.write(model));
                }
                None => break,
            }
        }
        if left.is_empty() && batch.writes.len() < end {
            batch.writes.push(reported(record));
        }
    }
}

/// A pod has reported, and nothing more follows from it: it may be granted its lease.
fn reported(record: &PodRecord) -> Write {
    let (expected, floor) = (Some(record.lease_id), Epoch(0));
    Write::Pod { record: PodRecord { report: false, ..record.clone() }, expected, floor }
}

/// Returns the pod whose record a write changes.
fn turns(write: &Write) -> Option<&PodId> {
    match write {
        Write::Pod { record, .. } | Write::Bury(record) => Some(&record.info.pod),
        _ => None,
    }
}

/// Returns the target that a write gives an owner.
fn assigns(write: &Write) -> Option<&TargetId> {
    match write {
        Write::Assign { target, .. } => Some(target),
        _ => None,
    }
}

/// Works out what a pod gets that has come back and reported: the targets that wait for exactly its copy, and of those that
/// are its own still, the ones it holds under their last epoch. What it does not hold is quarantined.
fn inheritance(model: &Model, record: &PodRecord, report: &Report) -> VecDeque<Due> {
    let pod = &record.info.pod;
    let goes_on = |assignment: &Assignment, epoch: Epoch| {
        let copy = DataAt::new(pod.clone(), record.info.incarnation.clone(), epoch);
        let copy = assignment.data.as_ref().map_or(copy.clone(), |data| restores::returned(data, copy));
        let reason = if epoch == Epoch(0) { UNHEARD } else { RETURNED };
        Due::of(assignment, reason).serving(pod, Some(copy))
    };
    let waiting = model.quarantined(None).filter_map(|assignment| {
        let data = assignment.data.as_ref().filter(|data| data.pod == *pod)?;
        newest(record, report, &assignment.target, data).map(|epoch| goes_on(&assignment, epoch))
    });
    let own = model.assignments_of(pod, None).filter(|assignment| assignment.state == AssignmentState::Serving);
    let own = own.filter_map(|assignment| {
        if names(record, report, &assignment) {
            // Given back by the leader before this one, and the pod has not heard of it yet.
            return None;
        }
        let data = data_of(model, &assignment, record);
        Some(match newest(record, report, &assignment.target, &data) {
            Some(epoch) => goes_on(&assignment, epoch),
            None => Due::of(&assignment, FAILOVER).quarantined(pod, Some(data)),
        })
    });
    waiting.chain(own).collect()
}

/// Adds new homes for a dead pod's targets, as many as there is room for. The planner says where; a target whose parent is
/// homeless too goes where that goes. Where nobody may take them they stay, and are looked at again.
fn bequeath(
    model: &Model,
    dead: &PodRecord,
    (fleet, terms): (&Fleet<'_>, Terms),
    taken: &mut HashSet<TargetId>,
    room: usize,
    batch: &mut Batch,
) {
    let schema = |bot: Option<&PodRecord>| bot.and_then(|record| record.bot.as_ref()).and_then(|bot| bot.schema);
    let from = schema(Some(dead));
    let mut candidates = fleet.candidates.clone();
    candidates.retain(|candidate| may_receive(from, schema(model.pod(&candidate.pod))));
    if !candidates.iter().any(|candidate| candidate.ready && candidate.open && candidate.capacity > 0.0) {
        return;
    }
    let homeless = model.assignments_of(&dead.info.pod, None).filter(|assignment| !taken.contains(&assignment.target));
    // A target may bring its parent along.
    let wanted: Vec<_> = homeless
        .take(room.div_ceil(2))
        .map(|assignment| Wanted { target: assignment.target, parent: assignment.parent, beside: None })
        .collect();
    let lives = |pod: &PodId| model.pod(pod).is_some_and(|record| !record.buried);
    let owner_of = |target: &TargetId| model.owner(target).filter(|pod| lives(pod));
    let said = |target: &TargetId| model.track_said(target);
    for (want, decision) in planner::place(&candidates, fleet.policy, &wanted, owner_of, said) {
        let (Ok(heir), Some(assignment)) = (decision, model.assignment(&want.target)) else { continue };
        // The parent of a target may have been another dead pod's.
        let Some(dead) = model.pod(&assignment.pod) else { continue };
        if taken.insert(want.target) {
            batch.writes.push(inherited(model, terms, &assignment, dead, &heir).write(model));
        }
    }
}

/// A dead pod's target at its heir.
fn inherited(model: &Model, terms: Terms, assignment: &Assignment, dead: &PodRecord, heir: &PodId) -> Due {
    let due = Due::of(assignment, FAILOVER);
    let waits = |data| handed_on(model, terms, heir, data);
    match assignment.state {
        AssignmentState::Serving if dead.loss_accepted => {
            Due { reason: LOSS, ..due }.serving(heir, begins(model, heir))
        }
        AssignmentState::Serving => due.quarantined(heir, Some(waits(data_of(model, assignment, dead)))),
        // The heir before never had it either.
        AssignmentState::Quarantined => due.quarantined(heir, assignment.data.clone().map(waits)),
    }
}

#[cfg(test)]
mod tests;
