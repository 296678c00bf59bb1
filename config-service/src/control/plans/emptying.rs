//! Drains that nobody has planned: which pods are emptied without a plan that says where everything goes, and for how long their
//! targets wait for the leader's own. What has no place in a plan goes where a first contact would. Pure.

use super::{super::moves::Moves, Shape};
use crate::domain::By;
use shared::wire::admin::{PlanHead, PlanState};
use shared::wire::control::PodState;
use shared::{Mono, PodId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Who makes such plans.
const ACTOR: &str = "drain";

/// How long the targets of a pod wait for its plan.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long until a plan is made once more for a pod that is in none that is carried out.
const AGAIN: Duration = Duration::from_secs(30);

/// How often at most.
const TIMES: u8 = 4;

/// Most pods whose names are in the reason.
const NAMED: usize = 3;

/// The pods that are drained without a plan.
#[derive(Debug, Default)]
pub(super) struct Emptying {
    pods: BTreeMap<PodId, Wait>,
    /// Those whose targets wait.
    waiting: BTreeSet<PodId>,
}

/// One of them.
#[derive(Debug)]
struct Wait {
    since: Mono,
    /// When the planner was asked last, and how often.
    asked: Option<Mono>,
    times: u8,
    /// It has found nothing to do for it.
    in_vain: bool,
}

impl Emptying {
    /// Looks which they are.
    pub(super) fn look(&mut self, shape: &Shape<'_>, moves: &Moves) {
        if !shape.model.pods().any(|record| record.marks.draining) {
            self.pods.clear();
            self.waiting.clear();
            return;
        }
        // One that sends targets to a pod that takes none any more, drained after it, say, is no plan for them.
        let closed = |pod: &PodId| shape.model.pod(pod).is_none_or(|record| record.buried || !record.marks.open());
        let sends = |head: &&PlanHead| {
            let mut others = head.basis.pods.keys().filter(|pod| !head.drains.contains(pod));
            head.state == PlanState::Applying && !others.any(closed)
        };
        let planned: BTreeSet<_> = moves.plans().filter(sends).flat_map(|head| &head.drains).collect();
        let states = shape.fleet.states(shape.model, shape.now);
        let drained: BTreeSet<_> = states
            .filter(|(record, state)| record.marks.draining && *state == PodState::Ready)
            .map(|(record, _)| &record.info.pod)
            .filter(|pod| shape.model.targets_of(pod) > 0 && !planned.contains(*pod))
            .collect();
        self.pods.retain(|pod, _| drained.contains(pod));
        for pod in drained {
            let wait = || Wait { since: shape.now, asked: None, times: 0, in_vain: false };
            self.pods.entry(pod.clone()).or_insert_with(wait);
        }
        let waits = |wait: &Wait| !wait.in_vain && shape.now.since(wait.since) < PATIENCE;
        self.waiting = self.pods.iter().filter(|(_, wait)| waits(wait)).map(|(pod, _)| pod.clone()).collect();
    }

    /// Returns the pods for which a plan is to be made now: one for all of them.
    pub(super) fn due(&mut self, now: Mono) -> Vec<PodId> {
        let due = |wait: &Wait| wait.times < TIMES && wait.asked.is_none_or(|asked| now.since(asked) >= AGAIN);
        if !self.pods.values().any(due) {
            return Vec::new();
        }
        for wait in self.pods.values_mut() {
            (wait.asked, wait.times) = (Some(now), wait.times.saturating_add(1));
        }
        self.pods.keys().cloned().collect()
    }

    /// Notes that there is no plan for those: they are emptied without one.
    pub(super) fn in_vain(&mut self, pods: &[PodId]) {
        for pod in pods {
            self.waiting.remove(pod);
            if let Some(wait) = self.pods.get_mut(pod) {
                wait.in_vain = true;
            }
        }
    }

    /// Returns the pods whose targets wait until it is planned where they go.
    pub(super) fn waiting(&self) -> &BTreeSet<PodId> {
        &self.waiting
    }
}

/// On whose word those pods are planned to be emptied.
pub(super) fn by(pods: &[PodId]) -> By {
    let reason = match pods {
        [pod] => format!("{pod} is drained"),
        pods if pods.len() <= NAMED => {
            format!("{} are drained", pods.iter().map(PodId::as_str).collect::<Vec<_>>().join(", "))
        }
        pods => format!("{} pods are drained", pods.len()),
    };
    By { actor: ACTOR.to_owned(), reason, request_id: String::new(), key: None }
}
