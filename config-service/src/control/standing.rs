//! What every request is judged by, as the leader last committed it: tokens and settings. Immutable; handed out whole.

use crate::domain::{Model, TokenRecord, Values};
use std::collections::HashMap;

/// Tokens and settings in force.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The settings.
    pub(crate) values: Values,
    /// The tokens by the hash of their secret.
    tokens: HashMap<String, TokenRecord>,
}

impl Standing {
    /// Takes what stands in the model.
    pub(super) fn new(model: &Model) -> Self {
        let tokens = model.tokens().map(|token| (token.hash.clone(), token.clone())).collect();
        Self { values: Values::new(model.settings()), tokens }
    }

    /// Returns all tokens that have not ended.
    pub(crate) fn lasting(&self, now_ms: u64) -> impl Iterator<Item = &TokenRecord> {
        self.tokens.values().filter(move |token| token.expires_ms.is_none_or(|end| now_ms < end))
    }

    /// Returns the token whose secret has this hash, unless it has ended.
    pub(crate) fn token(&self, hash: &str, now_ms: u64) -> Option<&TokenRecord> {
        self.tokens.get(hash).filter(|token| token.expires_ms.is_none_or(|end| now_ms < end))
    }
}
