//! Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 (`v1`) or Ed25519 (`v1a`) over id, timestamp and
//! body, joined with dots; headers also under Svix' older names.

use super::json;
use super::signature::{HmacKeys, header, timestamp};
use super::verdict::{Found, Input, Reason, Verdict};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, VerifyingKey};
use http::HeaderMap;
use shared::event::EventKind;
use shared::{Kind, Platform, TargetId};

/// The most Ed25519 signatures that are tried: each costs as much as routing six events, and nobody rotates more keys.
const MAX_ED25519: usize = 4;

/// One sender: its keys, and where its bodies name their target.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    hmac: HmacKeys,
    public: Vec<VerifyingKey>,
    /// The parts of a JSON pointer.
    target: Vec<String>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self { hmac: HmacKeys::none(), public: Vec::new(), target: vec!["target".to_owned()] }
    }

    /// Adds a secret `whsec_…` or a public key `whpk_…`. Says in words what is wrong with it.
    pub(super) fn add_key(&mut self, text: &str) -> Result<(), &'static str> {
        if let Some(key) = text.strip_prefix("whsec_") {
            let key = BASE64.decode(key).map_err(|_| "what follows whsec_ is not base64")?;
            if key.is_empty() {
                return Err("a secret whsec_ is empty");
            }
            self.hmac.push(&key);
            return Ok(());
        }
        let key = text.strip_prefix("whpk_").ok_or("expected source=whsec_… or source=whpk_…")?;
        let key = BASE64.decode(key).map_err(|_| "what follows whpk_ is not base64")?;
        let key: [u8; 32] = key.try_into().map_err(|_| "a public key whpk_ has 32 bytes")?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| "a key whpk_ is no Ed25519 public key")?;
        if key.is_weak() {
            return Err("an Ed25519 key whpk_ is weak; nobody can rely on it");
        }
        self.public.push(key);
        Ok(())
    }

    /// Sets the JSON pointer (RFC 6901) to a body's target.
    pub(super) fn set_target(&mut self, pointer: &str) -> Result<(), &'static str> {
        let parts = pointer.strip_prefix('/').ok_or("a JSON pointer begins with /, for example source=/data/tenant")?;
        self.target = parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        Ok(())
    }

    fn verify(&self, id: &[u8], stamp: &[u8], signatures: &[u8], body: &[u8]) -> Result<(), Reason> {
        let parts: [&[u8]; 5] = [id, b".", stamp, b".", body];
        let (mut known, mut tried, mut tags) = (false, 0, None);
        for signature in signatures.split(|b| *b == b' ') {
            if let Some(text) = signature.strip_prefix(b"v1,") {
                known = true;
                let Some(bytes) = decode::<32>(text) else { continue };
                if tags.get_or_insert_with(|| self.hmac.tags(&parts)).contain(bytes) {
                    return Ok(());
                }
            } else if let Some(text) = signature.strip_prefix(b"v1a,") {
                known = true;
                let Some(bytes) = decode::<64>(text).filter(|_| tried < MAX_ED25519) else { continue };
                tried += 1;
                let (signed, signature) = (parts.concat(), Signature::from_bytes(&bytes));
                if self.public.iter().any(|key| key.verify_strict(&signed, &signature).is_ok()) {
                    return Ok(());
                }
            }
        }
        Err(if known { Reason::WrongSignature } else { Reason::MalformedSignature })
    }
}

fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Returns a header under its own name, else under Svix'.
fn either<'h>(headers: &'h HeaderMap, name: &str, older: &str) -> Result<&'h [u8], Reason> {
    match header(headers, name) {
        Err(Reason::MissingSignature) => header(headers, older),
        found => found,
    }
}

/// Judges a message of one source.
pub(super) fn message(source: &str, sender: &Sender, input: Input<'_>) -> Result<Verdict, Reason> {
    let id = either(input.headers, "webhook-id", "svix-id")?;
    let stamp = either(input.headers, "webhook-timestamp", "svix-timestamp")?;
    let signatures = either(input.headers, "webhook-signature", "svix-signature")?;
    timestamp(stamp, input)?;
    sender.verify(id, stamp, signatures, input.body)?;
    let id = std::str::from_utf8(id).ok().filter(|id| !id.is_empty()).ok_or(Reason::MissingId)?.to_owned();
    let value = json::at_pointer(json::text(input.body)?, &sender.target)?.filter(|value| !value.is_empty());
    let parts = [Some(source), value.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let target = TargetId::from_parts(Platform::Webhook, Kind::Key, &parts).map_err(|_| Reason::MalformedBody)?;
    let found = Found { kind: EventKind::StandardWebhook, target, id };
    Ok(found.into_verdict(format!("standard/{source}"), input))
}

#[cfg(test)]
mod tests;
