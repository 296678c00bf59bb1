//! First contacts that wait to be placed. Requests collect while a transaction runs; the next one takes as many targets as
//! fit, and the planner says where they go. A request is answered when each of its targets has a home or was refused. Pure;
//! bounded in targets.

use super::{ControlError, Reply};
use crate::{
    domain::{Batch, FIRST_CONTACT, Model, Write},
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
    wanted: Vec<Wanted>,
    /// How many of them are still without an answer.
    open: usize,
    refused: HashMap<TargetId, Refused>,
    reply: Reply<Placed>,
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
        let mut request = Request { wanted, open: 0, refused: HashMap::new(), reply };
        request.look(model);
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
        for (Wanted { target, parent }, decision) in planner::place(&fleet(), policy, &wanted, owner_of, said) {
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
        for want in self.requests.iter().flat_map(|request| &request.wanted) {
            if model.owner(&want.target).is_some() || seen.contains(&want.target) {
                continue;
            }
            let homeless = want.parent.as_ref().is_some_and(|parent| model.owner(parent).is_none());
            rows += 1 + usize::from(homeless);
            if rows > room {
                break;
            }
            seen.insert(want.target.clone());
            next.push(want.clone());
        }
        next
    }

    /// What was put together is committed: answers every request that is settled now.
    pub(super) fn settle(&mut self, model: &Model) {
        let refused = std::mem::take(&mut self.refused);
        let mut open = VecDeque::new();
        for mut request in self.requests.drain(..) {
            let here = request.wanted.iter().filter_map(|want| refused.get_key_value(&want.target));
            let here: Vec<_> = here.map(|(target, why)| (target.clone(), *why)).collect();
            request.refused.extend(here);
            request.look(model);
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
    fn look(&mut self, model: &Model) {
        let open = |want: &&Wanted| model.owner(&want.target).is_none() && !self.refused.contains_key(&want.target);
        self.open = self.wanted.iter().filter(open).count();
    }

    fn answer(self, model: &Model) {
        let mut placed = Placed { revision: model.revision(), assignments: Vec::new(), refused: Vec::new() };
        for want in self.wanted {
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
