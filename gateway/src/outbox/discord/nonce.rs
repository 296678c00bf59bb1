//! A message that is sent again is not a second one: Discord knows it by its nonce, for a few minutes. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::TargetId;
use std::time::Duration;

/// For how long Discord is relied upon to know a nonce. It says that it is a few minutes.
const KNOWN: Duration = Duration::from_secs(120);

/// Gives a message its nonce, from the call's own name, unless whoever wrote it has decided about that. Returns whether it may be sent
/// again. What is no JSON object is left as it is.
pub(crate) fn give(body: &mut String, target: &TargetId, id: &str) -> bool {
    let Ok(Value::Object(mut said)) = serde_json::from_str(body) else { return false };
    if said.contains_key("nonce") || said.contains_key("enforce_nonce") {
        return said.get("nonce").is_some_and(|nonce| !nonce.is_null())
            && said.get("enforce_nonce") == Some(&json!(true));
    }
    // 24 characters; Discord takes 25.
    let nonce = URL_SAFE_NO_PAD.encode(&Sha256::digest(format!("{target}/{id}"))[..18]);
    said.insert("nonce".to_owned(), json!(nonce));
    said.insert("enforce_nonce".to_owned(), json!(true));
    *body = Value::Object(said).to_string();
    true
}

/// Whether a message with a nonce can be sent again although nobody knows whether it was taken: its first attempt is not so long ago
/// that Discord may have forgotten it.
pub(crate) fn holds(attempts: u32, created_ms: u64, now_ms: u64) -> bool {
    attempts <= 1 || Duration::from_millis(now_ms.saturating_sub(created_ms)) < KNOWN
}

#[cfg(test)]
mod tests;
