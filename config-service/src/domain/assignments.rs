//! All assignments, packed: a million of them are held, and copied for whoever reads them meanwhile. What repeats is kept once, what
//! few have is kept apart. Decides nothing about them.

use super::paged::{Again, Name, Paged};
use shared::wire::control::{Assignment, AssignmentState, DataAt};
use shared::{Epoch, PodId, Revision, TargetId};
use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

/// Assignments, by target. A copy is cheap, and stays as it is.
#[derive(Clone, Default)]
pub struct Assignments {
    rows: Paged<Row>,
    words: Words,
}

/// One of them, but for its target.
#[derive(Debug, Clone, PartialEq)]
struct Row {
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
#[derive(Debug, Clone, PartialEq)]
struct More {
    parent: Option<TargetId>,
    /// Boxed: few have it even among those that have more.
    data: Option<Box<DataAt>>,
}

/// An assignment where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    name: Name<'a>,
    row: &'a Row,
    words: &'a Words,
}

impl Row {
    fn told(&self, target: TargetId, words: &Words) -> Assignment {
        let more = self.more.as_ref();
        Assignment {
            target,
            pod: words.pods.all[self.pod as usize].clone(),
            epoch: self.epoch,
            revision: self.revision,
            parent: more.and_then(|more| more.parent.clone()),
            reason: words.reasons.all[usize::from(self.reason)].to_string(),
            since_ms: self.since_ms,
            state: self.state,
            data: more.and_then(|more| more.data.as_deref()).cloned(),
        }
    }
}

impl<'a> Held<'a> {
    /// Returns the target.
    pub fn target(&self) -> TargetId {
        self.name.target()
    }

    /// Says whether its target's name begins with that.
    pub fn starts_with(&self, beginning: &str) -> bool {
        self.name.starts_with(beginning)
    }

    /// Returns its owner.
    pub fn pod(&self) -> &'a PodId {
        &self.words.pods.all[self.row.pod as usize]
    }

    /// Returns the guild it belongs to.
    pub fn parent(&self) -> Option<&'a TargetId> {
        self.row.more.as_ref().and_then(|more| more.parent.as_ref())
    }

    /// Returns why it is there.
    pub fn reason(&self) -> &'a str {
        &self.words.reasons.all[usize::from(self.row.reason)]
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
        self.row.more.as_ref().and_then(|more| more.data.as_deref())
    }

    /// Returns whether its owner is to restore its data.
    pub fn is_restored(&self) -> bool {
        self.data().is_some_and(|data| data.restoring)
    }

    /// Returns it as it is told.
    pub fn told(&self) -> Assignment {
        self.row.told(self.target(), self.words)
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
        self.named(target.as_str())
    }

    /// Returns that of the target with this name.
    pub fn named(&self, name: &str) -> Option<Held<'_>> {
        self.rows.row(name).map(|row| self.held(row))
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        self.rows.iter().map(|row| self.held(row))
    }

    /// Returns all of them as they are told.
    pub fn told(&self) -> impl Iterator<Item = Assignment> {
        self.iter().map(|held| held.told())
    }

    /// Returns those behind a name.
    pub fn after<'a>(&'a self, name: &str) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.rows.after(name).map(|row| self.held(row))
    }

    /// Returns those from a name on.
    pub fn from_name<'a>(&'a self, name: &str) -> impl Iterator<Item = Held<'a>> + use<'a> {
        self.rows.from(name).map(|row| self.held(row))
    }

    /// Puts one in; returns the one that it replaces. In the order of their targets is fastest.
    pub fn insert(&mut self, assignment: Assignment) -> Option<Assignment> {
        let (target, row) = self.words.row(assignment);
        let before = self.rows.insert(&target, row);
        before.map(|row| row.told(target, &self.words))
    }

    fn held<'a>(&'a self, (name, row): (Name<'a>, &'a Row)) -> Held<'a> {
        Held { name, row, words: &self.words }
    }
}

/// Assignments that are read once more by somebody who has a copy of them already: what is as it was takes no room again.
#[derive(Debug)]
pub struct Reading {
    rows: Again<Row>,
    words: Words,
}

impl Reading {
    /// Begins; nothing of what is `known` comes out but what is read, too.
    pub fn of(known: Assignments) -> Self {
        Self { rows: Again::new(known.rows), words: known.words }
    }

    /// Takes the next one, in the order of their targets.
    pub fn push(&mut self, assignment: Assignment) {
        let (target, row) = self.words.row(assignment);
        self.rows.push(&target, row);
    }

    /// Returns all that were read.
    pub fn done(self) -> Assignments {
        Assignments { rows: self.rows.done(), words: self.words }
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

/// What rows say by number.
#[derive(Debug, Clone, Default)]
struct Words {
    pods: Numbered<PodId>,
    reasons: Numbered<Arc<str>>,
}

impl Words {
    fn row(&mut self, assignment: Assignment) -> (TargetId, Row) {
        let Assignment { target, pod, epoch, revision, parent, reason, since_ms, state, data } = assignment;
        let more = (parent.is_some() || data.is_some()).then(|| Box::new(More { parent, data: data.map(Box::new) }));
        let pod = self.pods.number(&pod, PodId::clone);
        let reason = self.reasons.number(reason.as_str(), |reason| reason.into());
        // There are as many reasons as there are words for them in the code.
        let reason = u16::try_from(reason).unwrap_or(u16::MAX);
        (target, Row { epoch, revision, since_ms, pod, reason, state, more })
    }
}

/// Words that repeat, each kept once and known by its number.
#[derive(Debug, Clone)]
struct Numbered<T> {
    all: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Numbered<T> {
    fn number<W: Ord + ?Sized>(&mut self, word: &W, own: impl FnOnce(&W) -> T) -> u32
    where
        T: Borrow<W>,
    {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let (number, word) = (u32::try_from(self.all.len()).unwrap_or(u32::MAX), own(word));
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
    fn what_is_read_again_is_what_is_read_and_shares_what_is_as_it_was() {
        let known: Assignments = (0..9).map(|n| assignment(n, "gateway-0")).collect();
        let read = |all: &[Assignment]| {
            let mut reading = Reading::of(known.clone());
            all.iter().for_each(|one| reading.push(one.clone()));
            reading.done()
        };
        let same: Vec<_> = known.told().collect();
        assert_eq!(read(&same), known);
        assert!(read(&same).rows.shares(&known.rows), "nothing of it takes room twice");
        let mut others = same[1..].to_vec();
        others[2].pod = "gateway-1".parse().expect("valid");
        assert_eq!(read(&others).told().collect::<Vec<_>>(), others);
    }

    #[test]
    fn a_target_takes_little_room_in_whatever_order_they_came() {
        let mut packed = Assignments::default();
        for n in 0..30_000_u64 {
            let mut one = assignment(2 * (n * 7_919 % 30_000), "gateway-0");
            one.target = format!("discord:guild:{}", 81_384_788_765_712_384 + one.epoch.0).parse().expect("valid");
            packed.insert(one);
        }
        let each = packed.rows.bytes() / packed.len();
        assert!(each <= 68, "{each} bytes: a million of them are kept");
    }
}
