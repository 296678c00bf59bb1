//! Pods and assignments in memory, as the database has them at one revision.

use super::Change;
use serde::{Deserialize, Serialize};
use shared::wire::control::{Assignment, PodInfo};
use shared::{Epoch, LeaseId, Platform, PodId, Revision, TargetId};
use std::{collections::BTreeMap, ops::Bound};

/// A pod as the database keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodRecord {
    /// What everybody may know.
    #[serde(flatten)]
    pub info: PodInfo,
    /// Its newest lease.
    pub lease_id: LeaseId,
    /// The schema version of its database.
    pub schema: u32,
    /// The version of its binary.
    pub version: String,
    /// An operator has said that the data of this incarnation is lost: the next one may take over its targets, empty.
    #[serde(default)]
    pub loss_accepted: bool,
}

/// All there is, at one revision.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// The last epoch issued.
    pub epoch: Epoch,
    /// All pods, by name.
    pub pods: Vec<PodRecord>,
    /// All assignments, by target.
    pub assignments: Vec<Assignment>,
}

/// The same, to be asked.
#[derive(Debug, Default)]
pub struct Model {
    revision: Revision,
    epoch: Epoch,
    pods: BTreeMap<PodId, PodRecord>,
    assignments: BTreeMap<TargetId, Assignment>,
    per_pod: BTreeMap<PodId, u64>,
    per_platform: BTreeMap<Platform, u64>,
}

impl Model {
    /// Makes a model of what was loaded.
    pub fn new(snapshot: Snapshot) -> Self {
        let mut model = Self { revision: snapshot.revision, epoch: snapshot.epoch, ..Self::default() };
        model.pods = snapshot.pods.into_iter().map(|pod| (pod.info.pod.clone(), pod)).collect();
        for assignment in snapshot.assignments {
            model.assign(assignment);
        }
        model
    }

    /// Applies a committed change. Changes come in the order of their revisions.
    pub fn apply(&mut self, change: Change) {
        self.revision = self.revision.max(change.revision());
        match change {
            Change::Pod(record) => {
                self.pods.insert(record.info.pod.clone(), record);
            }
            Change::Assignment { assignment, .. } => self.assign(assignment),
        }
    }

    /// Notes the last epoch issued.
    pub fn issued(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    fn assign(&mut self, assignment: Assignment) {
        let (target, pod) = (assignment.target.clone(), assignment.pod.clone());
        *self.per_pod.entry(pod).or_default() += 1;
        match self.assignments.insert(target.clone(), assignment) {
            Some(before) => {
                let count = self.per_pod.entry(before.pod).or_default();
                *count = count.saturating_sub(1);
            }
            None => *self.per_platform.entry(target.platform()).or_default() += 1,
        }
    }

    /// Returns the newest revision.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the last epoch issued.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns a pod.
    pub fn pod(&self, pod: &PodId) -> Option<&PodRecord> {
        self.pods.get(pod)
    }

    /// Returns all pods, by name.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = &PodRecord> {
        self.pods.values()
    }

    /// Returns who owns a target.
    pub fn assignment(&self, target: &TargetId) -> Option<&Assignment> {
        self.assignments.get(target)
    }

    /// Returns all assignments behind `after`, by target.
    pub fn assignments<'a>(&'a self, after: Option<&'a TargetId>) -> impl Iterator<Item = &'a Assignment> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.assignments.range::<TargetId, _>((from, Bound::Unbounded)).map(|(_, assignment)| assignment)
    }

    /// Returns all assignments of targets whose name begins with `prefix`, by target.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Assignment> {
        let range = self.assignments.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let matching = range.take_while(move |(target, _)| target.as_str().starts_with(prefix));
        matching.map(|(_, assignment)| assignment)
    }

    /// Returns the number of assigned targets.
    pub fn len(&self) -> usize {
        self.assignments.len()
    }

    /// Returns whether no target is assigned.
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Returns how many targets a pod has.
    pub fn targets_of(&self, pod: &PodId) -> u64 {
        self.per_pod.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many targets each platform has.
    pub fn targets_by_platform(&self) -> impl Iterator<Item = (Platform, u64)> {
        Platform::ALL.iter().map(|platform| (*platform, self.per_platform.get(platform).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests;
