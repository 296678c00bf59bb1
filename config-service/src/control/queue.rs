//! First contacts that wait to be placed. Requests collect while a transaction runs; the next one takes as many targets as
//! fit, and the planner says where they go. A request is answered when each of its targets has a home or was refused. Pure;
//! bounded in targets.

use super::{ControlError, Reply};
use crate::{
    domain::{Batch, Change, FIRST_CONTACT, Model, Write},
    planner::{self, Candidate, Policy, Refused, Wanted},
};
use shared::TargetId;
use shared::wire::control::{AssignmentState, Placed, Unplaced};
use std::collections::{HashMap, HashSet, VecDeque};

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    waiting: usize,
    /// Whether an operator has paused placement.
    paused: bool,
    requests: VecDeque<Request>,
    /// What the planner refused while the transaction now running was put together.
    refused: HashMap<TargetId, Refused>,
}

#[derive(Debug)]
struct Request {
    wanted: Vec<Asked>,
    /// How many of them are still without an answer.
    open: usize,
    refused: HashMap<TargetId, Refused>,
    reply: Reply<Placed>,
}

/// A target that somebody asks for. Among a million it is looked up when it is asked for and when it is answered; between
/// the two it is known from what is committed whether it still waits.
#[derive(Debug)]
struct Asked {
    want: Wanted,
    /// It has no home, and was not refused one.
    open: bool,
}

impl Queue {
    /// Makes an empty queue of at most `limit` targets.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, waiting: 0, paused: false, requests: VecDeque::new(), refused: HashMap::new() }
    }

    /// Says whether placement is paused.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Takes a request; answers it at once when all of its targets have a home, or the queue is full.
    pub(super) fn push(&mut self, model: &Model, wanted: Vec<Wanted>, reply: Reply<Placed>) {
        let asked = |want: Wanted| Asked { open: model.owner(&want.target).is_none(), want };
        let wanted: Vec<_> = wanted.into_iter().map(asked).collect();
        let open = wanted.iter().filter(|asked| asked.open).count();
        let request = Request { wanted, open, refused: HashMap::new(), reply };
        if request.open == 0 {
            request.answer(model);
        } else if self.waiting + request.open > self.limit {
            // Whoever asked may be gone already.
            let _ = request.reply.send(Err(ControlError::PlaceQueueFull));
        } else {
            self.waiting += request.open;
            self.requests.push_back(request);
        }
    }

    /// A transaction is put together: adds first contacts, at most `room` rows. Returns how many were placed, and how many
    /// refused.
    pub(super) fn board(
        &mut self,
        model: &Model,
        fleet: impl FnOnce() -> Vec<Candidate>,
        policy: &Policy,
        room: usize,
        batch: &mut Batch,
    ) -> (usize, usize) {
        let wanted = self.next(model, room);
        if wanted.is_empty() {
            return (0, 0);
        }
        if self.paused {
            self.refused.extend(wanted.into_iter().map(|want| (want.target, Refused::Paused)));
            return (0, self.refused.len());
        }
        let owner_of = |target: &TargetId| model.owner(target);
        let before = batch.writes.len();
        let said = |target: &TargetId| model.track_said(target);
        for (Wanted { target, parent, .. }, decision) in planner::place(&fleet(), policy, &wanted, owner_of, said) {
            match decision {
                Ok(pod) => {
                    let (state, data) = (AssignmentState::Serving, None);
                    let reason = FIRST_CONTACT;
                    batch.writes.push(Write::Assign { target, parent, pod, expected: None, reason, state, data });
                }
                Err(why) => {
                    self.refused.insert(target, why);
                }
            }
        }
        (batch.writes.len() - before, self.refused.len())
    }

    /// Returns the targets to be placed next, in the order of their requests: together with parents that have no home
    /// either, at most `room` rows. Requests nobody waits for any more are dropped.
    fn next(&mut self, model: &Model, room: usize) -> Vec<Wanted> {
        self.requests.retain(|request| !request.reply.is_closed());
        self.count();
        let (mut next, mut seen, mut rows) = (Vec::new(), HashSet::new(), 0);
        let open = self.requests.iter().flat_map(|request| &request.wanted).filter(|asked| asked.open);
        for want in open.map(|asked| &asked.want) {
            if !seen.insert(&want.target) {
                continue;
            }
            let homeless = want.parent.as_ref().is_some_and(|parent| model.owner(parent).is_none());
            rows += 1 + usize::from(homeless);
            if rows > room {
                break;
            }
            next.push(want.clone());
        }
        next
    }

    /// Returns the targets that got a home by what is committed, as far as somebody may wait for that.
    pub(super) fn placed(&self, changes: &[Change]) -> HashSet<TargetId> {
        let changes = if self.requests.is_empty() { &[] } else { changes };
        let placed = changes.iter().filter_map(|change| match change {
            Change::Assignment { assignment, .. } => Some(assignment.target.clone()),
            _ => None,
        });
        placed.collect()
    }

    /// What was put together is committed, and the model has taken it in; these are all targets that got a home by it. Answers
    /// every request that is settled now.
    pub(super) fn settle(&mut self, model: &Model, placed: &HashSet<TargetId>) {
        let refused = std::mem::take(&mut self.refused);
        let mut open = VecDeque::new();
        for mut request in self.requests.drain(..) {
            request.look(placed, &refused);
            if request.open == 0 {
                request.answer(model);
            } else {
                open.push_back(request);
            }
        }
        self.requests = open;
        self.count();
    }

    /// Answers every request with an error.
    pub(super) fn fail(&mut self, why: &ControlError) {
        self.refused.clear();
        for request in self.requests.drain(..) {
            let _ = request.reply.send(Err(why.clone()));
        }
        self.waiting = 0;
    }

    /// Returns how many targets wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    fn count(&mut self) {
        self.waiting = self.requests.iter().map(|request| request.open).sum();
    }
}

impl Request {
    fn look(&mut self, placed: &HashSet<TargetId>, refused: &HashMap<TargetId, Refused>) {
        for asked in self.wanted.iter_mut().filter(|asked| asked.open) {
            let target = &asked.want.target;
            if let Some(why) = refused.get(target) {
                self.refused.insert(target.clone(), *why);
                asked.open = false;
            } else if placed.contains(target) {
                asked.open = false;
            }
            self.open -= usize::from(!asked.open);
        }
    }

    fn answer(self, model: &Model) {
        let mut placed = Placed { revision: model.revision(), assignments: Vec::new(), refused: Vec::new() };
        for Asked { want, .. } in self.wanted {
            match (model.assignment(&want.target), self.refused.get(&want.target)) {
                (Some(assignment), _) => placed.assignments.push(assignment),
                (None, Some(why)) => placed.refused.push(Unplaced {
                    target: want.target,
                    code: why.code().to_owned(),
                    detail: why.to_string(),
                }),
                (None, None) => {}
            }
        }
        let _ = self.reply.send(Ok(placed));
    }
}

#[cfg(test)]
mod tests;
