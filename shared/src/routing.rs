//! The routing table: who owns which target, fed by watch messages. Pure: a message in, what changed out. The epoch
//! decides between two answers for one target, so a late message never undoes a newer one.

#[cfg(feature = "plant")]
use crate::plant::{self, Bug};
use crate::wire::control::{Assignment, PodInfo, Watch};
use crate::{Epoch, PodId, Revision, TargetId};
use std::collections::HashMap;

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its owner.
    pub pod: PodId,
    /// The fencing token of the ownership.
    pub epoch: Epoch,
}

/// A table of routes and of pods' addresses, with the revision it is complete up to.
#[derive(Debug, Default)]
pub struct Table {
    revision: Revision,
    routes: HashMap<TargetId, Route>,
    pods: HashMap<PodId, PodInfo>,
    /// The parts of a snapshot that has not arrived whole. It replaces the rest only at its end, so that a cut stream
    /// leaves the old table in force.
    arriving: Option<(HashMap<TargetId, Route>, HashMap<PodId, PodInfo>)>,
}

/// What a message changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The table is complete up to a new revision.
    Complete(Revision),
    /// A part of a snapshot; the table is unchanged.
    Partial,
    /// The server asks to start over without a position.
    Resync,
}

impl Table {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a message of the watch.
    pub fn apply(&mut self, message: Watch) -> Applied {
        match message {
            Watch::Snapshot { revision, first, more, pods, assignments, .. } => {
                if first || self.arriving.is_none() {
                    self.arriving = Some(Default::default());
                }
                let (routes, known) = self.arriving.get_or_insert_default();
                known.extend(pods.into_iter().map(|pod| (pod.pod.clone(), pod)));
                routes.extend(assignments.into_iter().map(route));
                if more {
                    return Applied::Partial;
                }
                let (routes, pods) = self.arriving.take().unwrap_or_default();
                // A target placed while the snapshot travelled may be newer here than there: the higher epoch wins.
                let old = std::mem::replace(&mut self.routes, routes);
                if revision < self.revision {
                    for (target, route) in old {
                        self.learn_route(target, route);
                    }
                }
                self.pods = pods;
                self.complete(revision)
            }
            Watch::Delta { revision, pods, assignments, .. } => {
                for pod in pods {
                    self.learn_pod(pod);
                }
                for assignment in assignments {
                    self.learn(assignment);
                }
                self.complete(revision)
            }
            Watch::Bookmark { revision } => self.complete(revision),
            Watch::Resync { .. } => {
                self.arriving = None;
                Applied::Resync
            }
        }
    }

    /// Takes one assignment that was learned outside the watch (the answer to a first contact, a refresh). Returns
    /// whether it was news.
    pub fn learn(&mut self, assignment: Assignment) -> bool {
        let (target, route) = route(assignment);
        self.learn_route(target, route)
    }

    /// Takes what somebody else than config-service says, until its first snapshot replaces it: a pod itself, or a copy of a
    /// table that was kept. Of two owners the higher epoch wins. A pod that answers is where it answers from.
    pub fn adopt(&mut self, pods: Vec<PodInfo>, routes: impl IntoIterator<Item = (TargetId, Route)>) {
        self.pods.extend(pods.into_iter().map(|pod| (pod.pod.clone(), pod)));
        for (target, route) in routes {
            self.learn_route(target, route);
        }
    }

    fn learn_route(&mut self, target: TargetId, route: Route) -> bool {
        match self.routes.get(&target) {
            #[cfg(feature = "plant")]
            Some(_) if plant::on(Bug::RouterBelievesOlder) => self.routes.insert(target, route).is_some(),
            Some(known) if known.epoch >= route.epoch => false,
            _ => {
                self.routes.insert(target, route);
                true
            }
        }
    }

    fn learn_pod(&mut self, pod: PodInfo) {
        let newer = self.pods.get(&pod.pod).is_none_or(|known| known.revision <= pod.revision);
        if newer {
            self.pods.insert(pod.pod.clone(), pod);
        }
    }

    fn complete(&mut self, revision: Revision) -> Applied {
        self.revision = self.revision.max(revision);
        Applied::Complete(self.revision)
    }

    /// Returns where a target is.
    pub fn route(&self, target: &TargetId) -> Option<&Route> {
        self.routes.get(target)
    }

    /// Returns a pod.
    pub fn pod(&self, pod: &PodId) -> Option<&PodInfo> {
        self.pods.get(pod)
    }

    /// Returns all pods, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &PodInfo> {
        self.pods.values()
    }

    /// Returns all routes, in no order.
    pub fn routes(&self) -> impl Iterator<Item = (&TargetId, &Route)> {
        self.routes.iter()
    }

    /// Returns the revision up to which the table is complete.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Returns whether the table has no route.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

fn route(assignment: Assignment) -> (TargetId, Route) {
    (assignment.target, Route { pod: assignment.pod, epoch: assignment.epoch })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(target: &str, pod: &str, epoch: u64, revision: u64) -> Assignment {
        Assignment {
            target: target.parse().expect("valid"),
            pod: pod.parse().expect("valid"),
            epoch: Epoch(epoch),
            revision: Revision(revision),
            parent: None,
            reason: "first-contact".into(),
            since_ms: 0,
            state: Default::default(),
            data: None,
        }
    }

    fn snapshot(revision: u64, first: bool, more: bool, assignments: Vec<Assignment>) -> Watch {
        Watch::Snapshot { revision: Revision(revision), first, more, pods: vec![], assignments, moves: vec![] }
    }

    fn owner(table: &Table, target: &str) -> Option<String> {
        table.route(&target.parse().expect("valid")).map(|route| route.pod.to_string())
    }

    #[test]
    fn a_snapshot_counts_only_when_it_is_whole() {
        let mut table = Table::new();
        table.apply(snapshot(4, true, false, vec![assignment("slack:guild:A", "gateway-0", 1, 4)]));
        assert_eq!(
            table.apply(snapshot(9, true, true, vec![assignment("slack:guild:B", "gateway-1", 1, 9)])),
            Applied::Partial
        );
        assert_eq!((owner(&table, "slack:guild:A"), owner(&table, "slack:guild:B")), (Some("gateway-0".into()), None));
        assert_eq!(table.apply(snapshot(9, false, false, vec![])), Applied::Complete(Revision(9)));
        assert_eq!((owner(&table, "slack:guild:A"), owner(&table, "slack:guild:B")), (None, Some("gateway-1".into())));
    }

    #[test]
    fn a_late_message_never_undoes_a_newer_epoch() {
        let mut table = Table::new();
        assert!(table.learn(assignment("slack:guild:A", "gateway-2", 7, 30)));
        table.apply(Watch::Delta {
            revision: Revision(20),
            pods: vec![],
            assignments: vec![assignment("slack:guild:A", "gateway-0", 6, 20)],
            moves: vec![],
        });
        assert_eq!(owner(&table, "slack:guild:A"), Some("gateway-2".into()));
        assert_eq!(table.revision(), Revision(20));
    }

    #[test]
    fn a_cut_snapshot_is_forgotten_when_the_next_begins() {
        let mut table = Table::new();
        table.apply(snapshot(5, true, true, vec![assignment("slack:guild:GONE", "gateway-0", 1, 5)]));
        table.apply(snapshot(6, true, false, vec![assignment("slack:guild:A", "gateway-0", 1, 6)]));
        assert_eq!((owner(&table, "slack:guild:GONE"), table.len()), (None, 1));
    }
}
