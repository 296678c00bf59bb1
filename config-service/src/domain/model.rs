//! Pods and assignments in memory, as the database has them at one revision.

use super::{Change, Edit, SettingRecord, TokenRecord};
use serde::{Deserialize, Serialize};
use shared::wire::control::{Assignment, PodInfo};
use shared::{Epoch, Kind, LeaseId, Platform, PodId, Revision, TargetId};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

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
    /// All tokens of the admin API.
    pub tokens: Vec<TokenRecord>,
    /// All settings that somebody has set.
    pub settings: Vec<SettingRecord>,
}

/// The same, to be asked.
#[derive(Debug, Default)]
pub struct Model {
    revision: Revision,
    epoch: Epoch,
    pods: BTreeMap<PodId, PodRecord>,
    assignments: BTreeMap<TargetId, Assignment>,
    per_pod: BTreeMap<PodId, BTreeSet<TargetId>>,
    tokens: BTreeMap<String, TokenRecord>,
    settings: BTreeMap<String, SettingRecord>,
    per_platform: BTreeMap<Platform, u64>,
    guilds: u64,
}

impl Model {
    /// Makes a model of what was loaded.
    pub fn new(snapshot: Snapshot) -> Self {
        let mut model = Self { revision: snapshot.revision, epoch: snapshot.epoch, ..Self::default() };
        model.pods = snapshot.pods.into_iter().map(|pod| (pod.info.pod.clone(), pod)).collect();
        for assignment in snapshot.assignments {
            model.assign(assignment);
        }
        model.tokens = snapshot.tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        model.settings = snapshot.settings.into_iter().map(|setting| (setting.name.clone(), setting)).collect();
        model
    }

    /// Applies a committed edit.
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::AddToken(token) => drop(self.tokens.insert(token.id.clone(), token)),
            Edit::RemoveToken(id) => drop(self.tokens.remove(&id)),
            Edit::TouchToken { id, used_ms } => {
                if let Some(token) = self.tokens.get_mut(&id) {
                    token.used_ms = token.used_ms.max(Some(used_ms));
                }
            }
            Edit::Set(setting) => drop(self.settings.insert(setting.name.clone(), setting)),
            Edit::Clear(name) => drop(self.settings.remove(&name)),
        }
    }

    /// Returns all tokens, by id.
    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    /// Returns a token.
    pub fn token(&self, id: &str) -> Option<&TokenRecord> {
        self.tokens.get(id)
    }

    /// Returns a setting that somebody has set.
    pub fn setting(&self, name: &str) -> Option<&SettingRecord> {
        self.settings.get(name)
    }

    /// Returns the settings that somebody has set, by name.
    pub fn settings(&self) -> impl ExactSizeIterator<Item = &SettingRecord> {
        self.settings.values()
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
        match self.assignments.insert(target.clone(), assignment) {
            Some(before) => {
                if let Some(targets) = self.per_pod.get_mut(&before.pod) {
                    targets.remove(&target);
                }
            }
            None => {
                *self.per_platform.entry(target.platform()).or_default() += 1;
                self.guilds += u64::from(target.kind() == Kind::Guild);
            }
        }
        self.per_pod.entry(pod).or_default().insert(target);
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
    pub fn assignments<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = &'a Assignment> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.assignments.range::<str, _>((from, Bound::Unbounded)).map(|(_, assignment)| assignment)
    }

    /// Returns the assignments of one platform, or of all, behind `after`, by target. Names begin with their platform, so
    /// that those of one platform lie together.
    pub fn assignments_on<'a>(
        &'a self,
        platform: Option<Platform>,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Assignment> + use<'a> {
        let prefix = platform.map_or_else(String::new, |platform| format!("{platform}:"));
        let from = after.filter(|after| *after > prefix.as_str()).unwrap_or(&prefix);
        let behind = self.assignments.range::<str, _>((Bound::Excluded(from), Bound::Unbounded));
        behind.map(|(_, assignment)| assignment).take_while(move |found| found.target.as_str().starts_with(&prefix))
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

    /// Returns the number of assigned guilds.
    pub fn guilds(&self) -> u64 {
        self.guilds
    }

    /// Returns whether no target is assigned.
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Returns how many targets a pod has.
    pub fn targets_of(&self, pod: &PodId) -> u64 {
        self.per_pod.get(pod).map_or(0, |targets| targets.len() as u64)
    }

    /// Returns the assignments of one pod behind `after`, by target.
    pub fn assignments_of<'a>(
        &'a self,
        pod: &PodId,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Assignment> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let targets = self.per_pod.get(pod).map(|targets| targets.range::<str, _>((from, Bound::Unbounded)));
        targets.into_iter().flatten().filter_map(|target| self.assignments.get(target))
    }

    /// Returns how many targets each platform has.
    pub fn targets_by_platform(&self) -> impl Iterator<Item = (Platform, u64)> {
        Platform::ALL.iter().map(|platform| (*platform, self.per_platform.get(platform).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests;
