//! GitHub: `X-Hub-Signature-256` is HMAC-SHA256 over the body (Validating webhook deliveries).

use super::{Delivery, Keys, hmac_sha256};

/// Signs a delivery of an event, for example `push`.
pub fn signed(keys: &Keys, event: &str, delivery: &str, body: &[u8]) -> Delivery {
    let signature = hex::encode(hmac_sha256(keys.github.as_bytes(), &[body]));
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", delivery.to_owned()),
        ("x-hub-signature-256", format!("sha256={signature}")),
    ];
    Delivery::new("/webhooks/github", body, &headers)
}
