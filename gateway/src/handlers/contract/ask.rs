//! What a handler is sent for an event.

use super::{super::Call, super::EventExt, super::Guild, super::GuildStanding, super::command, API};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use shared::event::{Event, EventKind};
use shared::platform::form_fields;
use std::collections::BTreeMap;

/// Where and with what a handler may read its target while the call runs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Access {
    /// The pod's loopback listener.
    pub(crate) url: String,
    /// The call's token.
    pub(crate) token: String,
}

#[derive(Serialize)]
struct Ask<'a> {
    api: &'static str,
    event: Sent<'a>,
    epoch: u64,
    deadline_ms: u64,
    state: State<'a>,
    local: Option<&'a Access>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    acquired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild: Option<&'a Guild>,
}

#[derive(Serialize)]
struct State<'a> {
    kv: BTreeMap<&'a str, &'a RawValue>,
}

#[derive(Serialize)]
struct Sent<'a> {
    id: &'a str,
    platform: &'static str,
    kind: EventKind,
    target: &'a str,
    parent: Option<&'a str>,
    source: &'a str,
    received_at: u64,
    attempt: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    headers: BTreeMap<&'a str, &'a str>,
    body: Option<&'a str>,
    body_base64: Option<String>,
    form: Option<BTreeMap<String, String>>,
    command: Option<Command>,
    message: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild: Option<GuildStanding>,
    timer: Option<Timer<'a>>,
}

#[derive(Serialize)]
struct Command {
    name: String,
    user: String,
    args: String,
    options: Map<String, Value>,
}

#[derive(Serialize)]
struct Message {
    user: String,
    text: String,
}

#[derive(Serialize)]
struct Timer<'a> {
    id: &'a str,
    due_ms: u64,
    payload: &'a str,
}

/// Writes the body of a call.
///
/// # Errors
/// When a stored value is no JSON: a row holds what Berth never writes.
pub(crate) fn ask(call: &Call, local: Option<&Access>) -> Result<Vec<u8>, serde_json::Error> {
    let kv = call.state.0.iter().map(|(key, text)| Ok((key.as_str(), serde_json::from_str(text)?)));
    let ask = Ask {
        api: API,
        event: sent(call),
        epoch: call.epoch.0,
        deadline_ms: u64::try_from(call.left().as_millis()).unwrap_or(u64::MAX),
        state: State { kv: kv.collect::<Result<_, serde_json::Error>>()? },
        local,
        acquired: call.acquired,
        guild: call.guild.as_ref(),
    };
    serde_json::to_vec(&ask)
}

fn sent(call: &Call) -> Sent<'_> {
    let event = &call.event;
    let text = std::str::from_utf8(&event.body).ok();
    Sent {
        id: &event.id,
        platform: event.platform.as_str(),
        kind: event.kind,
        target: event.target.as_str(),
        parent: event.parent.as_ref().map(|parent| parent.as_str()),
        source: &event.source,
        received_at: event.received_at,
        attempt: call.attempt,
        late: event.is_late(),
        headers: event.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        body: text,
        body_base64: text.is_none().then(|| STANDARD.encode(&event.body)),
        form: is_form(event).then(|| form_fields(&event.body)),
        command: event.command().map(|given| Command {
            name: given.name,
            user: given.user,
            args: given.args,
            options: command::options(event),
        }),
        message: event.message().map(|said| Message { user: said.user, text: said.text }),
        guild: event.guild(),
        timer: call.timer.as_ref().map(|timer| Timer { id: &timer.id, due_ms: timer.due_ms, payload: &timer.payload }),
    }
}

fn is_form(event: &Event) -> bool {
    use EventKind as K;
    matches!(event.kind, K::SlackCommand | K::SlackInteraction | K::SlackView | K::SlackOptions)
}
