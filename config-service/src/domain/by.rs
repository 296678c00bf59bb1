//! On whose word something is changed: who, why, in which request, and under which key the answer is kept.

use super::{Audit, Kept};
use serde::Serialize;

/// On whose word something is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who: the name of a token.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request.
    pub request_id: String,
    /// The caller's `Idempotency-Key` with what was asked, when it gave one.
    pub key: Option<(String, String)>,
}

impl By {
    /// Returns the entry of the audit for `action` on `subject`.
    pub fn audit(&self, action: &'static str, subject: impl Into<String>) -> Audit {
        let Self { actor, reason, request_id, .. } = self.clone();
        Audit { actor, action, subject: subject.into(), reason, request_id }
    }

    /// Returns `answer` as it is to be kept; none when no key was given. Its revision is left out: the transaction knows it.
    pub fn keep(&self, answer: &impl Serialize) -> Option<Kept> {
        let (key, fingerprint) = self.key.clone()?;
        let mut body = serde_json::to_value(answer).ok()?;
        body.as_object_mut()?.remove("revision");
        Some(Kept { actor: self.actor.clone(), key, fingerprint, body: body.to_string() })
    }
}
