//! What the protocol wants written (OWNERSHIP.md, Leases 4, 5, 7 and 9), on its way through the next transaction, and those who
//! wait for a burial that they gave the proof for. Pure.

use super::{ControlError, burial::Burial};
use crate::domain::{Batch, Fencing, Model, PodRecord, Write};
use shared::protocol::leader::Intent;
use shared::{Epoch, PodId, Revision, Term};
use std::collections::BTreeMap;

/// The intents of one term.
#[derive(Debug)]
pub(super) struct Intents {
    term: Term,
    waiting: Vec<Intent>,
    riding: Vec<Intent>,
    proofs: BTreeMap<PodId, Burial>,
}

impl Intents {
    /// Makes an empty set.
    pub(super) fn new(term: Term) -> Self {
        Self { term, waiting: Vec::new(), riding: Vec::new(), proofs: BTreeMap::new() }
    }

    /// Takes what the protocol wants written.
    pub(super) fn push(&mut self, intent: Intent) {
        self.waiting.push(intent);
    }

    /// Takes somebody's proof, until the burial it leads to is committed. One pod is proven dead by one at a time.
    pub(super) fn proven(&mut self, burial: Burial) {
        if let Some(before) = self.proofs.insert(burial.pod.clone(), burial) {
            before.refuse(ControlError::NotLeader { leader: None });
        }
    }

    /// Adds what is to be written to a transaction. Returns what cannot be: it is not so any more.
    pub(super) fn board(&mut self, model: &Model, batch: &mut Batch) -> Vec<Intent> {
        let mut void = Vec::new();
        for intent in std::mem::take(&mut self.waiting) {
            match self.write(model, batch, &intent) {
                Some(write) => {
                    batch.writes.push(write);
                    self.riding.push(intent);
                }
                None => void.push(intent),
            }
        }
        void
    }

    fn write(&self, model: &Model, batch: &mut Batch, intent: &Intent) -> Option<Write> {
        match intent {
            Intent::Fencing { pod, lease_id, round } => {
                let (pod, term) = (pod.clone(), self.term);
                Some(Write::Fencing(Fencing { pod, lease_id: *lease_id, round: *round, term }))
            }
            Intent::Members(members) => Some(Write::Members(members.clone())),
            Intent::Bury { pod, lease_id, incarnation, proof } => {
                let registers = |write: &Write| matches!(write, Write::Pod { record, .. } if record.info.pod == *pod);
                let record = model.pod(pod).filter(|record| {
                    (record.lease_id, &record.info.incarnation) == (*lease_id, incarnation) && !record.buried
                })?;
                if batch.writes.iter().any(registers) {
                    return None;
                }
                if let Some(burial) = self.proofs.get(pod) {
                    burial.note(model, batch);
                }
                // Whoever knows that it is dead knows too that nobody waits for what it could report.
                let known_dead = || PodRecord { buried: true, report: false, ..record.clone() };
                Some(match proof {
                    Some(_) => Write::Pod { record: known_dead(), expected: Some(*lease_id), floor: Epoch(0) },
                    None => Write::Bury(record.clone()),
                })
            }
        }
    }

    /// The transaction is committed: returns what is written now, and answers those who gave a proof.
    pub(super) fn committed(&mut self, revision: Revision) -> Vec<Intent> {
        let written = std::mem::take(&mut self.riding);
        for intent in &written {
            if let Intent::Bury { pod, .. } = intent
                && let Some(burial) = self.proofs.remove(pod)
            {
                burial.done(revision);
            }
        }
        written
    }

    /// The transaction is certainly not committed: returns what was to be written with it.
    pub(super) fn failed(&mut self) -> Vec<Intent> {
        std::mem::take(&mut self.riding)
    }
}
