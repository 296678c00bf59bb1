//! A new generation of the cluster, on an operator's word (OWNERSHIP.md, Leases 11): a transaction of its own, after which the
//! term is over and everything is read anew. Pure.

use super::{ControlError, Reply};
use crate::domain::{Batch, By, Model};
use shared::Revision;
use shared::wire::admin::GenerationBegun;

/// The operators who wait for it.
#[derive(Debug, Default)]
pub(super) struct Generation {
    waiting: Option<(By, Reply<GenerationBegun>)>,
    riding: Option<(GenerationBegun, Reply<GenerationBegun>)>,
}

impl Generation {
    /// Takes an operator's word; a second one waits for nothing, since the first ends the term.
    pub(super) fn ask(&mut self, by: By, reply: Reply<GenerationBegun>) {
        if self.waiting.is_some() || self.riding.is_some() {
            // Whoever asked may be gone.
            let _ = reply.send(Err(ControlError::NotLeader { leader: None }));
        } else {
            self.waiting = Some((by, reply));
        }
    }

    /// Returns the transaction that begins it, when one is asked for: after the newest that anybody has `seen`.
    pub(super) fn board(&mut self, model: &Model, seen: u32) -> Option<Batch> {
        let (by, reply) = self.waiting.take()?;
        let answer = GenerationBegun { revision: Revision(0), ..would_begin(model, seen) };
        let audit = by.audit("generation-new", "cluster");
        let kept = by.keep(&answer).into_iter().collect();
        let generation = answer.generation;
        self.riding = Some((answer, reply));
        Some(Batch { generation: Some(generation), audits: vec![audit], kept, ..Batch::default() })
    }

    /// A transaction is committed at `revision`. Returns the generation that began with it; none when it was another.
    pub(super) fn committed(&mut self, revision: Revision) -> Option<u32> {
        let (answer, reply) = self.riding.take()?;
        let generation = answer.generation;
        let _ = reply.send(Ok(GenerationBegun { revision, dry_run: false, ..answer }));
        Some(generation)
    }

    /// The transaction is not committed, as far as is known.
    pub(super) fn failed(&mut self) {
        if let Some((_, reply)) = self.riding.take() {
            let _ = reply.send(Err(ControlError::Store));
        }
    }
}

/// Says what a new generation would mean, and changes nothing.
pub(super) fn would_begin(model: &Model, seen: u32) -> GenerationBegun {
    GenerationBegun {
        generation: model.epoch().generation().max(seen).saturating_add(1),
        pods: model.pods().map(|record| record.info.pod.clone()).collect(),
        revision: model.revision(),
        dry_run: true,
    }
}
