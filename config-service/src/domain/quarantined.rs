//! Which targets wait for their data, counted by pod and by platform. Decides nothing about them.

use super::Held;
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
    /// Notes what an assignment adds.
    pub(super) fn comes(&mut self, held: Held<'_>) {
        if held.state() == AssignmentState::Quarantined {
            self.targets.insert(held.target().clone());
            *self.per_pod.entry(held.pod().clone()).or_default() += 1;
            *self.per_platform.entry(held.target().platform()).or_default() += 1;
            if held.is_restored() {
                *self.restoring.entry(held.pod().clone()).or_default() += 1;
            }
        }
    }

    /// Notes that an assignment is replaced.
    pub(super) fn goes(&mut self, before: &Assignment) {
        if before.state == AssignmentState::Quarantined {
            self.targets.remove(&before.target);
            let counts = [self.per_pod.get_mut(&before.pod), self.per_platform.get_mut(&before.target.platform())];
            counts.into_iter().flatten().for_each(|count| *count -= 1);
            if before.restoring().is_some()
                && let Some(count) = self.restoring.get_mut(&before.pod)
            {
                *count -= 1;
            }
        }
    }
}
