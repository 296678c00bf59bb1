//! Which call may leave next: one at a time per target, in order per target and host, a host that has to wait holding up
//! only its own. Pure: the caller brings the time.

use super::verdict::MOST_ASKED;
use crate::{
    outbox::{
        discord::{Route, Turn},
        policy::Host,
    },
    replication::Acknowledge,
    store::OpenCall,
};
use shared::{Mono, TargetId};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// A call that waits for its turn. Its payload stays in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) seq: u64,
    pub(crate) host: Host,
    pub(crate) not_before: Mono,
    pub(crate) interrupted: bool,
    pub(crate) idempotent: bool,
    /// When it counts that it is being made.
    pub(crate) mode: Acknowledge,
    /// What it is to Discord, when it goes there.
    pub(crate) discord: Option<Arc<Route>>,
    /// Whether a place in the line of its bot's calls is kept for it.
    pub(crate) kept: bool,
}

impl Queued {
    /// Makes it from its row; `wait` is how long it still has to wait at `now`.
    pub(crate) fn new(call: OpenCall, discord: Option<Arc<Route>>, mode: Acknowledge, now: Mono, wall_ms: u64) -> Self {
        // No row is put off for longer; one that seems to be was written while the wall clock was wrong.
        let wait = std::time::Duration::from_millis(call.next_ms.saturating_sub(wall_ms)).min(MOST_ASKED);
        let host = reqwest::Url::parse(&call.url).ok().as_ref().and_then(super::policy::host_of).unwrap_or_default();
        Self {
            seq: call.seq,
            host,
            not_before: now.after(wait),
            interrupted: call.interrupted,
            idempotent: call.idempotent,
            mode,
            discord,
            kept: false,
        }
    }
}

#[derive(Debug, Default)]
struct Lane {
    calls: VecDeque<Queued>,
    busy: bool,
    /// The time the lane stands in the agenda under.
    agenda: Option<Mono>,
}

impl Lane {
    /// The calls that are first of their host, and from when on each may leave.
    fn heads(&self) -> impl Iterator<Item = &Queued> {
        let calls = &self.calls;
        calls.iter().enumerate().filter(|(i, call)| calls.iter().take(*i).all(|e| e.host != call.host)).map(|(_, c)| c)
    }

    fn due(&self) -> Option<Mono> {
        if self.busy { None } else { self.heads().map(|call| call.not_before).min() }
    }
}

/// All targets' calls.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<TargetId, Lane>,
    agenda: BTreeSet<(Mono, TargetId)>,
    waiting: usize,
}

impl Lanes {
    /// Appends calls of a target.
    pub(crate) fn push(&mut self, target: &TargetId, calls: impl IntoIterator<Item = Queued>) {
        let lane = self.lanes.entry(target.clone()).or_default();
        let before = lane.calls.len();
        lane.calls.extend(calls);
        self.waiting += lane.calls.len() - before;
        self.settle(target);
    }

    /// Forgets a target.
    pub(crate) fn drop_target(&mut self, target: &TargetId) {
        if let Some(lane) = self.lanes.remove(target) {
            self.waiting -= lane.calls.len();
            if let Some(at) = lane.agenda {
                self.agenda.remove(&(at, target.clone()));
            }
        }
    }

    /// Returns a call that may leave now; its target is busy until [`Lanes::over`] or [`Lanes::again`].
    pub(crate) fn next(&mut self, now: Mono) -> Option<(TargetId, Queued)> {
        let (at, target) = self.agenda.first().filter(|(at, _)| *at <= now).cloned()?;
        self.agenda.remove(&(at, target.clone()));
        let lane = self.lanes.get_mut(&target)?;
        lane.agenda = None;
        let call = lane.heads().find(|call| call.not_before <= now).cloned()?;
        lane.busy = true;
        Some((target, call))
    }

    /// Says that a call has come to its end.
    pub(crate) fn over(&mut self, target: &TargetId, seq: u64) {
        if let Some(lane) = self.lanes.get_mut(target) {
            let before = lane.calls.len();
            lane.calls.retain(|call| call.seq != seq);
            self.waiting -= before - lane.calls.len();
            lane.busy = false;
            if lane.calls.is_empty() {
                self.lanes.remove(target);
            } else {
                self.settle(target);
            }
        }
    }

    /// Says that a call has to be made again, in its place, not before `at`.
    pub(crate) fn again(&mut self, target: &TargetId, seq: u64, at: Mono) {
        self.put_off(target, seq, at, |call| (call.interrupted, call.kept) = (false, false));
    }

    /// Says that it is not a call's turn: it has not been touched.
    pub(crate) fn waits_for(&mut self, target: &TargetId, seq: u64, turn: Turn) {
        self.put_off(target, seq, turn.at, |call| call.kept = turn.kept);
    }

    /// Says that a call could not be begun: it is what it was, and is looked at again not before `at`.
    pub(crate) fn waits(&mut self, target: &TargetId, seq: u64, at: Mono) {
        self.put_off(target, seq, at, |_| ());
    }

    fn put_off(&mut self, target: &TargetId, seq: u64, at: Mono, change: impl FnOnce(&mut Queued)) {
        if let Some(lane) = self.lanes.get_mut(target) {
            lane.busy = false;
            if let Some(call) = lane.calls.iter_mut().find(|call| call.seq == seq) {
                call.not_before = at;
                change(call);
            }
            self.settle(target);
        }
    }

    /// Returns when the next call may leave.
    pub(crate) fn next_at(&self) -> Option<Mono> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Returns how many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    fn settle(&mut self, target: &TargetId) {
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let due = lane.due();
        if lane.agenda == due {
            return;
        }
        if let Some(at) = std::mem::replace(&mut lane.agenda, due) {
            self.agenda.remove(&(at, target.clone()));
        }
        if let Some(at) = due {
            self.agenda.insert((at, target.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
