//! Which targets wait for their data, counted by pod and by platform. Decides nothing about them.

use shared::wire::control::{Assignment, AssignmentState};
use shared::{Platform, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet};

/// The targets whose owner does not have their data.
#[derive(Debug, Default)]
pub(super) struct Quarantined {
    /// All of them.
    pub(super) targets: BTreeSet<TargetId>,
    /// How many each pod has.
    pub(super) per_pod: BTreeMap<PodId, u64>,
    /// How many each pod is to restore.
    pub(super) restoring: BTreeMap<PodId, u64>,
    /// How many each platform has.
    pub(super) per_platform: BTreeMap<Platform, u64>,
}

impl Quarantined {
    /// Notes that an assignment takes the place of the one `before`.
    pub(super) fn turned(&mut self, before: Option<&Assignment>, after: &Assignment) {
        let waits = |one: &&Assignment| one.state == AssignmentState::Quarantined;
        if let Some(gone) = before.filter(waits) {
            self.targets.remove(&gone.target);
            let counts = [self.per_pod.get_mut(&gone.pod), self.per_platform.get_mut(&gone.target.platform())];
            counts.into_iter().flatten().for_each(|count| *count -= 1);
            if restores(gone)
                && let Some(count) = self.restoring.get_mut(&gone.pod)
            {
                *count -= 1;
            }
        }
        if waits(&after) {
            self.targets.insert(after.target.clone());
            *self.per_pod.entry(after.pod.clone()).or_default() += 1;
            *self.per_platform.entry(after.target.platform()).or_default() += 1;
            if restores(after) {
                *self.restoring.entry(after.pod.clone()).or_default() += 1;
            }
        }
    }
}

fn restores(assignment: &Assignment) -> bool {
    assignment.data.as_ref().is_some_and(|data| data.restoring)
}
