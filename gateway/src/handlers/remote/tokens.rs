//! The tokens of calls that are out: whoever shows one reads the call's target, as long as the call lives. Decides who may
//! read; knows no HTTP.

use super::super::{Local, contract::Description};
use sha2::{Digest, Sha256};
use shared::{TargetId, settings::Secret};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// A token as it is looked up: by its hash, so that how long that takes says nothing about the token.
type Hashed = [u8; 32];

/// The calls that are out. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalCalls(Arc<Mutex<HashMap<Hashed, Admitted>>>);

/// What a call's token lets its bearer use.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    /// The reads of the call's target.
    pub(crate) local: Local,
    /// What the handler had said about itself when the call was made.
    pub(crate) described: Arc<Description>,
}

/// A call whose token is valid; dropped, it is not.
#[derive(Debug)]
pub(crate) struct LocalCall {
    token: Secret,
    calls: LocalCalls,
}

impl LocalCalls {
    /// Gives a call a token.
    pub(crate) fn admit(&self, call: Admitted) -> LocalCall {
        // Version 4 has 122 random bits of the system's own generator; two make it certain that none can be guessed.
        let token = Secret::new(format!("{}{}", random(), random()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hashed(token.expose()), call);
        LocalCall { token, calls: self.clone() }
    }

    /// Returns what a token allows, for its own target only.
    pub(crate) fn find(&self, token: &str, target: &TargetId) -> Option<Admitted> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&hashed(token)).filter(|call| call.local.target == *target).cloned()
    }
}

impl LocalCall {
    /// Returns the token.
    pub(crate) const fn token(&self) -> &Secret {
        &self.token
    }
}

impl Drop for LocalCall {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hashed(self.token.expose()));
    }
}

fn random() -> uuid::fmt::Simple {
    uuid::Uuid::new_v4().simple()
}

fn hashed(token: &str) -> Hashed {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
