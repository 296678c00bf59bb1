//! What becomes of events (I2, I3, I6).

use super::{Invariant, Say, Violation, What};
use crate::{Epoch, Mono, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

#[derive(Debug, Clone, Default)]
struct Seen {
    /// Whose events count.
    begins: Begins,
    acknowledged: BTreeSet<u64>,
    applied: BTreeSet<u64>,
    /// What waits in a pod's mailbox, in the order of acceptance.
    waiting: BTreeMap<PodId, VecDeque<u64>>,
}

/// Since when a target's state is the one that counts.
#[derive(Debug, Clone, Copy, Default)]
enum Begins {
    /// Since there is the target.
    #[default]
    First,
    /// Since the next owner, whom nobody has named yet.
    Next,
    /// Since this epoch: a copy that was given up may still be written, and is nobody's state.
    At(Epoch),
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
            What::Applied { pod, target, epoch, event } => self.applied((pod, target), *epoch, *event, say),
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
                self.targets.insert(target.clone(), Seen { begins: Begins::Next, ..Seen::default() });
            }
            What::TakenUp { target, epoch, holds } => {
                let seen = self.target(target);
                seen.applied.retain(|event| holds.contains(event));
                seen.begins = Begins::At(*epoch);
            }
            What::Assigned { target, epoch, .. } => {
                let seen = self.targets.get_mut(target).filter(|seen| matches!(seen.begins, Begins::Next));
                if let Some(seen) = seen {
                    seen.begins = Begins::At(*epoch);
                }
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

    fn applied(&mut self, (pod, target): (&PodId, &TargetId), epoch: Epoch, event: u64, say: &mut Say<'_>) {
        let seen = self.target(target);
        if matches!(seen.begins, Begins::At(begins) if epoch < begins) {
            return;
        }
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
