//! The door through which the simulation calls what decides here without a task around it. Exists only with the feature
//! `plant`; decides nothing itself.

mod handoffs;

pub use handoffs::{Handoffs, Heard};

use super::{ControlError, census::Census, heirs::Fleet, heirs::Heirs, heirs::Terms};
use crate::domain::{Batch, Model, PodRecord, RestoreWhen};
use crate::planner::{Candidate, Policy};
use shared::wire::control::{Holdings, Restored, RestoredTaken};
use shared::{Mono, PodId};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// The most targets of one report.
const MOST: usize = 100_000;

/// Those who wait for an answer, and where it comes.
type Waiting<A, T> = Vec<(A, oneshot::Receiver<Result<T, ControlError>>)>;

/// Takes out those who are answered by now; without an answer where what they said was not taken.
fn answered<A, T>(waiting: &mut Waiting<A, T>) -> Vec<(A, Option<T>)> {
    let mut answered = Vec::new();
    for (asker, mut answer) in std::mem::take(waiting) {
        match answer.try_recv() {
            Ok(said) => answered.push((asker, said.ok())),
            Err(TryRecvError::Closed) => answered.push((asker, None)),
            Err(TryRecvError::Empty) => waiting.push((asker, answer)),
        }
    }
    answered
}

/// Who gets what of pods that died, and of those that came back. `A` is whoever waits for an answer.
#[derive(Debug)]
pub struct Estate<A> {
    heirs: Heirs,
    census: Census,
    waiting: Waiting<A, RestoredTaken>,
}

impl<A> Default for Estate<A> {
    fn default() -> Self {
        Self { heirs: Heirs::default(), census: Census::new(MOST), waiting: Vec::new() }
    }
}

impl<A> Estate<A> {
    /// A pod says what it holds; returns whether that counts.
    pub fn take(&mut self, record: &PodRecord, part: Holdings) -> bool {
        self.census.take(record, part).is_ok()
    }

    /// A pod says what it has restored.
    pub fn restored(&mut self, model: &Model, asker: A, pod: PodId, said: Restored) {
        let (reply, answer) = oneshot::channel();
        self.heirs.restored(model, pod, said, reply);
        self.waiting.push((asker, answer));
    }

    /// A pod has registered.
    pub fn registered(&mut self, record: &PodRecord) {
        self.heirs.registered(record);
    }

    /// What followed from a pod's report is committed.
    pub fn forget(&mut self, pod: &PodId) {
        self.census.forget(pod);
    }

    /// What was put together is committed, `model` has it, or there was nothing.
    pub fn settled(&mut self, model: &Model) {
        self.heirs.settled(model);
    }

    /// A transaction is not committed, as far as is known.
    pub fn failed(&mut self) {
        self.heirs.failed(&ControlError::Store);
    }

    /// Adds what is due to a transaction. `when` replicas are restored, and what time it is, by this leader's clock; its wall
    /// clock shows the same.
    pub fn board(
        &mut self,
        model: &Model,
        candidates: Vec<Candidate>,
        (when, now): (RestoreWhen, Mono),
        room: usize,
        batch: &mut Batch,
    ) {
        let policy = Policy::default();
        let wall_ms = u64::try_from(now.since(Mono::ZERO).as_millis()).unwrap_or(u64::MAX);
        let terms = Terms { when, now, wall_ms };
        self.heirs.board(model, &self.census, terms, || Fleet { candidates, policy: &policy }, room, batch);
    }

    /// Returns those who are answered by now; without an answer where the report was not taken.
    pub fn answers(&mut self) -> Vec<(A, Option<RestoredTaken>)> {
        answered(&mut self.waiting)
    }
}
