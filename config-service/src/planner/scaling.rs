//! Decides what has to be done next so that as many pods run as are meant to, and no pod is stopped that still owns a target
//! (OPERATORS.md, Kubernetes): what leaves is emptied first, the highest number first. Every step follows from how things
//! stand, so whoever leads next goes on where the last one stopped. Pure.

mod ledger;

pub use ledger::Ledger;

use shared::PodId;
use std::collections::{BTreeMap, BTreeSet};

/// The pods that something starts and stops, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What they are called, before the hyphen and the number.
    pub prefix: String,
    /// The lowest number.
    pub start: u32,
    /// How many are meant to run.
    pub replicas: u32,
    /// The numbers of those that are there, whatever state they are in.
    pub there: BTreeSet<u32>,
    /// They are being replaced by others, in words; none when they are not.
    pub rollout: Option<String>,
}

impl Set {
    /// Returns the number of a pod; none when it is not one of these.
    pub fn ordinal(&self, pod: &PodId) -> Option<u32> {
        ordinal(&self.prefix, pod)
    }

    /// Returns the name of the pod of a number.
    pub fn pod(&self, ordinal: u32) -> Option<PodId> {
        format!("{}-{ordinal}", self.prefix).parse().ok()
    }

    /// Returns which of them are to run on, when `order` pods are to run.
    pub fn range(&self, order: Option<u32>) -> Range {
        let replicas = order.unwrap_or(self.replicas).min(self.replicas);
        Range { prefix: self.prefix.clone(), start: self.start, replicas }
    }

    /// Returns whether a number is among the first `replicas`.
    pub const fn is_within(&self, ordinal: u32, replicas: u32) -> bool {
        ordinal >= self.start && ordinal - self.start < replicas
    }
}

/// The numbers that are to run on: what the planner takes for the StatefulSet's range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    prefix: String,
    start: u32,
    replicas: u32,
}

impl Range {
    /// Returns whether a pod is to run on, as far as its number tells. Whoever has none of these numbers is not asked.
    pub fn keeps(&self, pod: &PodId) -> bool {
        ordinal(&self.prefix, pod).is_none_or(|n| n >= self.start && n - self.start < self.replicas)
    }
}

fn ordinal(prefix: &str, pod: &PodId) -> Option<u32> {
    let digits = pod.as_str().strip_prefix(prefix)?.strip_prefix('-')?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// A pod as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its lease is being renewed and it can do its work.
    pub ready: bool,
    /// It may still act, or it owns something.
    pub matters: bool,
    /// Everything is moved away from it.
    pub draining: bool,
    /// It owns nothing, and nothing moves from it or to it.
    pub empty: bool,
    /// What its drain waits for, or how far it is, in words.
    pub progress: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A pod is wanted again: it keeps what it has.
    Undrain(PodId),
    /// A pod leaves: everything is moved away from it.
    Drain(PodId),
    /// So many pods are to run.
    Scale {
        /// How many are meant to run now.
        from: u32,
        /// How many there are to be.
        to: u32,
    },
    /// As many run as were ordered.
    Done,
    /// Nothing, until this has happened.
    Wait(String),
}

/// Returns what is to be done next, in order: for the pods in `known`, when `order` pods are to run, and `emptied` were
/// drained because they left.
pub fn next(set: &Set, known: &BTreeMap<PodId, Known>, order: Option<u32>, emptied: &BTreeSet<PodId>) -> Vec<Step> {
    let keep = order.unwrap_or(set.replicas).min(set.replicas);
    let mut numbered: Vec<_> = known.iter().filter_map(|(pod, known)| Some((set.ordinal(pod)?, pod, known))).collect();
    numbered.sort_by_key(|(ordinal, ..)| std::cmp::Reverse(*ordinal));
    let (mut steps, mut left) = (Vec::new(), None);
    for (ordinal, pod, known) in &numbered {
        if set.is_within(*ordinal, keep) {
            // A number that is about to run again is wanted before its pod is there.
            if emptied.contains(*pod) {
                steps.push(Step::Undrain((*pod).clone()));
            }
        } else {
            if known.matters && !known.draining {
                steps.push(Step::Drain((*pod).clone()));
            }
            if known.matters && !(known.draining && known.empty) {
                left.get_or_insert_with(|| format!("{pod} is being emptied: {}", known.progress));
            }
        }
    }
    let Some(to) = order else { return steps };
    steps.push(match left {
        // What was taken back while pods were leaving runs on: only those that go have to be empty.
        Some(why) if to < set.replicas => Step::Wait(why),
        _ if to != set.replicas => Step::Scale { from: set.replicas, to },
        _ => arrived(set, known, to),
    });
    steps
}

/// Says whether those run that are meant to, and no other.
fn arrived(set: &Set, known: &BTreeMap<PodId, Known>, to: u32) -> Step {
    if let Some(ordinal) = set.there.iter().rev().find(|ordinal| !set.is_within(**ordinal, to)) {
        return Step::Wait(format!("{}-{ordinal} is stopping", set.prefix));
    }
    for ordinal in set.start..set.start.saturating_add(to) {
        let ready = set.pod(ordinal).and_then(|pod| known.get(&pod)).is_some_and(|known| known.ready);
        if !ready || !set.there.contains(&ordinal) {
            return Step::Wait(format!("{}-{ordinal} is not ready yet", set.prefix));
        }
    }
    Step::Done
}

#[cfg(test)]
mod tests;
