//! Discord: Ed25519 over timestamp and body (Interactions, Security and Authorization).

use super::{Delivery, Keys, now};
use ed25519_dalek::Signer;
use serde_json::{Value, json};

/// Where interactions go.
pub const INTERACTIONS: &str = "/webhooks/discord";
/// Where webhook events go.
pub const EVENTS: &str = "/webhooks/discord/events";

/// Signs any body for now.
pub fn signed(keys: &Keys, path: &str, body: &[u8]) -> Delivery {
    signed_at(keys, path, body, &now().to_string())
}

/// Signs any body under the timestamp given, whatever it is.
pub fn signed_at(keys: &Keys, path: &str, body: &[u8], timestamp: &str) -> Delivery {
    let signature = keys.discord.sign(&[timestamp.as_bytes(), body].concat());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-signature-timestamp", timestamp.to_owned()),
        ("x-signature-ed25519", hex::encode(signature.to_bytes())),
    ];
    Delivery::new(path, body, &headers)
}

/// Makes a slash command of a guild.
pub fn command(guild: &str, id: &str, name: &str, options: &Value) -> Value {
    json!({
        "version": 1, "type": 2, "id": id, "application_id": "100", "token": format!("token-{id}"),
        "guild_id": guild, "channel_id": "300", "context": 0,
        "authorizing_integration_owners": {"0": guild},
        "member": {"user": {"id": "200", "username": "mara"}, "permissions": "2147483647", "roles": []},
        "data": {"id": "400", "name": name, "type": 1, "options": options},
    })
}

/// Makes a webhook event about a guild.
pub fn guild_event(guild: &str, at: &str) -> Value {
    json!({
        "version": 1, "application_id": "100", "type": 1,
        "event": {"type": "APPLICATION_AUTHORIZED", "timestamp": at, "data": {
            "integration_type": 0, "scopes": ["bot"], "user": {"id": "200", "username": "mara"},
            "guild": {"id": guild, "name": "a guild"}}},
    })
}
