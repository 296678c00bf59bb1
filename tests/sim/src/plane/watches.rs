//! What a config-service tells its watchers, from its model and its tail of the log.

use super::{QUIET, Watcher};
use crate::message::{Answer, Asker};
use crate::network::Node;
use crate::world::World;
use config_service::domain::{Change, Model};
use shared::wire::control::Watch;
use shared::wire::handoff::Move;
use shared::{PodId, Revision};

impl World {
    pub(super) fn plane_is_watched(&mut self, n: u8, asker: Asker, after: Option<Revision>, pod: Option<PodId>) {
        let until = self.now + QUIET;
        let plane = self.plane(n);
        let newest = plane.model.revision();
        match after {
            // Whoever has nothing yet waits until there is something.
            None if newest == Revision(0) => {
                plane.watchers.push(Watcher { asker, after: Revision(0), pod, until });
            }
            Some(after) if after >= plane.log_after => plane.watchers.push(Watcher { asker, after, pod, until }),
            _ => {
                let snapshot = self.plane_snapshot(n, pod.as_ref());
                self.answer(Node::Plane(n), asker, Answer::Watched(vec![snapshot]));
            }
        }
        self.plane_serves_watchers(n);
        self.plane_arm(n);
    }

    fn plane_snapshot(&mut self, n: u8, pod: Option<&PodId>) -> Watch {
        let model = &self.plane(n).model;
        let mine = |owner: &PodId| pod.is_none_or(|pod| owner == pod);
        let assignments = model.assignments(None).filter(|entry| mine(&entry.pod)).collect();
        let moves = moves_of(model, pod);
        Watch::Snapshot {
            revision: model.revision(),
            first: true,
            more: false,
            pods: model.pods().map(|record| record.info.clone()).collect(),
            assignments,
            moves,
        }
    }

    /// Answers those for whom there is something, and those who have waited long enough.
    pub(super) fn plane_serves_watchers(&mut self, n: u8) {
        let now = self.now;
        let plane = self.plane(n);
        let newest = plane.model.revision();
        if !plane.watchers.iter().any(|watcher| watcher.after < newest || watcher.until <= now) {
            return;
        }
        for watcher in std::mem::take(&mut plane.watchers) {
            let plane = self.plane(n);
            // Its tail of the log may begin later than the watcher: whoever takes over reads everything anew.
            if watcher.after < plane.log_after.max(Revision(1)) && newest > Revision(0) {
                let snapshot = self.plane_snapshot(n, watcher.pod.as_ref());
                self.answer(Node::Plane(n), watcher.asker, Answer::Watched(vec![snapshot]));
            } else if watcher.after < newest {
                let message = delta(&plane.log, watcher.after, newest, watcher.pod.as_ref());
                self.answer(Node::Plane(n), watcher.asker, Answer::Watched(vec![message]));
            } else if watcher.until <= now {
                let bookmark = Watch::Bookmark { revision: newest.min(watcher.after) };
                self.answer(Node::Plane(n), watcher.asker, Answer::Watched(vec![bookmark]));
            } else {
                plane.watchers.push(watcher);
            }
        }
    }
}

/// What changed behind a revision, for one watcher.
fn delta(log: &[Change], after: Revision, newest: Revision, pod: Option<&PodId>) -> Watch {
    let (mut pods, mut assignments, mut moves) = (Vec::new(), Vec::new(), Vec::new());
    let from = log.partition_point(|change| change.revision() <= after);
    for change in &log[from..] {
        match change {
            Change::Pod(record) => pods.push(record.info.clone()),
            Change::Assignment { assignment, from } => {
                let concerns = |pod: &PodId| assignment.pod == *pod || from.as_ref() == Some(pod);
                if pod.is_none_or(concerns) {
                    assignments.push(assignment.clone());
                }
            }
            Change::Move(entry) if hears_of(entry, pod) => moves.push(entry.clone()),
            _ => {}
        }
    }
    Watch::Delta { revision: newest, pods, assignments, moves }
}

/// A pod hears of moves from or to it; a router of none.
fn moves_of(model: &Model, pod: Option<&PodId>) -> Vec<Move> {
    model.moves().filter(|entry| hears_of(entry, pod)).cloned().collect()
}

fn hears_of(entry: &Move, pod: Option<&PodId>) -> bool {
    pod.is_some_and(|pod| entry.from == *pod || entry.to == *pod)
}
