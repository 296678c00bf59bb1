//! What has to be done now and then: removing what is too old, and noting when tokens were used and what targets weigh. A
//! little at a time, so that the leader's row is never held for long.

use crate::{
    domain::{Batch, Edit, Model, Values, Weight},
    store::{Keep, Store, StoreError},
};
use futures_util::future::BoxFuture;
use shared::{Revision, TargetId, Term};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many entries of the change log are trimmed at least, so that it is not done for each.
const TRIM_STEP: u64 = 1_000;

/// How often it is looked for what is too old, when the last look found nothing.
const LOOK: Duration = Duration::from_secs(60);

/// How often weights of targets are written, and of how many at most.
const WEIGH: Duration = Duration::from_secs(30);
const WEIGHED: usize = 2_000;

/// How exactly the use of a token is noted, in milliseconds.
pub(crate) const USED_STEP_MS: u64 = 600_000;

/// The upkeep of one term.
#[derive(Debug)]
pub(super) struct Upkeep {
    store: Arc<dyn Store>,
    term: Term,
    /// Changes kept in the log.
    change_keep: u64,
    /// Up to where the change log is known to be trimmed.
    trimmed: Revision,
    /// What the trimming under way goes up to; none when something else is under way.
    trimming: Option<Revision>,
    /// When it is looked for old rows next.
    look: Instant,
    /// When weights of targets are written next.
    weigh: Instant,
    /// When tokens were used, by id.
    used: BTreeMap<String, u64>,
}

impl Upkeep {
    /// Makes the upkeep of a term.
    pub(super) fn new(store: Arc<dyn Store>, term: Term, change_keep: u64) -> Self {
        let (used, now) = (BTreeMap::new(), Instant::now());
        Self { store, term, change_keep, trimmed: Revision(0), trimming: None, look: now, weigh: now + WEIGH, used }
    }

    /// Notes that a token was used, unless that is known well enough.
    pub(super) fn used(&mut self, model: &Model, id: String, at_ms: u64) {
        let known = model.token(&id).map(|token| token.used_ms.unwrap_or_default());
        if known.is_some_and(|known| at_ms >= known.saturating_add(USED_STEP_MS)) {
            self.used.insert(id, at_ms);
        }
    }

    /// Adds what was noted to a transaction.
    pub(super) fn board(&mut self, batch: &mut Batch) {
        let used = std::mem::take(&mut self.used);
        batch.edits.extend(used.into_iter().map(|(id, used_ms)| Edit::TouchToken { id, used_ms }));
    }

    /// Begins the next piece of work, if it is time for one. `weights` says what is to be written of so many targets.
    pub(super) fn begin(
        &mut self,
        newest: Revision,
        values: &Values,
        weights: impl FnOnce(usize) -> Vec<(TargetId, Weight)>,
    ) -> Option<BoxFuture<'static, Result<u64, StoreError>>> {
        let (store, term) = (Arc::clone(&self.store), self.term);
        if Instant::now() >= self.weigh {
            self.weigh = Instant::now() + WEIGH;
            let weights = weights(WEIGHED);
            if !weights.is_empty() {
                self.trimming = None;
                return Some(Box::pin(async move { store.weigh(term, weights).await.map(|()| 0) }));
            }
        }
        let up_to = Revision(newest.0.saturating_sub(self.change_keep));
        if up_to.0 >= self.trimmed.0 + TRIM_STEP {
            self.trimming = Some(up_to);
            return Some(Box::pin(async move { store.trim(term, up_to).await }));
        }
        self.trimming = None;
        if Instant::now() < self.look {
            return None;
        }
        self.look = Instant::now() + LOOK;
        let keep = Keep { audit: values.audit, history: values.history, answers: values.answers, moves: values.moves };
        Some(Box::pin(async move { store.forget(term, keep).await }))
    }

    /// A piece of work has removed `rows`: when there were any, there may be more.
    pub(super) fn ended(&mut self, rows: u64) {
        match self.trimming.take() {
            Some(up_to) if rows == 0 => self.trimmed = up_to,
            Some(_) => {}
            None if rows > 0 => self.look = Instant::now(),
            None => {}
        }
    }
}
