//! The events the suite plays: one of each kind, as platforms write them, and some that strangers write. Pure.

use crate::send::{discord, github, slack, standard, telegram};
use bytes::Bytes;
use gateway::handlers::{Event, EventKind, TargetId};
use serde_json::{Value, json};

/// Who speaks in the played events.
const USER: &str = "1000000000000000003";

/// An event with its name in the report.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// The event.
    pub(super) event: Event,
}

/// Returns one event of every kind that comes from outside; `now_ms` is when they arrive.
pub(super) fn kinds(now_ms: u64) -> Vec<Case> {
    let known = EventKind::ALL.iter().filter(|kind| **kind != EventKind::Timer);
    known.map(|kind| Case { name: format!("event {kind}"), event: of_kind(*kind, now_ms) }).collect()
}

/// Returns commands as people give them, the same on three platforms, so that a bot that knows one shows what it does.
pub(super) fn commands(now_ms: u64) -> Vec<Case> {
    let long = "x".repeat(1_000);
    let texts = [
        ("a word of 1000 letters", format!("/warn {long} because")),
        ("a command without arguments", "/warn".to_owned()),
        ("hostile characters", "/warn <@\u{202e}\u{0}'\"; DROP TABLE kv; --> \u{1f4a5}\\ ../..".to_owned()),
        ("an unknown command", "/no-such-command-as-this 1 2".to_owned()),
    ];
    texts
        .into_iter()
        .map(|(name, text)| Case { name: name.to_owned(), event: said(-1_001, 500, &text, now_ms) })
        .collect()
}

/// Returns events whose bodies are not what a platform sends.
pub(super) fn bodies(now_ms: u64) -> Vec<Case> {
    let with = |name: &str, body: Vec<u8>| {
        let event = Event { id: format!("body-{}", body.len()), ..of_kind(EventKind::StandardWebhook, now_ms) };
        Case { name: name.to_owned(), event: Event { body: Bytes::from(body), ..event } }
    };
    let huge = json!({"target": "k1", "message": "m".repeat(1 << 20), "user": "mara"}).to_string();
    vec![
        with("a body that is no JSON", b"{\"command\": \"warn\", ".to_vec()),
        with("a body that is no UTF-8", vec![0xff, 0xfe, 0x00, 0x80]),
        with("an empty body", Vec::new()),
        with("a body of 1 MiB", huge.into_bytes()),
        with("JSON nested 100 deep", ["[".repeat(100), "]".repeat(100)].concat().into_bytes()),
    ]
}

/// Returns a timer that falls due.
pub(super) fn timer(target: &TargetId, id: &str, due_ms: u64, payload: &str) -> Event {
    let body = json!({"id": id, "due_ms": due_ms, "payload": payload}).to_string();
    Event {
        target: target.clone(),
        parent: None,
        platform: target.platform(),
        kind: EventKind::Timer,
        source: "timer".to_owned(),
        id: format!("{id}:{due_ms}"),
        received_at: due_ms,
        headers: Vec::new(),
        body: Bytes::from(body),
    }
}

/// Returns a Telegram message in a chat.
pub(super) fn said(chat: i64, update: u64, text: &str, now_ms: u64) -> Event {
    let body = telegram::message(&update.to_string(), chat, 200, text, now_ms / 1_000);
    event(
        EventKind::TelegramUpdate,
        &format!("telegram:channel:{chat}"),
        "telegram/demo",
        &update.to_string(),
        body.to_string(),
        now_ms,
    )
}

fn of_kind(kind: EventKind, now_ms: u64) -> Event {
    use EventKind as K;
    let guild = "discord:guild:1";
    let (target, source, body) = match kind {
        K::DiscordCommand => (guild, "discord", warn_on_discord().to_string()),
        K::DiscordComponent => (guild, "discord", component(3, json!({"custom_id": "yes", "component_type": 2}))),
        K::DiscordAutocomplete => (
            guild,
            "discord",
            component(
                4,
                json!({"id": "4", "name": "warn", "type": 1,
            "options": [{"name": "user", "type": 3, "value": "bo", "focused": true}]}),
            ),
        ),
        K::DiscordModal => (guild, "discord", component(5, json!({"custom_id": "form", "components": []}))),
        K::DiscordEvent => {
            (guild, "discord-events", discord::authorized("1", USER, "2026-01-01T00:00:00+00:00").to_string())
        }
        K::DiscordDispatch => {
            let said = json!({"id": "900", "channel_id": "2", "guild_id": "1", "content": "hello",
                "author": {"id": USER, "username": "mara"}});
            (guild, "discord-gateway", json!({"t": "MESSAGE_CREATE", "d": said}).to_string())
        }
        K::TelegramUpdate => return said(-1_001, 1, "/stats@demo_bot", now_ms),
        K::SlackEvent => (
            "slack:guild:T1",
            "slack",
            slack::event("Ev1", "message", &slack_said("hello"), now_ms / 1_000).to_string(),
        ),
        K::SlackCommand => ("slack:guild:T1", "slack", slack::command_form("1.1", "warn", &slack_said("bob too loud"))),
        K::SlackInteraction => ("slack:guild:T1", "slack", interaction("block_actions")),
        K::SlackView => ("slack:guild:T1", "slack", interaction("view_submission")),
        K::SlackOptions => ("slack:guild:T1", "slack", interaction("block_suggestion")),
        K::GithubEvent => {
            let comment = github::Said {
                repository: Some(7),
                installation: None,
                action: Some("created"),
                comment: Some("/stats"),
                user: "mara",
            };
            ("github:key:repository.7", "github", github::delivery(&comment).to_string())
        }
        K::StandardWebhook | K::Timer => (
            "webhook:key:demo.k1",
            "standard/demo",
            standard::message(Some("k1"), Some("stats"), "mara", "").to_string(),
        ),
    };
    event(kind, target, source, &format!("played-{kind}"), body, now_ms)
}

fn event(kind: EventKind, target: &str, source: &str, id: &str, body: String, now_ms: u64) -> Event {
    let target: TargetId = target.parse().expect("the played targets are valid");
    let json = !body.starts_with("payload=") && kind != EventKind::SlackCommand;
    let content_type = if json { slack::JSON } else { slack::FORM };
    Event {
        parent: None,
        platform: target.platform(),
        target,
        kind,
        source: source.to_owned(),
        id: id.to_owned(),
        received_at: now_ms,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: Bytes::from(body),
    }
}

fn warn_on_discord() -> Value {
    let options = vec![
        json!({"name": "user", "type": 6, "value": "1000000000000000042"}),
        json!({"name": "reason", "type": 3, "value": "too loud"}),
    ];
    let said = discord::Said { guild: Some("1"), channel: "2", user: USER, command: "warn", options };
    discord::interaction("900", &said)
}

/// Returns an interaction of Discord that is no command.
fn component(kind: u8, data: Value) -> String {
    let mut body = warn_on_discord();
    body["type"] = json!(kind);
    body["data"] = data;
    body.to_string()
}

const fn slack_said(text: &str) -> slack::Said<'_> {
    slack::Said { team: "T1", channel: "C1", user: "U1", text }
}

/// Returns the form in which Slack sends its interactivity.
fn interaction(kind: &str) -> String {
    let payload = json!({
        "type": kind, "team": {"id": "T1"}, "user": {"id": "U1"}, "trigger_id": "1.2",
        "response_url": "https://hooks.slack.com/actions/T1/1/played",
        "actions": [{"action_id": "yes", "block_id": "b", "type": "button", "value": "1"}],
        "view": {"id": "V1", "callback_id": "form", "type": "modal", "state": {"values": {}}},
        "action_id": "who", "block_id": "b", "value": "bo",
    });
    slack::form(&[("payload", &payload.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::handlers::EventExt;

    #[test]
    fn every_kind_is_played_and_the_commands_among_them_are_commands() {
        let all = kinds(1_700_000_000_000);
        assert_eq!(all.len() + 1, EventKind::ALL.len());
        let commands: Vec<_> = all
            .iter()
            .filter_map(|case| Some((case.event.kind, case.event.command()?)))
            .map(|(kind, command)| format!("{kind} {} {}", command.name, command.args))
            .collect();
        assert_eq!(
            commands,
            [
                "discord_command warn 1000000000000000042 too loud",
                "telegram_update stats ",
                "slack_command warn bob too loud",
                "standard_webhook stats ",
                "github_event stats ",
            ]
        );
        assert!(all.iter().any(|case| case.event.message().is_some()), "a plain message is among them");
    }
}
