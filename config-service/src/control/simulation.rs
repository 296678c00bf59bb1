//! The door through which the simulation calls what decides here without a task around it. Exists only with the feature
//! `plant`; decides nothing itself.

mod handoffs;

pub use handoffs::{Handoffs, Heard};

use super::{ControlError, census::Census, heirs::Fleet, heirs::Heirs, heirs::Terms};
use crate::domain::{Batch, Model, PodRecord};
use crate::planner::{Candidate, Policy};
use shared::PodId;
use shared::wire::control::Holdings;

/// The most targets of one report.
const MOST: usize = 100_000;

/// Who gets what of pods that died, and of those that came back.
#[derive(Debug)]
pub struct Estate {
    heirs: Heirs,
    census: Census,
}

impl Default for Estate {
    fn default() -> Self {
        Self { heirs: Heirs::default(), census: Census::new(MOST) }
    }
}

impl Estate {
    /// A pod says what it holds; returns whether that counts.
    pub fn take(&mut self, record: &PodRecord, part: Holdings) -> bool {
        self.census.take(record, part).is_ok()
    }

    /// A pod has registered.
    pub fn registered(&mut self, record: &PodRecord) {
        self.heirs.registered(record);
    }

    /// What followed from a pod's report is committed.
    pub fn forget(&mut self, pod: &PodId) {
        self.census.forget(pod);
    }

    /// A transaction is not committed, as far as is known.
    pub fn failed(&mut self) {
        self.heirs.failed(&ControlError::Store);
    }

    /// Adds what is due to a transaction.
    pub fn board(&mut self, model: &Model, candidates: Vec<Candidate>, room: usize, batch: &mut Batch) {
        let policy = Policy::default();
        // No pod has a replica here.
        self.heirs.board(model, &self.census, Terms::default(), || Fleet { candidates, policy: &policy }, room, batch);
    }
}
