use super::super::tests::{discord_key, event, found, headers, ignored, judge, judge_with, refused, signed};
use super::super::{Ignored, Reason, Source, Verdict};
use ed25519_dalek::Signer;
use serde_json::json;
use shared::event::EventKind as K;

const D: Source = Source::Discord;
const E: Source = Source::DiscordEvents;

#[test]
fn an_interaction_belongs_to_its_guild_else_its_channel_else_its_user() {
    for (body, target, kind) in [
        (
            r#"{"id":"1","type":2,"guild_id":"9","channel_id":"8","member":{"user":{"id":"7"}}}"#,
            "guild:9",
            K::DiscordCommand,
        ),
        (r#"{"id":"1","type":3,"channel_id":"8","user":{"id":"7"}}"#, "channel:8", K::DiscordComponent),
        (r#"{"id":"1","type":4,"user":{"id":"7"}}"#, "user:7", K::DiscordAutocomplete),
        (r#"{"id":"1","type":5,"member":{"user":{"id":"7"}}}"#, "user:7", K::DiscordModal),
        (r#"{"id":1,"type":2,"guild_id":18446744073709551615}"#, "guild:18446744073709551615", K::DiscordCommand),
    ] {
        assert_eq!(found(&D, body), (format!("discord:{target}"), kind, "1".to_owned()), "{body}");
    }
    let sent = event(&D, r#"{"id":"1","type":2,"guild_id":"9"}"#);
    assert_eq!((sent.source.as_str(), sent.parent), ("discord", None));
}

#[test]
fn a_users_own_install_never_makes_a_guild_target() {
    let own = r#"{"id":"1","type":2,"guild_id":"9","channel_id":"8","authorizing_integration_owners":{"1":"7"}}"#;
    assert_eq!(found(&D, own).0, "discord:channel:8");
    let nowhere =
        r#"{"id":"1","type":2,"guild_id":"9","member":{"user":{"id":"7"}},"authorizing_integration_owners":{}}"#;
    assert_eq!(found(&D, nowhere).0, "discord:user:7");
    let both = r#"{"id":"1","type":2,"guild_id":"9","authorizing_integration_owners":{"0":"9","1":"7"}}"#;
    assert_eq!(found(&D, both).0, "discord:guild:9");
    let direct = r#"{"id":"1","type":2,"channel_id":"8","authorizing_integration_owners":{"0":"0"}}"#;
    assert_eq!(found(&D, direct).0, "discord:channel:8");
}

#[test]
fn pings_are_answered_after_the_signature_check() {
    let Verdict::Answer { ignored: Ignored::Ping, answer } = judge(&D, br#"{"type":1}"#) else { panic!("a ping") };
    assert_eq!((answer.status, answer.body.as_ref()), (200, br#"{"type":1}"#.as_slice()));
    let Verdict::Answer { ignored: Ignored::Ping, answer } = judge(&E, br#"{"type":0}"#) else { panic!("a ping") };
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let unsigned = headers(&[("x-signature-ed25519", &"0".repeat(128)), ("x-signature-timestamp", "1800000000")]);
    assert_eq!(judge_with(&D, &unsigned, br#"{"type":1}"#), Verdict::Refused(Reason::WrongSignature));
}

#[test]
fn hex_may_be_in_capitals_and_must_be_whole() {
    let body = br#"{"type":1}"#;
    let signature = signed(&D, body)["x-signature-ed25519"].to_str().expect("ascii").to_uppercase();
    let with = |signature: &str| {
        judge_with(&D, &headers(&[("x-signature-ed25519", signature), ("x-signature-timestamp", "1800000000")]), body)
    };
    assert!(matches!(with(&signature), Verdict::Answer { .. }));
    for bad in ["", &signature[2..], &format!("{signature}00"), &signature.replace('A', "g")] {
        assert_eq!(with(bad), Verdict::Refused(Reason::MalformedSignature), "{bad}");
    }
}

#[test]
fn a_timestamp_has_ten_digits_so_that_it_cannot_borrow_from_the_body() {
    // The same signed bytes, cut elsewhere.
    let signature = hex::encode(discord_key().sign(b"18000000001{}").to_bytes());
    for (stamp, body) in [("180000000", "01{}"), ("18000000001", "{}"), (" 1800000000", "1{}"), ("+180000000", "01{}")]
    {
        let sent = headers(&[("x-signature-ed25519", &signature), ("x-signature-timestamp", stamp)]);
        let verdict = judge_with(&D, &sent, body.as_bytes());
        assert_eq!(verdict, Verdict::Refused(Reason::MalformedTimestamp), "{stamp:?}");
    }
}

#[test]
fn an_interaction_that_cannot_be_answered_is_refused() {
    assert_eq!(refused(&D, r#"{"type":2,"guild_id":"9"}"#), Reason::MissingId);
    assert_eq!(refused(&D, r#"{"id":"1","type":99,"guild_id":"9"}"#), Reason::MalformedBody);
    assert_eq!(refused(&D, r#"{"id":"1","guild_id":"9"}"#), Reason::MalformedBody);
    assert_eq!(refused(&D, r#"{"id":"1","type":2,"type":1,"guild_id":"9"}"#), Reason::MalformedBody);
    assert_eq!(ignored(&D, r#"{"id":"1","type":2}"#), (Ignored::NoTarget, 200));
    let Verdict::Answer { answer, .. } = judge(&D, br#"{"id":"1","type":2}"#) else { panic!("is answered") };
    assert!(String::from_utf8_lossy(&answer.body).contains(shared::platform::REFUSAL_TEXT), "nothing was done");
}

#[test]
fn a_webhook_event_belongs_to_the_guild_it_names() {
    let sent = |data: serde_json::Value| {
        json!({"type": 1, "event": {"type": "X", "timestamp": "2026-01-01", "data": data}}).to_string()
    };
    for (data, target) in [
        (json!({"guild": {"id": "9"}, "user": {"id": "7"}}), "guild:9"),
        (json!({"id": "1", "guild_id": "9", "user_id": "7"}), "guild:9"),
        (json!({"id": "1", "channel_id": "8", "author": {"id": "7"}}), "channel:8"),
        (json!({"user": {"id": "7"}}), "user:7"),
        (json!({"user_id": "7"}), "user:7"),
    ] {
        let event = event(&E, &sent(data));
        assert_eq!((event.target.to_string(), event.kind), (format!("discord:{target}"), K::DiscordEvent));
        assert_eq!(event.source, "discord-events");
    }
    assert_eq!(ignored(&E, &sent(json!({"x": 1}))), (Ignored::NoTarget, 204));
    assert_eq!(ignored(&E, r#"{"type":7}"#), (Ignored::UnknownKind, 204));
    assert_eq!(refused(&E, r#"{"type":1}"#), Reason::MalformedBody);
}

#[test]
fn a_webhook_events_key_is_made_of_type_timestamp_and_ids() {
    let key = |name: &str, stamp: &str, user: &str, extra: &str| {
        found(&E, &format!(r#"{{"type":1,"event":{{"type":"{name}","timestamp":"{stamp}","data":{{"user":{{"id":"{user}"}}{extra}}}}}}}"#)).2
    };
    let first = key("A", "1", "7", "");
    assert_eq!(first, key("A", "1", "7", r#","scopes":["bot"]"#), "a retry in other words");
    for other in
        [key("B", "1", "7", ""), key("A", "2", "7", ""), key("A", "1", "8", ""), key("A", "1", "7", r#","id":"5""#)]
    {
        assert_ne!(first, other);
    }
}
