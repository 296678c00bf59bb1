//! What the leader knows that scaling goes by, taken out in one piece. Decides which pods matter.

use crate::{
    control::View,
    domain::AutoscalerValues,
    planner::{autoscale::Sample, scaling::Known},
};
use shared::wire::admin::PodStatus;
use shared::wire::control::PodState;
use shared::{PodId, Term};
use std::collections::BTreeMap;

/// The name under which the ledger stands beside the settings. It is none of them.
pub(super) const LEDGER: &str = "scaling-ledger";

/// What the leader knows.
#[derive(Debug)]
pub(super) struct Facts {
    /// Its term.
    pub(super) term: Term,
    /// The ledger as it was written last.
    pub(super) ledger: Option<String>,
    /// The settings.
    pub(super) values: AutoscalerValues,
    /// Who forbade changes, and why.
    pub(super) read_only: Option<String>,
    /// Whether part of the targets is tried on pods of track canary.
    pub(super) canary: bool,
    /// The pods.
    pub(super) pods: BTreeMap<PodId, PodStatus>,
}

impl Facts {
    /// Takes them out.
    pub(super) fn of(view: &View<'_>) -> Self {
        let values = crate::domain::Values::new(view.model.settings());
        Self {
            term: view.term,
            ledger: view.model.setting(LEDGER).map(|record| record.value.clone()),
            read_only: values.read_only.map(|(who, why)| format!("{who}: {why}")),
            values: values.autoscaler,
            canary: view.model.canary().runs(),
            pods: view.pods().map(|status| (status.info.pod.clone(), status)).collect(),
        }
    }

    /// Returns the pods as the steps of scaling see them.
    pub(super) fn known(&self) -> BTreeMap<PodId, Known> {
        self.pods.iter().map(|(pod, status)| (pod.clone(), known(status))).collect()
    }

    /// Returns what the pods report that they use.
    pub(super) fn samples(&self) -> impl Iterator<Item = (PodId, Option<Sample>)> {
        self.pods.iter().map(|(pod, status)| {
            let sample = |usage| Sample { usage, events: status.load.events_per_second };
            (pod.clone(), status.load.usage.map(sample))
        })
    }

    /// Says why a pod cannot do its work; none when it can.
    pub(super) fn unready(&self, pod: &PodId) -> Option<String> {
        let Some(status) = self.pods.get(pod) else { return Some("it has not registered yet".to_owned()) };
        match &status.not_ready {
            _ if status.is_well() => None,
            Some(why) => Some(why.clone()),
            None => Some(format!("it is {}", status.state.as_str())),
        }
    }
}

fn known(status: &PodStatus) -> Known {
    let progress = status.drain.as_ref().map_or_else(
        || format!("{} targets left", status.targets),
        |drain| match &drain.waiting {
            Some(why) => format!("{} targets left; {why}", drain.left),
            None => format!("{} targets left, {} moving", drain.left, drain.in_flight),
        },
    );
    // One that an operator has drained runs as well as any.
    let drained = status.state == PodState::Drained && status.lease_remaining_ms > 0 && status.not_ready.is_none();
    Known {
        ready: status.is_well() || drained,
        matters: status.targets > 0 || status.lease_remaining_ms > 0,
        draining: status.drain.is_some(),
        empty: status.state == PodState::Drained,
        progress,
    }
}
