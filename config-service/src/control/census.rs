//! What pods say that their databases hold, part by part (OWNERSHIP.md, Leases 11 and Data 5). Lives in memory only: a leader
//! that did not hear a report has it told again. Decides nothing about who gets what. Pure.

use super::ControlError;
use crate::domain::PodRecord;
use shared::wire::control::{Holding, Holdings};
use shared::{Incarnation, LeaseId, PodId, TargetId};
use std::collections::BTreeMap;

/// The most targets in one part of a report.
pub(crate) const MAX_PART: usize = 5_000;
/// The most lives that a part names.
const MAX_LIVES: usize = 100;

/// The reports of one term.
#[derive(Debug, Default)]
pub(super) struct Census {
    reports: BTreeMap<PodId, Report>,
    /// The most targets of one report.
    limit: usize,
}

/// What one pod has said.
#[derive(Debug, Default)]
pub(super) struct Report {
    lease: LeaseId,
    complete: bool,
    /// The lives of the folder that are over.
    lives: Vec<Incarnation>,
    holdings: BTreeMap<TargetId, Holding>,
}

impl Report {
    /// Makes the report of what stands in the replica of one life of a folder.
    pub(super) fn of_life(life: Incarnation, holdings: &[Holding]) -> Self {
        let holdings = holdings.iter().map(|held| (held.target.clone(), held.clone())).collect();
        Self { lease: LeaseId(0), complete: true, lives: vec![life], holdings }
    }

    /// Returns what the pod holds of a target.
    pub(super) fn of(&self, target: &TargetId) -> Option<&Holding> {
        self.holdings.get(target)
    }

    /// Returns whether the pod's folder is the one that lived as `life`.
    pub(super) fn is_of(&self, record: &PodRecord, life: &Incarnation) -> bool {
        record.info.incarnation == *life || self.lives.contains(life)
    }

    /// Returns everything, by target.
    pub(super) fn all(&self) -> impl Iterator<Item = &Holding> {
        self.holdings.values()
    }
}

impl Census {
    /// Makes an empty census in which a pod may report `limit` targets.
    pub(super) fn new(limit: usize) -> Self {
        Self { reports: BTreeMap::new(), limit }
    }

    /// Takes a part of a report; returns how many targets of it are known now. A part may come twice. A pod that has
    /// registered anew begins anew.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn take(&mut self, record: &PodRecord, part: Holdings) -> Result<u64, ControlError> {
        let pod = &record.info.pod;
        if record.info.incarnation != part.incarnation {
            return Err(ControlError::WrongIncarnation(pod.clone()));
        }
        if record.lease_id != part.lease_id {
            return Err(ControlError::LeaseSuperseded(pod.clone()));
        }
        if !record.report {
            return Ok(0);
        }
        let report = self.reports.entry(pod.clone()).or_default();
        if report.lease != part.lease_id {
            *report = Report { lease: part.lease_id, ..Report::default() };
        }
        if part.targets.len() > MAX_PART || report.holdings.len() + part.targets.len() > self.limit {
            let text = format!("a report has at most {MAX_PART} targets in a part and {} in all", self.limit);
            return Err(ControlError::Invalid(text));
        }
        if part.lives.len() > MAX_LIVES {
            return Err(ControlError::Invalid(format!("a report names at most {MAX_LIVES} lives")));
        }
        report.lives = part.lives;
        report.holdings.extend(part.targets.into_iter().map(|holding| (holding.target.clone(), holding)));
        report.complete |= !part.more;
        Ok(report.holdings.len() as u64)
    }

    /// Returns the whole report that a pod has made under its newest lease; none while a part of it is missing.
    pub(super) fn report(&self, record: &PodRecord) -> Option<&Report> {
        let report = self.reports.get(&record.info.pod)?;
        (report.complete && report.lease == record.lease_id).then_some(report)
    }

    /// Forgets a report: what followed from it is committed.
    pub(super) fn forget(&mut self, pod: &PodId) {
        self.reports.remove(pod);
    }
}
