//! All assignments, packed: a million of them are held, and copied for whoever reads them meanwhile. What repeats is kept once, what
//! few have is kept apart. Decides nothing about them.

use super::paged::{Named, Paged};
use shared::wire::control::{Assignment, AssignmentState, DataAt};
use shared::{Epoch, PodId, Revision, TargetId};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Assignments, by target. A copy is cheap, and stays as it is.
#[derive(Clone, Default)]
pub struct Assignments {
    rows: Paged<Row>,
    pods: Words<PodId>,
    reasons: Words<Arc<str>>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Row {
    target: TargetId,
    epoch: Epoch,
    revision: Revision,
    since_ms: u64,
    /// Its place among the pods.
    pod: u32,
    /// Its place among the reasons.
    reason: u16,
    state: AssignmentState,
    more: Option<Box<More>>,
}

/// What most have nothing of.
#[derive(Debug, Clone)]
struct More {
    parent: Option<TargetId>,
    data: Option<DataAt>,
}

impl Named for Row {
    fn name(&self) -> &str {
        self.target.as_str()
    }
}

/// An assignment where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    row: &'a Row,
    of: &'a Assignments,
}

impl<'a> Held<'a> {
    /// Returns the target.
    pub fn target(&self) -> &'a TargetId {
        &self.row.target
    }

    /// Returns its owner.
    pub fn pod(&self) -> &'a PodId {
        &self.of.pods.all[self.row.pod as usize]
    }

    /// Returns the guild it belongs to.
    pub fn parent(&self) -> Option<&'a TargetId> {
        self.row.more.as_ref().and_then(|more| more.parent.as_ref())
    }

    /// Returns why it is there.
    pub fn reason(&self) -> &'a str {
        &self.of.reasons.all[usize::from(self.row.reason)]
    }

    /// Returns since when.
    pub fn since_ms(&self) -> u64 {
        self.row.since_ms
    }

    /// Returns whether its owner has its data.
    pub fn state(&self) -> AssignmentState {
        self.row.state
    }

    /// Returns which copy its owner goes on with, or waits for, when that is known.
    pub fn data(&self) -> Option<&'a DataAt> {
        self.row.more.as_ref().and_then(|more| more.data.as_ref())
    }

    /// Returns whether its owner is to restore its data.
    pub fn is_restored(&self) -> bool {
        self.data().is_some_and(|data| data.restoring)
    }

    /// Returns it as it is told.
    pub fn told(&self) -> Assignment {
        let Row { target, epoch, revision, since_ms, state, .. } = self.row;
        Assignment {
            target: target.clone(),
            pod: self.pod().clone(),
            epoch: *epoch,
            revision: *revision,
            parent: self.parent().cloned(),
            reason: self.reason().to_owned(),
            since_ms: *since_ms,
            state: *state,
            data: self.data().cloned(),
        }
    }
}

impl Assignments {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a target's.
    pub fn get(&self, target: &TargetId) -> Option<Held<'_>> {
        self.rows.get(target.as_str()).map(|row| Held { row, of: self })
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        self.rows.iter().map(|row| Held { row, of: self })
    }

    /// Returns all of them as they are told.
    pub fn told(&self) -> impl Iterator<Item = Assignment> {
        self.iter().map(|held| held.told())
    }

    /// Returns those behind a name.
    pub fn after<'a>(&'a self, name: &str) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.rows.after(name).map(|row| Held { row, of: self })
    }

    /// Returns those from a name on.
    pub fn from_name<'a>(&'a self, name: &str) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.rows.from(name).map(|row| Held { row, of: self })
    }

    /// Puts one in; returns the one that it replaces. In the order of their targets is fastest.
    pub fn insert(&mut self, assignment: Assignment) -> Option<Assignment> {
        let Assignment { target, pod, epoch, revision, parent, reason, since_ms, state, data } = assignment;
        let known = self.get(&target);
        let before = known.map(|held| held.told());
        // One copy of each name, whoever brings it.
        let target = known.map_or(target, |held| held.target().clone());
        let parent = parent.map(|parent| self.get(&parent).map_or(parent, |held| held.target().clone()));
        let more = (parent.is_some() || data.is_some()).then(|| Box::new(More { parent, data }));
        let pod = self.pods.number(pod);
        let reason = self.reasons.number(reason.into());
        // There are as many reasons as there are words for them in the code.
        let reason = u16::try_from(reason).unwrap_or(u16::MAX);
        self.rows.insert(Row { target, epoch, revision, since_ms, pod, reason, state, more });
        before
    }
}

impl FromIterator<Assignment> for Assignments {
    fn from_iter<I: IntoIterator<Item = Assignment>>(all: I) -> Self {
        let mut assignments = Self::default();
        for assignment in all {
            assignments.insert(assignment);
        }
        assignments
    }
}

impl PartialEq for Assignments {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.told().eq(other.told())
    }
}

impl fmt::Debug for Assignments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.told()).finish()
    }
}

/// Words that repeat, each kept once and known by its number.
#[derive(Debug, Clone)]
struct Words<T> {
    all: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Words<T> {
    fn number(&mut self, word: T) -> u32 {
        if let Some(number) = self.numbers.get(&word) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(word.clone());
        self.numbers.insert(word, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(n: u64, pod: &str) -> Assignment {
        Assignment {
            target: format!("discord:guild:{n}").parse().expect("valid"),
            pod: pod.parse().expect("valid"),
            epoch: Epoch(n),
            revision: Revision(n + 1),
            parent: (n % 2 == 1).then(|| format!("discord:guild:{}", n - 1).parse().expect("valid")),
            reason: if n == 3 { "manual" } else { "first-contact" }.to_owned(),
            since_ms: n + 2,
            state: if n == 4 { AssignmentState::Quarantined } else { AssignmentState::Serving },
            data: (n == 4).then(|| {
                let life = "0190a1a1-0000-7000-8000-000000000000".parse().expect("valid");
                DataAt::new("gateway-9".parse().expect("valid"), life, Epoch(1))
            }),
        }
    }

    #[test]
    fn what_comes_in_comes_out_and_a_copy_stays_as_it_was() {
        let all: Vec<_> = (0..9).map(|n| assignment(n, "gateway-0")).collect();
        let mut packed: Assignments = all.iter().rev().cloned().collect();
        let copy = packed.clone();
        assert_eq!(packed.insert(assignment(3, "gateway-1")), Some(all[3].clone()));
        assert_eq!(packed.get(&all[3].target).map(|held| held.told()), Some(assignment(3, "gateway-1")));
        assert_eq!(copy.told().collect::<Vec<_>>(), all);
        assert_ne!(packed, copy);
        let behind: Vec<_> = packed.after("discord:guild:6").map(|held| held.told().epoch.0).collect();
        assert_eq!(behind, [7, 8]);
        let from: Vec<_> = packed.from_name("discord:guild:7").map(|held| held.told().epoch.0).collect();
        assert_eq!(from, [7, 8]);
    }

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Row>() <= 56, "{} bytes: a million of them are kept", size_of::<Row>());
    }
}
