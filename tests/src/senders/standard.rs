//! Standard Webhooks: `v1` is HMAC-SHA256, `v1a` Ed25519, both over `id.timestamp.body` and base64 (the specification's
//! Signature scheme).

use super::{Delivery, Keys, hmac_sha256, now};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer;

/// Signs for the source `shop` with v1.
pub fn signed(keys: &Keys, id: &str, body: &[u8]) -> Delivery {
    signed_at(keys, id, body, &now().to_string())
}

/// Signs for the source `shop` with v1 under the timestamp given, whatever it is.
pub fn signed_at(keys: &Keys, id: &str, body: &[u8], timestamp: &str) -> Delivery {
    let base: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signature = format!("v1,{}", STANDARD.encode(hmac_sha256(&keys.shop, &base)));
    delivery("shop", id, timestamp, signature, body)
}

/// Signs for the source `bank` with v1a.
pub fn signed_v1a(keys: &Keys, id: &str, body: &[u8]) -> Delivery {
    let timestamp = now().to_string();
    let base = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signature = format!("v1a,{}", STANDARD.encode(keys.bank.sign(&base).to_bytes()));
    delivery("bank", id, &timestamp, signature, body)
}

fn delivery(source: &str, id: &str, timestamp: &str, signature: String, body: &[u8]) -> Delivery {
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_owned()),
        ("webhook-signature", signature),
    ];
    Delivery::new(format!("/webhooks/standard/{source}"), body, &headers)
}
