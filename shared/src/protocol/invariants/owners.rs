//! Who serves what (I1, I4, I5). Knows leases only as points of the true clock until which a pod may act.

use super::{Invariant, Say, What};
use crate::{Epoch, Mono, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Debug, Clone, Default)]
struct Ownerships {
    /// Who was given which epoch.
    issued: BTreeMap<Epoch, PodId>,
    /// Who serves it when their leases allow it.
    served_by: BTreeMap<PodId, Epoch>,
    /// The highest epoch anybody acted under.
    acted: Epoch,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    targets: HashMap<TargetId, Ownerships>,
    leases: BTreeMap<PodId, Mono>,
    owned: BTreeMap<PodId, BTreeSet<TargetId>>,
}

impl Owners {
    pub(super) fn handle(&mut self, at: Mono, what: &What, say: &mut Say<'_>) {
        match what {
            What::Assigned { target, pod, epoch } => self.assigned(target, pod, *epoch, say),
            What::Held { pod, until } => {
                let before = self.leases.insert(pod.clone(), *until).unwrap_or_default();
                if before <= at && *until > at {
                    for target in self.owned.get(pod).into_iter().flatten() {
                        self.alone(at, target, pod, say);
                    }
                }
            }
            What::Buried { mark, proven: false } if self.acts(&mark.pod, at) => {
                say(Invariant::OneOwner, format!("{} was failed over while its lease lets it act", mark.pod));
            }
            What::Stopped { pod } => {
                self.leases.remove(pod);
            }
            What::Acquired { pod, target, epoch } => {
                self.own_epoch(target, pod, *epoch, "serves", say);
                self.owned.entry(pod.clone()).or_default().insert(target.clone());
                self.targets.entry(target.clone()).or_default().served_by.insert(pod.clone(), *epoch);
                if self.acts(pod, at) {
                    self.alone(at, target, pod, say);
                }
            }
            What::Released { pod, target } => self.released(pod, target),
            What::Restarted { pod } => {
                self.leases.remove(pod);
                for target in self.owned.remove(pod).unwrap_or_default() {
                    if let Some(ownerships) = self.targets.get_mut(&target) {
                        ownerships.served_by.remove(pod);
                    }
                }
            }
            // A commit that was begun in time may become durable late; that it was begun is told as an effect.
            What::Applied { pod, target, epoch, .. } => self.own_epoch(target, pod, *epoch, "applies events of", say),
            What::Acknowledged { pod, target, epoch, .. } | What::Effect { pod, target, epoch } => {
                self.acted(target, pod, *epoch, say)
            }
            _ => {}
        }
    }

    fn assigned(&mut self, target: &TargetId, pod: &PodId, epoch: Epoch, say: &mut Say<'_>) {
        let issued = &mut self.targets.entry(target.clone()).or_default().issued;
        if let Some((last, _)) = issued.last_key_value().filter(|(last, _)| **last >= epoch) {
            say(
                Invariant::EpochsIncrease,
                format!("{target} was given to {pod} under epoch {epoch}, after epoch {last}"),
            );
        }
        issued.entry(epoch).or_insert_with(|| pod.clone());
    }

    fn released(&mut self, pod: &PodId, target: &TargetId) {
        if let Some(owned) = self.owned.get_mut(pod) {
            owned.remove(target);
        }
        if let Some(ownerships) = self.targets.get_mut(target) {
            ownerships.served_by.remove(pod);
        }
    }

    /// An epoch belongs to whom it was issued to; where nobody saw it issued, to whoever is first seen under it.
    fn own_epoch(&mut self, target: &TargetId, pod: &PodId, epoch: Epoch, does: &str, say: &mut Say<'_>) {
        let ownerships = self.targets.entry(target.clone()).or_default();
        let owner = ownerships.issued.entry(epoch).or_insert_with(|| pod.clone());
        if owner != pod {
            say(
                Invariant::OwnEpochOnly,
                format!("{pod} {does} {target} under epoch {epoch}, which was issued to {owner}"),
            );
        }
    }

    fn acted(&mut self, target: &TargetId, pod: &PodId, epoch: Epoch, say: &mut Say<'_>) {
        self.own_epoch(target, pod, epoch, "acts for", say);
        let ownerships = self.targets.entry(target.clone()).or_default();
        if epoch < ownerships.acted {
            let detail =
                format!("{pod} acts for {target} under epoch {epoch} after {} was acted under", ownerships.acted);
            say(Invariant::OneOwner, detail);
        }
        let late = epoch < ownerships.acted;
        ownerships.acted = ownerships.acted.max(epoch);
        let newest = ownerships.issued.last_key_value().filter(|(newest, owner)| **newest > epoch && *owner != pod);
        if let Some((newest, owner)) = newest.filter(|_| !late) {
            let detail =
                format!("{pod} acts for {target} under epoch {epoch} after it was given to {owner} under {newest}");
            say(Invariant::OneOwner, detail);
        }
    }

    /// Whether a pod may act at this instant.
    fn acts(&self, pod: &PodId, at: Mono) -> bool {
        self.leases.get(pod).is_some_and(|until| *until > at)
    }

    fn alone(&self, at: Mono, target: &TargetId, pod: &PodId, say: &mut Say<'_>) {
        let Some(ownerships) = self.targets.get(target) else { return };
        for (other, epoch) in ownerships.served_by.iter().filter(|(other, _)| *other != pod && self.acts(other, at)) {
            say(Invariant::OneOwner, format!("{pod} begins to serve {target} while {other} does under epoch {epoch}"));
        }
    }

    /// Returns the pods that the newest epochs were issued to, and how many targets each has.
    pub(super) fn burden(&self) -> BTreeMap<&PodId, u64> {
        let mut burden = BTreeMap::new();
        for owner in self.targets.values().filter_map(|target| target.issued.last_key_value()) {
            *burden.entry(owner.1).or_default() += 1;
        }
        burden
    }

    /// Returns whom an epoch of a target was issued to.
    pub(super) fn issued_to(&self, target: &TargetId, epoch: Epoch) -> Option<&PodId> {
        self.targets.get(target).and_then(|ownerships| ownerships.issued.get(&epoch))
    }
}
