//! Writes the request that a handler gets for an event, as a pod does. Pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::handlers::{Event, EventExt, EventKind, Timer};
use serde_json::{Map, Value, json};
use shared::platform::form_field;

/// What a request carries beside its event.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// How often the event was tried, from 1.
    pub(super) attempt: u32,
    /// How long the call has, in milliseconds.
    pub(super) deadline_ms: u64,
    /// What was asked for to be sent along.
    pub(super) kv: Map<String, Value>,
    /// Where to read more.
    pub(super) local: String,
    /// The call's token.
    pub(super) token: String,
}

/// Returns the request for an event, or for the timer that it is.
pub(super) fn request(event: &Event, timer: Option<&Timer>, around: &Around) -> Value {
    let text = std::str::from_utf8(&event.body).ok();
    let headers: Map<_, _> = event.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "api": super::judge::API,
        "event": {
            "id": event.id, "platform": event.platform.as_str(), "kind": event.kind.as_str(), "target": event.target,
            "parent": event.parent, "source": event.source, "received_at": event.received_at, "attempt": around.attempt,
            "headers": headers, "body": text, "body_base64": text.is_none().then(|| STANDARD.encode(&event.body)),
            "form": form(event),
            "command": event.command().map(|said| json!({
                "name": said.name, "user": said.user, "args": said.args, "options": options(event)})),
            "message": event.message().map(|said| json!({"user": said.user, "text": said.text})),
            "timer": timer.map(|timer| json!({"id": timer.id, "due_ms": timer.due_ms, "payload": timer.payload})),
        },
        "epoch": 1_u64 << 40, "deadline_ms": around.deadline_ms, "state": {"kv": around.kv},
        "local": {"url": around.local, "token": around.token},
    })
}

fn form(event: &Event) -> Option<Value> {
    use EventKind as K;
    let names: &[&str] = match event.kind {
        K::SlackCommand => &[
            "team_id",
            "channel_id",
            "user_id",
            "user_name",
            "command",
            "text",
            "api_app_id",
            "trigger_id",
            "response_url",
        ],
        K::SlackInteraction | K::SlackView | K::SlackOptions => &["payload"],
        _ => return None,
    };
    Some(names.iter().filter_map(|name| Some(((*name).to_owned(), json!(form_field(&event.body, name)?)))).collect())
}

fn options(event: &Event) -> Value {
    let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
    let options = body["data"]["options"].as_array().cloned().unwrap_or_default();
    options.iter().filter_map(|option| Some((option["name"].as_str()?.to_owned(), option["value"].clone()))).collect()
}
