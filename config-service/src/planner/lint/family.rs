//! Who belongs together, found once more: by going through names, not as the planner does it.

use crate::planner::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// Each target's family: its guild and channels, and the groups that are to stay whole.
pub(super) struct Families {
    /// The family of each target that has one.
    number: BTreeMap<usize, usize>,
    all: Vec<Vec<usize>>,
    /// Targets without one.
    alone: Vec<[usize; 1]>,
}

impl Families {
    /// Finds them.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let targets = snapshot.targets();
        let mut next = BTreeMap::<usize, BTreeSet<usize>>::new();
        let mut groups = BTreeMap::<&str, usize>::new();
        let mut link = |a: usize, b: usize| {
            next.entry(a).or_default().insert(b);
            next.entry(b).or_default().insert(a);
        };
        for (at, view) in targets.iter().enumerate() {
            if let Some(parent) = snapshot.parent_of(view) {
                link(at, parent);
            }
            if let Some(group) = view.rules.as_ref().and_then(|rules| rules.group.as_ref()).filter(|group| group.whole)
            {
                link(*groups.entry(&group.name).or_insert(at), at);
            }
        }
        let (mut number, mut all) = (BTreeMap::new(), Vec::new());
        for first in next.keys() {
            if number.contains_key(first) {
                continue;
            }
            let (mut open, mut family) = (vec![*first], BTreeSet::new());
            while let Some(at) = open.pop() {
                if family.insert(at) {
                    number.insert(at, all.len());
                    open.extend(&next[&at]);
                }
            }
            all.push(family.into_iter().collect());
        }
        Self { number, all, alone: (0..targets.len()).map(|at| [at]).collect() }
    }

    /// Returns all of a target's family, itself among them, by name.
    pub(super) fn of_target(&self, at: usize) -> &[usize] {
        self.number.get(&at).map_or(&self.alone[at][..], |number| &self.all[*number])
    }

    /// Returns the name that a family draws its track by: its first group's, else that of the first one's eldest.
    pub(super) fn name<'s>(&self, snapshot: &'s Snapshot, at: usize) -> &'s str {
        let family = self.of_target(at);
        let group = |at: &usize| snapshot.targets()[*at].rules.as_ref().and_then(|rules| rules.group.as_ref());
        let whole = family.iter().filter_map(group).filter(|group| group.whole).map(|group| group.name.as_str()).min();
        let mut eldest = family[0];
        for _ in 0..8 {
            match snapshot.parent_of(&snapshot.targets()[eldest]) {
                None => break,
                Some(parent) => eldest = parent,
            }
        }
        whole.unwrap_or(snapshot.targets()[eldest].target.as_str())
    }
}
