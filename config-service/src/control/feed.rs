//! One watch: a snapshot or a position first, then what changes. Pulled by its reader; holds nothing but its position.

use super::hub::{Hub, Tail};
use crate::{
    domain::{Change, Held, Snapshot},
    store::{Log, Store},
};
use shared::wire::{
    control::{Assignment, PodInfo, Watch},
    handoff::Move,
};
use shared::{PodId, Revision, TargetId};
use std::{borrow::Borrow, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Most changes or assignments in one message.
const PART: usize = 1_000;

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// With all there is.
    Start,
    /// Behind a revision that the watcher has.
    After(Revision),
}

/// Where a feed begins, with what it needs for that.
#[derive(Debug)]
pub(super) enum Start {
    Snapshot(Arc<Snapshot>),
    After(Revision),
}

/// A watch in progress.
#[derive(Debug)]
pub(crate) struct Feed {
    hub: Hub,
    store: Arc<dyn Store>,
    newest: watch::Receiver<Revision>,
    pod: Option<PodId>,
    phase: Phase,
    bookmark: Duration,
    _seat: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Phase {
    /// In the middle of the snapshot, behind this target; none before the first part.
    Snapshot { of: Arc<Snapshot>, after: Option<TargetId> },
    /// Complete up to a revision; what is older than the hub's ring is read from the log.
    Resuming(Revision),
    /// Complete up to a revision; falling out of the ring means being too slow.
    Live(Revision),
    /// The watcher was told to start over.
    Ended,
}

impl Feed {
    pub(super) fn new(
        hub: Hub,
        store: Arc<dyn Store>,
        seat: OwnedSemaphorePermit,
        start: Start,
        pod: Option<PodId>,
        bookmark: Duration,
    ) -> Self {
        let newest = hub.subscribe();
        let phase = match start {
            Start::Snapshot(of) => Phase::Snapshot { of, after: None },
            Start::After(revision) => Phase::Resuming(revision),
        };
        Self { hub, store, newest, pod, phase, bookmark, _seat: seat }
    }

    /// Returns the next message, waiting for it; none when the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Watch> {
        match &self.phase {
            Phase::Ended => None,
            Phase::Snapshot { of, after } => {
                let (of, after) = (Arc::clone(of), after.clone());
                Some(self.part(of, after))
            }
            Phase::Resuming(position) => {
                let position = *position;
                self.advance(position, true).await
            }
            Phase::Live(position) => {
                let position = *position;
                self.advance(position, false).await
            }
        }
    }

    fn part(&mut self, of: Arc<Snapshot>, after: Option<TargetId>) -> Watch {
        let (first, behind) = (after.is_none(), after.as_ref().map_or("", TargetId::as_str));
        let mine = |held: &Held<'_>| self.pod.as_ref().is_none_or(|pod| held.pod() == pod);
        let mut matching = of.assignments.after(behind).filter(mine);
        let assignments: Vec<_> = matching.by_ref().take(PART).map(|held| held.told()).collect();
        let more = matching.next().is_some();
        let pods = if first { of.pods.iter().map(|record| record.info.clone()).collect() } else { Vec::new() };
        let moves =
            if first { of.moves.iter().filter(|entry| self.hears_of(entry)).cloned().collect() } else { vec![] };
        let revision = of.revision;
        let last = assignments.last().map(|last| last.target.clone());
        self.phase = match last.filter(|_| more) {
            Some(last) => Phase::Snapshot { of: Arc::clone(&of), after: Some(last) },
            None => Phase::Live(revision),
        };
        Watch::Snapshot { revision, first, more, pods, assignments, moves }
    }

    /// A pod hears of moves from or to it; a router of none, since only the assignment that a commit makes concerns it.
    fn hears_of(&self, entry: &Move) -> bool {
        self.pod.as_ref().is_some_and(|pod| entry.from == *pod || entry.to == *pod)
    }

    async fn advance(&mut self, position: Revision, resuming: bool) -> Option<Watch> {
        let quiet = tokio::time::sleep(self.bookmark);
        tokio::pin!(quiet);
        loop {
            self.newest.borrow_and_update();
            match self.hub.after(position, PART) {
                Tail::Changes(changes) if !changes.is_empty() => return Some(self.delta(&changes)),
                Tail::Changes(_) => self.phase = Phase::Live(position),
                Tail::Beyond => {
                    return Some(self.resync("the position is newer than the database: it was replaced or restored"));
                }
                Tail::Older if resuming => return self.read_log(position).await,
                Tail::Older => return Some(self.resync("the watcher reads too slowly")),
            }
            tokio::select! {
                () = self.hub.closed() => return None,
                changed = self.newest.changed() => changed.ok()?,
                () = &mut quiet => return Some(Watch::Bookmark { revision: position }),
            }
        }
    }

    async fn read_log(&mut self, position: Revision) -> Option<Watch> {
        let read = tokio::select! {
            () = self.hub.closed() => return None,
            read = self.store.changes(position, PART) => read,
        };
        match read {
            Ok(Log::Changes(mut changes)) if !changes.is_empty() => {
                // The log may be ahead of the hub by what was committed and not published yet: that comes from the hub.
                let newest = *self.newest.borrow();
                changes.retain(|change| change.revision() <= newest);
                let message = self.delta(&changes);
                if let Phase::Live(position) = self.phase {
                    self.phase = Phase::Resuming(position);
                }
                Some(message)
            }
            Ok(Log::Changes(_) | Log::Gone) => Some(self.resync("the position is not in the change log any more")),
            Err(why) => {
                tracing::warn!(error = %why, "cannot read the change log for a watcher");
                None
            }
        }
    }

    /// What `changes` mean for this watcher. Everything advances the revision, even what concerns other pods.
    fn delta<C: Borrow<Change>>(&mut self, changes: &[C]) -> Watch {
        let (mut pods, mut assignments): (Vec<PodInfo>, Vec<Assignment>) = (Vec::new(), Vec::new());
        let mut moves = Vec::new();
        let mut revision = Revision(0);
        for change in changes {
            let change: &Change = change.borrow();
            revision = change.revision();
            match change {
                Change::Pod(record) => pods.push(record.info.clone()),
                Change::Members { .. } | Change::Fencing { .. } | Change::Settled { .. } => {}
                Change::Assignment { assignment, from } => {
                    let concerns = |pod: &PodId| assignment.pod == *pod || from.as_ref() == Some(pod);
                    if self.pod.as_ref().is_none_or(concerns) {
                        assignments.push(assignment.clone());
                    }
                }
                Change::Move(entry) if self.hears_of(entry) => moves.push(entry.clone()),
                Change::Move(_) | Change::Marked { .. } | Change::Plan { .. } | Change::Held { .. } => {}
            }
        }
        self.phase = Phase::Live(revision);
        if pods.is_empty() && assignments.is_empty() && moves.is_empty() {
            return Watch::Bookmark { revision };
        }
        Watch::Delta { revision, pods, assignments, moves }
    }

    fn resync(&mut self, reason: &str) -> Watch {
        self.phase = Phase::Ended;
        Watch::Resync { reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests;
