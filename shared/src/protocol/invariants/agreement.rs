//! Whether control plane, pods and routers say the same (I12, and the consistency check of a running cluster): a comparison
//! of what each of them holds at one moment of quiet.

use super::{Invariant, Violation};
use crate::{Epoch, Mono, PodId, TargetId};
use std::collections::HashMap;

/// One line of somebody's list: this pod owns this target under this epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owned {
    /// The target.
    pub target: TargetId,
    /// Its owner.
    pub pod: PodId,
    /// The fencing token.
    pub epoch: Epoch,
}

/// What somebody believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who: `gateway-3`, `router-0`.
    pub name: String,
    /// Its list. A router's may be incomplete, never wrong; the pods' lists together are complete.
    pub owned: Vec<Owned>,
    /// Whether this is a pod's list of what it serves, rather than a router's of what it knows.
    pub serves: bool,
}

/// Returns where the views differ from what the database says. `silent` names targets that nobody can serve: their data is
/// away.
pub fn disagreements(at: Mono, truth: &[Owned], silent: &[TargetId], views: &[View]) -> Vec<Violation> {
    let by_target: HashMap<&TargetId, &Owned> = truth.iter().map(|owned| (&owned.target, owned)).collect();
    let mut broken = Vec::new();
    let mut say = |invariant, detail| broken.push(Violation { invariant, at, detail });
    let mut served: HashMap<&TargetId, &PodId> = HashMap::new();
    for view in views {
        for owned in &view.owned {
            let right = by_target.get(&owned.target);
            if right != Some(&owned) {
                let truth =
                    right.map_or("nobody's".to_owned(), |right| format!("{}'s, epoch {}", right.pod, right.epoch));
                let Owned { target, pod, epoch } = owned;
                let detail = format!("{} has {target} as {pod}'s, epoch {epoch}; it is {truth}", view.name);
                say(Invariant::Converges, detail);
            }
            if view.serves
                && let Some(other) = served.insert(&owned.target, &owned.pod).filter(|other| **other != owned.pod)
            {
                say(Invariant::OneOwner, format!("{other} and {} both serve {}", owned.pod, owned.target));
            }
        }
    }
    for owned in truth {
        if !served.contains_key(&owned.target) && !silent.contains(&owned.target) {
            say(Invariant::Converges, format!("{} is {}'s and is not served", owned.target, owned.pod));
        }
    }
    broken
}
