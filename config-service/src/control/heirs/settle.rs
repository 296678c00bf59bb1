//! A new generation of the cluster (OWNERSHIP.md, Leases 11): once every known pod has reported what it holds or is dead, every
//! target gets the owner that held it last, by the highest epoch, and a new epoch; then placement goes on. Pure.

use super::{Due, GENERATION, Heirs, begins, reported};
use crate::control::census::{Census, Report};
use crate::domain::{Batch, Model, PodRecord, Write};
use shared::wire::control::{Assignment, AssignmentState, DataAt, Holding};
use shared::{PodId, TargetId};
use std::collections::{BTreeMap, VecDeque};

impl Heirs {
    /// Adds what is due in a generation that is not settled.
    pub(super) fn settle(&mut self, model: &Model, census: &Census, room: usize, batch: &mut Batch) {
        let mut reports = BTreeMap::new();
        for record in model.pods().filter(|record| !record.buried) {
            let Some(report) = census.report(record) else { return };
            reports.insert(&record.info.pod, (record, report));
        }
        // Nobody to hold anything: a cluster whose pods are still to come.
        if reports.is_empty() {
            return;
        }
        let left = self.settling.get_or_insert_with(|| owners(model, &reports));
        for _ in 0..room.saturating_sub(model.pods().len() + 1) {
            let Some(due) = left.pop_front() else { break };
            batch.writes.push(due.write(model));
        }
        if left.is_empty() {
            for (record, _) in reports.into_values() {
                batch.writes.push(reported(record));
            }
            batch.writes.push(Write::Settle(model.epoch().generation()));
            self.settling = None;
        }
    }
}

type Reports<'a> = BTreeMap<&'a PodId, (&'a PodRecord, &'a Report)>;

/// Works out who owns each target, of those that have no owner in this generation yet.
fn owners(model: &Model, reports: &Reports<'_>) -> VecDeque<Due> {
    let mut best: BTreeMap<&TargetId, (&PodRecord, &Holding)> = BTreeMap::new();
    for (record, report) in reports.values() {
        for held in report.all() {
            let newer = |(_, other): &(&PodRecord, &Holding)| (held.whole, held.epoch) > (other.whole, other.epoch);
            if best.get(&held.target).is_none_or(newer) {
                best.insert(&held.target, (record, held));
            }
        }
    }
    let generation = model.epoch().generation();
    let is_open = |assignment: &Assignment| assignment.epoch.generation() < generation;
    let held = best.iter().filter(|(target, _)| model.assignment(target).as_ref().is_none_or(is_open));
    let held = held.map(|(target, (record, held))| keeper(model, target, record, held));
    let unheld = model.assignments(None).filter(|one| is_open(one) && !best.contains_key(&one.target));
    held.chain(unheld.filter_map(|assignment| nobody_holds(model, &assignment))).collect()
}

/// A target goes on where it was owned last.
fn keeper(model: &Model, target: &TargetId, record: &PodRecord, held: &Holding) -> Due {
    let pod = record.info.pod.clone();
    let parent = model.assignment(target).and_then(|assignment| assignment.parent);
    let data = DataAt::new(pod.clone(), record.info.incarnation.clone(), held.epoch);
    // A copy that was given up, and nobody has the one it was given up for: kept, shown, served by nobody.
    let state = if held.whole { AssignmentState::Serving } else { AssignmentState::Quarantined };
    Due { target: target.clone(), parent, pod, state, data: Some(data), reason: GENERATION }
}

/// A target that the database knows and no pod holds. An owner that has reported has never begun it; what was quarantined
/// stays so. A dead one's targets stay until everything is settled: then they fail over as after any death.
fn nobody_holds(model: &Model, assignment: &Assignment) -> Option<Due> {
    let owner = model.pod(&assignment.pod).filter(|owner| !owner.buried)?;
    let mut due = Due::of(assignment, GENERATION);
    Some(match assignment.state {
        AssignmentState::Serving => due.serving(&owner.info.pod, begins(model, &owner.info.pod)),
        // What the database knew of copies is as old as it is.
        AssignmentState::Quarantined => {
            let data = due.data.take().map(|data| DataAt { before: None, ..data });
            Due { data, ..due }
        }
    })
}
