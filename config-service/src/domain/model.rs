//! Pods and assignments in memory, as the database has them at one revision.

use super::{
    Assignments, Change, Edit, Fencing, Held, Hold, Holds, Marks, Members, SettingRecord, TokenRecord,
    moves::Running,
    paged::Paged,
    quarantined::{Counted, Quarantined},
};
use serde::{Deserialize, Serialize};
use shared::wire::{
    admin::Plan,
    control::{Assignment, BotInfo, PodInfo, Track},
    handoff::Move,
};
use shared::{Epoch, Incarnation, Kind, LeaseId, MoveId, Platform, PodId, Revision, TargetId};
use std::{collections::BTreeMap, ops::Bound};

/// Why a target is where it began: nobody had it before.
pub const FIRST_CONTACT: &str = "first-contact";

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
    /// This incarnation was failed over: it is over for good (OWNERSHIP.md, Leases 5).
    #[serde(default)]
    pub buried: bool,
    /// The last incarnation before this one that can have served: the one before it that had nothing to report any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Incarnation>,
    /// It has to say what its database holds before it is granted anything: it came back after it was buried, or the
    /// generation is new.
    #[serde(default)]
    pub report: bool,
    /// The bot it runs, as it said when it registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotInfo>,
    /// Where its database is replicated to, as it said when it registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Which targets it is for while a new version is tried, as it said when it registered.
    #[serde(default)]
    pub track: Track,
    /// What operators have said of it. Only [`Change::Marked`] changes that: a registration keeps what stands.
    #[serde(skip)]
    pub marks: Marks,
}

impl PodRecord {
    /// Returns the last life of the pod that can have served: this one, unless it has to report first.
    pub fn last_served(&self) -> Option<&Incarnation> {
        if self.report { self.previous.as_ref() } else { Some(&self.info.incarnation) }
    }
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
    pub assignments: Assignments,
    /// All moves that are not over, by number.
    pub moves: Vec<Move>,
    /// All tokens of the admin API.
    pub tokens: Vec<TokenRecord>,
    /// All settings that somebody has set.
    pub settings: Vec<SettingRecord>,
    /// The witness config.
    pub members: Members,
    /// How far pods are fenced, by name.
    pub fencing: Vec<Fencing>,
    /// The newest generation in which it is known who holds what.
    pub settled: u32,
    /// All plans whose moves are being made.
    pub plans: Vec<Plan>,
    /// What holds targets where they are, by target.
    pub holds: Vec<(TargetId, Hold)>,
}

/// The same, to be asked. A copy shares what is large.
#[derive(Debug, Clone, Default)]
pub struct Model {
    revision: Revision,
    epoch: Epoch,
    pods: BTreeMap<PodId, PodRecord>,
    assignments: Assignments,
    per_pod: BTreeMap<PodId, Paged<()>>,
    moves: Running,
    tokens: BTreeMap<String, TokenRecord>,
    settings: BTreeMap<String, SettingRecord>,
    per_platform: BTreeMap<Platform, u64>,
    guilds: u64,
    quarantined: Quarantined,
    members: Members,
    fencing: BTreeMap<PodId, Fencing>,
    settled: u32,
    holds: Holds,
}

impl Model {
    /// Makes a model of what was loaded.
    pub fn new(snapshot: Snapshot) -> Self {
        let mut model = Self { revision: snapshot.revision, epoch: snapshot.epoch, ..Self::default() };
        model.pods = snapshot.pods.into_iter().map(|pod| (pod.info.pod.clone(), pod)).collect();
        for held in snapshot.assignments.iter() {
            model.count(&held.target(), &Counted::held(held));
        }
        model.assignments = snapshot.assignments;
        snapshot.moves.into_iter().for_each(|entry| model.moves.apply(entry));
        model.replace_edits(snapshot.tokens, snapshot.settings);
        model.fencing = snapshot.fencing.into_iter().map(|fencing| (fencing.pod.clone(), fencing)).collect();
        (model.members, model.settled) = (snapshot.members, snapshot.settled);
        snapshot.holds.into_iter().for_each(|(target, hold)| model.holds.set(target, hold));
        model
    }

    /// Makes a model of what was loaded but for the assignments, and of those that a copy has that followed: what they have become
    /// since is among the `changes`. Nothing else of the copy counts.
    pub fn caught_up(copy: Self, rest: Snapshot, changes: Vec<Change>) -> Self {
        let mut model = Self::new(Snapshot { assignments: Assignments::default(), ..rest });
        let Self { assignments, per_pod, per_platform, guilds, quarantined, .. } = copy;
        (model.assignments, model.per_pod, model.per_platform) = (assignments, per_pod, per_platform);
        (model.guilds, model.quarantined) = (guilds, quarantined);
        for change in changes {
            if let Change::Assignment { assignment, .. } = change {
                model.assign(assignment);
            }
        }
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

    /// Takes all tokens and settings in place of those it had.
    pub fn replace_edits(&mut self, tokens: Vec<TokenRecord>, settings: Vec<SettingRecord>) {
        self.tokens = tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
        self.settings = settings.into_iter().map(|setting| (setting.name.clone(), setting)).collect();
    }

    /// Returns what watchers may know of it all: no tokens, no settings.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            revision: self.revision,
            epoch: self.epoch,
            pods: self.pods().cloned().collect(),
            assignments: self.assignments.clone(),
            moves: self.moves().cloned().collect(),
            ..Snapshot::default()
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
            Change::Pod(mut record) => {
                record.marks = self.pod(&record.info.pod).map(|known| known.marks).unwrap_or_default();
                self.pods.insert(record.info.pod.clone(), record);
            }
            Change::Assignment { assignment, .. } => self.assign(assignment),
            Change::Members { members, .. } => self.members = members,
            Change::Fencing { fencing, .. } => drop(self.fencing.insert(fencing.pod.clone(), fencing)),
            Change::Settled { generation, .. } => self.settled = generation,
            Change::Move(entry) => self.moves.apply(entry),
            Change::Held { target, hold, .. } => self.holds.set(target, hold),
            // What is at work on a plan keeps it itself.
            Change::Plan { .. } => {}
            Change::Marked { pod, marks, .. } => {
                if let Some(record) = self.pods.get_mut(&pod) {
                    record.marks = marks;
                }
            }
        }
    }

    /// Notes the last epoch issued.
    pub fn issued(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    fn assign(&mut self, assignment: Assignment) {
        let (target, after) = (assignment.target.clone(), Counted::of(&assignment));
        if let Some(before) = self.assignments.insert(assignment) {
            self.uncount(&target, &Counted::of(&before));
        }
        self.count(&target, &after);
    }

    fn count(&mut self, target: &TargetId, after: &Counted) {
        self.quarantined.comes(target, after);
        *self.per_platform.entry(target.platform()).or_default() += 1;
        self.guilds += u64::from(target.kind() == Kind::Guild);
        match self.per_pod.get_mut(&after.pod) {
            Some(targets) => drop(targets.insert(target, ())),
            None => drop(self.per_pod.entry(after.pod.clone()).or_default().insert(target, ())),
        }
    }

    fn uncount(&mut self, target: &TargetId, before: &Counted) {
        self.quarantined.goes(target, before);
        if let Some(count) = self.per_platform.get_mut(&target.platform()) {
            *count -= 1;
        }
        self.guilds -= u64::from(target.kind() == Kind::Guild);
        if let Some(targets) = self.per_pod.get_mut(&before.pod) {
            targets.remove(target.as_str());
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

    /// Returns the witness config.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Returns how far pods are fenced, by name.
    pub fn fencing(&self) -> impl ExactSizeIterator<Item = &Fencing> {
        self.fencing.values()
    }

    /// Returns how far a pod is fenced; none when it never was.
    pub fn fencing_of(&self, pod: &PodId) -> Option<&Fencing> {
        self.fencing.get(pod)
    }

    /// Returns whether it is known who holds what in the generation of the database: without that nothing is placed.
    pub fn is_settled(&self) -> bool {
        self.settled >= self.epoch.generation()
    }

    /// Returns the newest generation in which it is known who holds what.
    pub fn settled(&self) -> u32 {
        self.settled
    }

    /// Returns a pod.
    pub fn pod(&self, pod: &PodId) -> Option<&PodRecord> {
        self.pods.get(pod)
    }

    /// Returns all pods, by name.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = &PodRecord> {
        self.pods.values()
    }

    /// Returns all moves that are not over, by number.
    pub fn moves(&self) -> impl ExactSizeIterator<Item = &Move> + DoubleEndedIterator {
        self.moves.all()
    }

    /// Returns a move that is not over.
    pub fn moving(&self, id: MoveId) -> Option<&Move> {
        self.moves.get(id)
    }

    /// Returns the newest move of a target, if it is not over.
    pub fn move_of(&self, target: &TargetId) -> Option<&Move> {
        self.moves.of(target)
    }

    /// Returns what holds a target where it is; none when nothing does but the time since it moved.
    pub fn hold(&self, target: &TargetId) -> Option<&Hold> {
        self.holds.get(target)
    }

    /// Returns what holds targets where they are.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Returns a target's assignment.
    pub fn assignment(&self, target: &TargetId) -> Option<Assignment> {
        self.assignments.get(target).map(|held| held.told())
    }

    /// Returns who owns a target.
    pub fn owner(&self, target: &TargetId) -> Option<&PodId> {
        self.assignments.get(target).map(|held| held.pod())
    }

    /// Returns all assignments as they are now, whatever becomes of them.
    pub fn all(&self) -> &Assignments {
        &self.assignments
    }

    /// Returns all assignments behind `after`, by target.
    pub fn assignments(&self, after: Option<&str>) -> impl Iterator<Item = Assignment> + use<'_> {
        self.assignments.after(after.unwrap_or_default()).map(|held| held.told())
    }

    /// Returns the assignments of one platform, or of all, behind `after`, by target. Names begin with their platform, so
    /// that those of one platform lie together.
    pub fn assignments_on(
        &self,
        platform: Option<Platform>,
        after: Option<&str>,
    ) -> impl Iterator<Item = Assignment> + use<'_> {
        let prefix = platform.map_or_else(String::new, |platform| format!("{platform}:"));
        let from = after.filter(|after| *after > prefix.as_str()).unwrap_or(&prefix);
        let behind = self.assignments.after(from);
        behind.take_while(move |held| held.starts_with(&prefix)).map(|held| held.told())
    }

    /// Returns all assignments of targets whose name begins with `prefix`, by target.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Assignment> + use<'a> {
        let from = self.assignments.from_name(prefix);
        from.take_while(move |held| held.starts_with(prefix)).map(|held| held.told())
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
    pub fn assignments_of(&self, pod: &PodId, after: Option<&str>) -> impl Iterator<Item = Assignment> + use<'_> {
        self.held_by(pod, after).map(|held| held.told())
    }

    /// Returns the same where they lie, for whoever looks at very many.
    pub fn held_by(&self, pod: &PodId, after: Option<&str>) -> impl Iterator<Item = Held<'_>> + use<'_> {
        let targets = self.per_pod.get(pod).map(|targets| targets.after(after.unwrap_or_default()));
        targets.into_iter().flatten().filter_map(|(target, ())| self.assignments.named(&target.to_string()))
    }

    /// Returns the assignments whose data is not reachable, behind `after`, by target.
    pub fn quarantined<'a>(&'a self, after: Option<&'a str>) -> impl Iterator<Item = Assignment> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let targets = self.quarantined.targets.range::<str, _>((from, Bound::Unbounded));
        targets.filter_map(|target| self.assignment(target))
    }

    /// Returns how many targets' data is not reachable.
    pub fn quarantined_len(&self) -> usize {
        self.quarantined.targets.len()
    }

    /// Returns how many targets of a pod wait there for their data.
    pub fn quarantined_at(&self, pod: &PodId) -> u64 {
        self.quarantined.per_pod.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many targets of a pod it is to restore.
    pub fn restoring_at(&self, pod: &PodId) -> u64 {
        self.quarantined.restoring.get(pod).copied().unwrap_or_default()
    }

    /// Returns how many targets of a platform wait for their data.
    pub fn quarantined_on(&self, platform: Platform) -> u64 {
        self.quarantined.per_platform.get(&platform).copied().unwrap_or_default()
    }

    /// Returns how many targets each platform has.
    pub fn targets_by_platform(&self) -> impl Iterator<Item = (Platform, u64)> {
        Platform::ALL.iter().map(|platform| (*platform, self.per_platform.get(platform).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
