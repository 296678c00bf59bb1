//! Which targets wait for their data, counted by pod and by platform. Decides nothing about them.

use super::Held;
use shared::wire::control::{Assignment, AssignmentState};
use shared::{Platform, PodId, TargetId};
use std::collections::{BTreeMap, BTreeSet};

/// The targets whose owner does not have their data.
#[derive(Debug, Clone, Default)]
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

/// What counts of an assignment.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) pod: PodId,
    state: AssignmentState,
    /// Its owner is to restore its data.
    restored: bool,
}

impl Counted {
    /// Returns what counts of one that is told.
    pub(super) fn of(told: &Assignment) -> Self {
        let restored = told.data.as_ref().is_some_and(|data| data.restoring);
        Self { pod: told.pod.clone(), state: told.state, restored }
    }

    /// Returns what counts of one where it lies.
    pub(super) fn held(held: Held<'_>) -> Self {
        Self { pod: held.pod().clone(), state: held.state(), restored: held.is_restored() }
    }
}

impl Quarantined {
    /// Notes what an assignment adds.
    pub(super) fn comes(&mut self, target: &TargetId, after: &Counted) {
        if after.state == AssignmentState::Quarantined {
            self.targets.insert(target.clone());
            *self.per_pod.entry(after.pod.clone()).or_default() += 1;
            *self.per_platform.entry(target.platform()).or_default() += 1;
            if after.restored {
                *self.restoring.entry(after.pod.clone()).or_default() += 1;
            }
        }
    }

    /// Notes that an assignment is replaced.
    pub(super) fn goes(&mut self, target: &TargetId, before: &Counted) {
        if before.state == AssignmentState::Quarantined {
            self.targets.remove(target);
            let counts = [self.per_pod.get_mut(&before.pod), self.per_platform.get_mut(&target.platform())];
            counts.into_iter().flatten().for_each(|count| *count -= 1);
            if before.restored
                && let Some(count) = self.restoring.get_mut(&before.pod)
            {
                *count -= 1;
            }
        }
    }
}
