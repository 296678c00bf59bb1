//! The leader's side of planned moves, driven without a task: production's moves are put together, committed and answered
//! when the simulation says so. Decides nothing itself.

use super::super::Reply;
use super::super::moves::{Marking, Moves, Stands, Wish, World};
use super::{Waiting, answered};
use crate::domain::{Batch, By, Change, Model};
use crate::metrics::Metrics;
use crate::planner::{Candidate, Limits, Policy};
use shared::protocol::handoff::Patience;
use shared::wire::handoff::{Move, Reports};
use shared::{Mono, MoveId, PodId, TargetId};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::oneshot;

/// As many moves as production lets be under way.
const LIMITS: Limits = Limits { in_flight: 512, per_source: 256, per_destination: 256 };

/// What became of a pod's reports: how each move stands, in their order, none of one that the leader does not know; nothing
/// when they were not taken.
pub type Heard = Option<Vec<(MoveId, Option<Move>)>>;

/// The moves of one term. `A` is whoever waits for an answer.
#[derive(Debug)]
pub struct Handoffs<A> {
    moves: Moves,
    waiting: Waiting<A, Stands>,
}

impl<A> Handoffs<A> {
    /// Makes the moves of a leader that has just read `model`.
    pub fn new(model: &Model, now: Mono) -> Self {
        let metrics = Metrics::new(&shared::telemetry::Metrics::new());
        Self { moves: Moves::new(model, Patience::default(), LIMITS, metrics, now), waiting: Vec::new() }
    }

    /// Takes a pod's reports.
    pub fn report(&mut self, asker: A, said: Reports) {
        let (reply, answer) = oneshot::channel();
        self.moves.report(said, reply);
        self.waiting.push((asker, answer));
    }

    /// An operator wants a target elsewhere.
    pub fn wish_move(&mut self, target: TargetId, to: Option<PodId>) {
        self.moves.wish(Wish::Move { target, to, by: by(), reply: nobody() });
    }

    /// An operator does not want a move any more.
    pub fn wish_cancel(&mut self, id: MoveId) {
        self.moves.wish(Wish::Cancel { id, by: by(), reply: nobody() });
    }

    /// An operator drains a pod, or takes that back.
    pub fn wish_drain(&mut self, pod: PodId, draining: bool) {
        let marking = if draining { Marking::Drain } else { Marking::Undrain };
        self.moves.wish(Wish::Mark { pod, marking, by: by(), reply: nobody() });
    }

    /// An operator cordons a pod, or takes that back.
    pub fn wish_cordon(&mut self, pod: PodId, cordoned: bool) {
        let marking = if cordoned { Marking::Cordon } else { Marking::Uncordon };
        self.moves.wish(Wish::Mark { pod, marking, by: by(), reply: nobody() });
    }

    /// Adds what is due to a transaction.
    pub fn board(&mut self, model: &Model, fleet: &[Candidate], now: Mono, batch: &mut Batch) {
        let policy = Policy::default();
        self.moves.board(&World { model, fleet, policy: &policy, now, now_ms: 0, awaited: &BTreeSet::new() }, batch);
    }

    /// The transaction is committed, `model` has it.
    pub fn committed(&mut self, model: &Model, changes: &[Change], now: Mono) {
        self.moves.committed(model, changes, now);
    }

    /// Nothing was to be written.
    pub fn settle(&mut self, model: &Model) {
        self.moves.settle(model);
    }

    /// The transaction is not committed, as far as is known.
    pub fn failed(&mut self) {
        self.moves.failed();
    }

    /// Returns how long until time alone changes something.
    pub fn wakes_in(&self, now: Mono) -> Option<Duration> {
        self.moves.wakes_in(now)
    }

    /// Returns those who are answered by now.
    pub fn answers(&mut self) -> Vec<(A, Heard)> {
        answered(&mut self.waiting)
    }
}

fn by() -> By {
    let word = |text: &str| text.to_owned();
    By { actor: word("operator"), reason: word("simulation"), request_id: word("0"), key: None }
}

/// An answer that nobody waits for.
fn nobody<T>() -> Reply<T> {
    oneshot::channel().0
}
