use super::*;
use crate::Platform;

fn event(kind: EventKind, body: &str) -> Event {
    let target = "discord:guild:1".parse().expect("valid");
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    Event {
        target,
        parent: None,
        platform: Platform::Discord,
        kind,
        source: "s".into(),
        id: "e1".into(),
        received_at: 0,
        headers: vec![],
        body,
    }
}

#[test]
fn only_what_a_person_reads_is_refused_with_a_success() {
    for kind in EventKind::ALL {
        let told = kind.is_interactive() && *kind != EventKind::SlackView;
        for answer in [refusal(*kind, b""), unsure(*kind, b"")] {
            assert_eq!(answer.status, if told { 200 } else { 503 }, "{kind}");
        }
    }
}

#[test]
fn nobody_is_told_that_nothing_was_changed_when_it_may_have_been() {
    for kind in EventKind::ALL {
        let told = String::from_utf8_lossy(&unsure(*kind, b"").body).into_owned();
        assert!(!told.contains(REFUSAL_TEXT), "{kind}");
    }
}

#[test]
fn a_view_is_refused_at_its_first_input() {
    let payload = "payload=%7B%22view%22%3A%7B%22blocks%22%3A%5B%7B%22type%22%3A%22input%22%2C%22block_id%22%3A%22b1%22%7D%5D%7D%7D";
    let answer = refusal(EventKind::SlackView, payload.as_bytes());
    let body: Value = serde_json::from_slice(&answer.body).expect("json");
    assert_eq!((answer.status, &body["errors"]["b1"]), (200, &json!(REFUSAL_TEXT)));
}

#[test]
fn the_owner_defers_before_the_http_tier_gives_up() {
    for kind in EventKind::ALL {
        assert!(defer_after(*kind) < deadline(*kind) - Duration::from_millis(500), "{kind}");
    }
}

#[test]
fn whoever_waits_is_answered_half_a_second_before_the_platform_gives_up() {
    use EventKind as K;
    let milliseconds = |kind, telegram: u64| park(kind, Duration::from_secs(telegram)).as_millis();
    for kind in [K::DiscordCommand, K::DiscordComponent, K::SlackCommand, K::SlackEvent] {
        assert_eq!(milliseconds(kind, 5), 2_500, "{kind}");
    }
    assert_eq!((milliseconds(K::GithubEvent, 5), milliseconds(K::StandardWebhook, 5)), (9_500, 14_500));
    assert_eq!([5, 59, 60].map(|most| milliseconds(K::TelegramUpdate, most)), [5_000, 59_000, 59_500]);
}

#[test]
fn a_late_discord_reply_edits_the_original() {
    let sent = event(EventKind::DiscordCommand, r#"{"application_id":"77","token":"A_token"}"#);
    let call = late_reply(&sent, &message(sent.kind, "hi", false), "http://127.0.0.1:9").expect("has a way out");
    assert_eq!(
        (call.method.as_str(), call.url.as_str()),
        ("PATCH", "http://127.0.0.1:9/webhooks/77/A_token/messages/@original")
    );
    let evil = event(EventKind::DiscordCommand, r#"{"application_id":"77/../..","token":"t"}"#);
    assert_eq!(late_reply(&evil, &message(sent.kind, "hi", false), DISCORD_API), None);
}

#[test]
fn a_reply_to_a_message_of_discords_gateway_is_one_message_in_its_channel() {
    let said = |body: &str| {
        let sent = event(EventKind::DiscordDispatch, body);
        late_reply(&sent, &message(sent.kind, "hi", true), DISCORD_API)
    };
    let call = said(r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5"}}"#).expect("has a way out");
    assert_eq!((call.method.as_str(), call.url), ("POST", format!("{DISCORD_API}/channels/5/messages")));
    let body: Value = serde_json::from_str(&call.body).expect("JSON");
    assert_eq!((&body["content"], body.get("nonce")), (&json!("hi"), None), "the outbox gives it one");
    assert_eq!(said(r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5/../6"}}"#), None);
    assert_eq!(said(r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5","author":{"bot":true}}}"#), None);
    assert_eq!(said(r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5","webhook_id":"3"}}"#), None);
    assert_eq!(said(r#"{"t":"MESSAGE_DELETE","d":{"id":"7","channel_id":"5"}}"#), None);
    let sent = event(EventKind::DiscordDispatch, r#"{"t":"MESSAGE_CREATE","d":{"id":"7","channel_id":"5"}}"#);
    assert_eq!(late_reply(&sent, &Answer::json(200, &json!({"done": true})), DISCORD_API), None, "that is no message");
}

#[test]
fn a_late_slack_reply_goes_to_its_response_url() {
    let sent = event(EventKind::SlackCommand, "command=%2Fhi&response_url=https%3A%2F%2Fhooks.slack.com%2Fx");
    let call = late_reply(&sent, &message(sent.kind, "hi", true), DISCORD_API).expect("has a way out");
    assert_eq!(call.url, "https://hooks.slack.com/x");
}

#[test]
fn form_fields_decode_and_broken_escapes_do_not() {
    assert_eq!(form_field(b"a=1&text=hi+%26%20you", "text").as_deref(), Some("hi & you"));
    assert_eq!(form_field(b"text=%zz", "text"), None);
    assert_eq!(form_field(b"text=%ff", "text"), None);
    assert_eq!(form_field(b"text", "text").as_deref(), Some(""));
}
