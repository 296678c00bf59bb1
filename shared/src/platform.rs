//! What each platform expects of an answer (PLATFORMS.md): deadlines, acknowledgements, deferrals, refusals, and the way
//! a late reply leaves. Pure; knows no signature and no transport. Used by the HTTP tier (which refuses) and by the owner
//! (which defers).

use crate::event::{Answer, Event, EventKind, OutboxCall};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// What a person is told when nobody could take their command in time.
pub const REFUSAL_TEXT: &str =
    "This is taking longer than it should. Nothing was changed; please try again in a moment.";

/// What a person is told when their command reached an owner that did not say in time what became of it.
pub const UNSURE_TEXT: &str =
    "This is taking longer than it should. It may still be done; please look before you try again.";

/// Discord's API, unless a setting names another (a test double, a proxy).
pub const DISCORD_API: &str = "https://discord.com/api/v10";

/// Returns how long the platform waits for an answer.
pub const fn deadline(kind: EventKind) -> Duration {
    use EventKind as K;
    match kind {
        K::TelegramUpdate => Duration::from_secs(60),
        K::StandardWebhook | K::DiscordDispatch => Duration::from_secs(15),
        K::GithubEvent => Duration::from_secs(10),
        K::Timer => Duration::from_secs(3_600),
        _ => Duration::from_secs(3),
    }
}

/// Returns how long the HTTP tier looks for an owner that answers: until 0.5 s before the platform's deadline. Telegram
/// is told to come back after `telegram_park` of waiting, since "503, come back in a second" parks perfectly there.
pub fn park(kind: EventKind, telegram_park: Duration) -> Duration {
    let most = deadline(kind).saturating_sub(Duration::from_millis(500));
    if matches!(kind, EventKind::TelegramUpdate) { most.min(telegram_park) } else { most }
}

/// Returns how long after its arrival an event's owner waits for the handler before it commits the event as accepted and
/// answers deferred: 2 s where the platform waits 3 s, else 2 s before the deadline.
pub const fn defer_after(kind: EventKind) -> Duration {
    let whole = deadline(kind);
    if whole.as_secs() <= 3 { Duration::from_secs(2) } else { Duration::from_secs(whole.as_secs() - 2) }
}

/// Returns the answer for an event that is committed as accepted while its handler has not answered yet.
pub fn deferred(kind: EventKind) -> Answer {
    use EventKind as K;
    match kind {
        K::DiscordCommand | K::DiscordModal => Answer::json(200, &json!({"type": 5})),
        K::DiscordComponent => Answer::json(200, &json!({"type": 6})),
        _ => acknowledged(kind),
    }
}

/// Returns the answer for an applied event whose handler had nothing to say.
pub fn acknowledged(kind: EventKind) -> Answer {
    use EventKind as K;
    match kind {
        K::DiscordCommand | K::DiscordModal => {
            Answer::json(200, &json!({"type": 4, "data": {"content": "Done.", "flags": 64}}))
        }
        K::DiscordComponent => Answer::json(200, &json!({"type": 6})),
        K::DiscordAutocomplete => Answer::json(200, &json!({"type": 8, "data": {"choices": []}})),
        K::SlackOptions => Answer::json(200, &json!({"options": []})),
        K::DiscordEvent => Answer::empty(204),
        K::GithubEvent => Answer::empty(202),
        _ => Answer::empty(200),
    }
}

/// Returns the answer when no owner took the event in time. Nothing was committed: never a success, except the sentence
/// that a waiting person reads.
pub fn refusal(kind: EventKind, body: &[u8]) -> Answer {
    not_taken(kind, body, REFUSAL_TEXT)
}

/// Returns the answer when an owner may have taken the event, but did not say so in time: as [`refusal`], with a sentence
/// that does not promise that nothing was changed.
pub fn unsure(kind: EventKind, body: &[u8]) -> Answer {
    not_taken(kind, body, UNSURE_TEXT)
}

fn not_taken(kind: EventKind, body: &[u8], text: &str) -> Answer {
    use EventKind as K;
    match kind {
        K::DiscordCommand | K::DiscordComponent | K::DiscordModal => message(kind, text, true),
        K::DiscordAutocomplete | K::SlackOptions => acknowledged(kind),
        K::SlackCommand | K::SlackInteraction => message(kind, text, true),
        K::SlackView => slack_view_errors(body, text),
        _ => Answer::empty(503).with_header("retry-after", "1"),
    }
}

/// Returns the answer that shows `text` to whoever sent the event; only to them when `private`. Where the platform shows
/// no text, it is the plain acknowledgement.
pub fn message(kind: EventKind, text: &str, private: bool) -> Answer {
    use EventKind as K;
    match kind {
        K::DiscordCommand | K::DiscordComponent | K::DiscordModal => {
            let flags = if private { 64 } else { 0 };
            let data = json!({"content": text, "flags": flags, "allowed_mentions": {"parse": []}});
            Answer::json(200, &json!({"type": 4, "data": data}))
        }
        K::SlackCommand | K::SlackInteraction => {
            let seen_by = if private { "ephemeral" } else { "in_channel" };
            Answer::json(200, &json!({"response_type": seen_by, "replace_original": false, "text": text}))
        }
        K::DiscordDispatch => Answer::json(200, &json!({"content": text, "allowed_mentions": {"parse": []}})),
        _ => acknowledged(kind),
    }
}

/// Returns the answer to a Telegram update that sends `text` to `chat`: Telegram executes the body of the answer.
pub fn telegram_message(chat: &str, text: &str, reply_to: Option<i64>) -> Answer {
    let chat = chat.parse::<i64>().map_or_else(|_| json!(chat), |n| json!(n));
    let mut body = json!({"method": "sendMessage", "chat_id": chat, "text": text});
    if let Some(id) = reply_to {
        body["reply_parameters"] = json!({"message_id": id, "allow_sending_without_reply": true});
    }
    Answer::json(200, &body)
}

/// Returns the call that delivers `answer` where the event's sender does not wait for it: after the event was answered
/// [`deferred`] Discord edits the original and Slack posts to the `response_url`; an answer to a message that Discord's gateway
/// told of is a message in its channel. `None` where a reply has no way out, or says nothing.
pub fn late_reply(event: &Event, answer: &Answer, discord_api: &str) -> Option<OutboxCall> {
    use EventKind as K;
    let reply: Value = serde_json::from_slice(&answer.body).ok()?;
    let (method, url, body) = match event.kind {
        K::DiscordCommand | K::DiscordComponent | K::DiscordModal => {
            let sent: Value = serde_json::from_slice(&event.body).ok()?;
            let (app, token) = (plain(sent.get("application_id")?)?, plain(sent.get("token")?)?);
            let body = reply.get("data")?.to_string();
            ("PATCH", format!("{discord_api}/webhooks/{app}/{token}/messages/@original"), body)
        }
        K::DiscordDispatch => return discord_message(event, reply, discord_api),
        K::SlackCommand => ("POST", form_field(&event.body, "response_url")?, reply.to_string()),
        K::SlackInteraction => {
            let payload = form_field(&event.body, "payload")?;
            let sent: Value = serde_json::from_str(&payload).ok()?;
            ("POST", sent.get("response_url")?.as_str()?.to_owned(), reply.to_string())
        }
        _ => return None,
    };
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Some(OutboxCall { id: format!("late-reply:{}", event.id), method: method.to_owned(), url, headers, body })
}

/// Returns the call that says something in the channel of a message, as an answer to it; nothing to what a bot wrote, which two of
/// them would never end. That a call made twice is one message is the outbox' matter, as with all messages.
fn discord_message(event: &Event, mut reply: Value, discord_api: &str) -> Option<OutboxCall> {
    let told: Value = serde_json::from_slice(&event.body).ok()?;
    let says = reply
        .as_object()
        .is_some_and(|said| ["content", "embeds", "components"].iter().any(|part| said.contains_key(*part)));
    let by_bot = told["d"]["author"]["bot"] == true || told["d"].get("webhook_id").is_some();
    if told["t"] != "MESSAGE_CREATE" || by_bot || !says {
        return None;
    }
    let (channel, message) = (plain(told["d"].get("channel_id")?)?, plain(told["d"].get("id")?)?);
    reply["message_reference"] = json!({"message_id": message, "fail_if_not_exists": false});
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let url = format!("{discord_api}/channels/{channel}/messages");
    Some(OutboxCall {
        id: format!("reply:{}", event.id),
        method: "POST".to_owned(),
        url,
        headers,
        body: reply.to_string(),
    })
}

/// Returns one field of a form body (`application/x-www-form-urlencoded`), decoded; the first of that name.
pub fn form_field(body: &[u8], name: &str) -> Option<String> {
    body.split(|b| *b == b'&').find_map(|pair| {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let value = pair.get(at + 1..).unwrap_or_default();
        (form_decode(&pair[..at])? == name).then(|| form_decode(value)).flatten()
    })
}

/// Returns all fields of a form body, decoded; of several with one name the first. What cannot be decoded is left out.
pub fn form_fields(body: &[u8]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        if let (Some(name), Some(value)) =
            (form_decode(&pair[..at]), form_decode(pair.get(at + 1..).unwrap_or_default()))
        {
            all.entry(name).or_insert(value);
        }
    }
    all
}

fn form_decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
                out.push(u8::from_str_radix(hex, 16).ok()?);
                at += 2;
            }
            other => out.push(other),
        }
        at += 1;
    }
    String::from_utf8(out).ok()
}

/// A path segment that can only be an id or a token: anything else could redirect the call.
fn plain(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'=' | b':');
    (!text.is_empty() && text != "." && text != ".." && text.bytes().all(safe)).then_some(text)
}

fn slack_view_errors(body: &[u8], text: &str) -> Answer {
    let block =
        form_field(body, "payload").and_then(|payload| serde_json::from_str::<Value>(&payload).ok()).and_then(|sent| {
            let blocks = sent.get("view")?.get("blocks")?.as_array()?.clone();
            let input = blocks.iter().find(|block| block.get("type").and_then(Value::as_str) == Some("input"))?;
            Some(input.get("block_id")?.as_str()?.to_owned())
        });
    match block {
        Some(block) => Answer::json(200, &json!({"response_action": "errors", "errors": {block: text}})),
        None => Answer::empty(503).with_header("retry-after", "1"),
    }
}

#[cfg(test)]
mod tests;
