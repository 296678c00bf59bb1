//! What becomes of events (I2, I3, I6).

use super::{Invariant, Say, Violation, What};
use crate::{Mono, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

#[derive(Debug, Clone, Default)]
struct Seen {
    acknowledged: BTreeSet<u64>,
    applied: BTreeSet<u64>,
    /// What waits in a pod's mailbox, in the order of acceptance.
    waiting: BTreeMap<PodId, VecDeque<u64>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    targets: HashMap<TargetId, Seen>,
    acknowledged: u64,
}

impl Events {
    pub(super) fn handle(&mut self, what: &What, say: &mut Say<'_>) {
        match what {
            What::Accepted { pod, target, event } => {
                let waiting = self.target(target).waiting.entry(pod.clone()).or_default();
                if !waiting.contains(event) {
                    waiting.push_back(*event);
                }
            }
            What::Refused { pod, target, event } => {
                if let Some(waiting) = self.target(target).waiting.get_mut(pod) {
                    waiting.retain(|waiting| waiting != event);
                }
            }
            What::Applied { pod, target, event, .. } => self.applied(pod, target, *event, say),
            What::Acknowledged { target, event, .. } => {
                let new = self.target(target).acknowledged.insert(*event);
                self.acknowledged += u64::from(new);
            }
            What::Restarted { pod } => {
                for seen in self.targets.values_mut() {
                    // What was acknowledged before it was applied stands in the journal and comes back in its place. What was
                    // applied long ago waited only to be answered as a duplicate: that place is gone with the mailbox.
                    let Some(waiting) = seen.waiting.get_mut(pod) else { continue };
                    waiting.retain(|event| seen.acknowledged.contains(event) && !seen.applied.contains(event));
                }
            }
            What::Released { pod, target } => {
                self.target(target).waiting.remove(pod);
            }
            What::Wiped { target } => {
                self.targets.remove(target);
            }
            _ => {}
        }
    }

    fn target(&mut self, target: &TargetId) -> &mut Seen {
        if !self.targets.contains_key(target) {
            self.targets.insert(target.clone(), Seen::default());
        }
        self.targets.get_mut(target).expect("it was just put there")
    }

    fn applied(&mut self, pod: &PodId, target: &TargetId, event: u64, say: &mut Say<'_>) {
        let seen = self.target(target);
        if !seen.applied.insert(event) {
            say(Invariant::NothingTwice, format!("event {event} of {target} was applied again, by {pod}"));
        }
        let Some(waiting) = seen.waiting.get_mut(pod) else { return };
        match waiting.iter().position(|waiting| *waiting == event) {
            Some(0) => {
                waiting.pop_front();
            }
            Some(at) => {
                let first = waiting[0];
                waiting.remove(at);
                let detail = format!("{pod} applied event {event} of {target} before event {first}, accepted earlier");
                say(Invariant::OrderKept, detail);
            }
            None => {}
        }
    }

    pub(super) fn holds(&self, at: Mono, target: &TargetId, times: impl Fn(u64) -> u64) -> Vec<Violation> {
        let Some(seen) = self.targets.get(target) else { return Vec::new() };
        let lost = seen.acknowledged.iter().filter(|event| times(**event) == 0).map(|event| Violation {
            invariant: Invariant::NothingLost,
            at,
            detail: format!("event {event} of {target} was acknowledged and is not there"),
        });
        let all = seen.acknowledged.union(&seen.applied);
        let twice = all.filter(|event| times(**event) > 1).map(|event| Violation {
            invariant: Invariant::NothingTwice,
            at,
            detail: format!("event {event} of {target} has changed state {} times", times(*event)),
        });
        lost.chain(twice).collect()
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
}
