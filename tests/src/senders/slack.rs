//! Slack: `v0=` HMAC-SHA256 over `v0:timestamp:body` (Verifying requests from Slack).

use super::{Delivery, Keys, form_encode, hmac_sha256, now};
use serde_json::{Value, json};

/// Signs a JSON body, as the Events API sends it.
pub fn signed(keys: &Keys, body: &[u8]) -> Delivery {
    signed_at(keys, body, &now().to_string(), "application/json")
}

/// Signs a form, as slash commands send it.
pub fn signed_form(keys: &Keys, form: &[u8]) -> Delivery {
    signed_at(keys, form, &now().to_string(), "application/x-www-form-urlencoded")
}

/// Signs an interaction: JSON in the form field `payload`.
pub fn signed_payload(keys: &Keys, payload: &str) -> Delivery {
    signed_form(keys, format!("payload={}", form_encode(payload)).as_bytes())
}

/// Signs any body under the timestamp given, whatever it is.
pub fn signed_at(keys: &Keys, body: &[u8], timestamp: &str, content_type: &str) -> Delivery {
    let base: [&[u8]; 4] = [b"v0:", timestamp.as_bytes(), b":", body];
    let headers = [
        ("content-type", content_type.to_owned()),
        ("x-slack-request-timestamp", timestamp.to_owned()),
        ("x-slack-signature", format!("v0={}", hex::encode(hmac_sha256(keys.slack.as_bytes(), &base)))),
    ];
    Delivery::new("/webhooks/slack", body, &headers)
}

/// Makes a message event of a workspace.
pub fn message(team: &str, event_id: &str, text: &str) -> Value {
    json!({
        "type": "event_callback", "team_id": team, "api_app_id": "A1", "event_id": event_id, "event_time": 1_700_000_000,
        "event": {"type": "message", "channel": "C1", "user": "U1", "text": text, "ts": "1700000000.000100"},
        "authorizations": [{"team_id": team, "enterprise_id": null, "user_id": "UB", "is_bot": true}],
    })
}

/// Makes the form of a slash command.
pub fn command(team: &str, trigger: &str, command: &str, text: &str) -> String {
    let fields = [
        ("team_id", team),
        ("channel_id", "C1"),
        ("user_id", "U1"),
        ("command", command),
        ("text", text),
        ("response_url", "https://hooks.slack.com/commands/T/1/x"),
        ("trigger_id", trigger),
    ];
    fields.map(|(name, value)| format!("{name}={}", form_encode(value))).join("&")
}
