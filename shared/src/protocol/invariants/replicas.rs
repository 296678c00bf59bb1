//! What replicas promise (I13, I14): a sealed lineage says nothing more, and nobody restores what it has already.

use super::{Invariant, Say, What};
use crate::wire::control::Life;
use crate::{Incarnation, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub(super) struct Replicas {
    /// Which lineage each pod's database writes.
    writes: BTreeMap<PodId, Incarnation>,
    sealed: BTreeSet<Life>,
    /// What each pod has applied since the lineage that it writes was sealed.
    since: BTreeMap<PodId, BTreeSet<(TargetId, u64)>>,
    fetched: BTreeSet<(PodId, Life)>,
}

impl Replicas {
    pub(super) fn handle(&mut self, what: &What, say: &mut Say<'_>) {
        match what {
            What::LineageBegan { life } => {
                self.writes.insert(life.pod.clone(), life.incarnation.clone());
                self.since.remove(&life.pod);
            }
            What::Sealed { life } => {
                self.sealed.insert(life.clone());
            }
            What::Applied { pod, target, event, .. } if self.is_sealed(pod) => {
                self.since.entry(pod.clone()).or_default().insert((target.clone(), *event));
            }
            What::Acknowledged { pod, target, event, .. } => {
                let since = self.since.get(pod);
                if since.is_some_and(|since| since.contains(&(target.clone(), *event))) {
                    let detail =
                        format!("{pod} acknowledged event {event} of {target}, committed after its lineage was sealed");
                    say(Invariant::SealedIsSilent, detail);
                }
            }
            What::Fetched { by, from } => {
                let Life { pod, incarnation } = from;
                if !self.fetched.insert((by.clone(), from.clone())) {
                    say(Invariant::RestoredOnce, format!("{by} restored {pod} in incarnation {incarnation} again"));
                }
            }
            What::Forgotten { by, from } => {
                self.fetched.remove(&(by.clone(), from.clone()));
            }
            What::Restarted { pod } => self.fetched.retain(|(by, _)| by != pod),
            _ => {}
        }
    }

    fn is_sealed(&self, pod: &PodId) -> bool {
        let life = self.writes.get(pod).map(|incarnation| Life { pod: pod.clone(), incarnation: incarnation.clone() });
        life.is_some_and(|life| self.sealed.contains(&life))
    }
}
