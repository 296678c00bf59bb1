use super::super::tests::{NOW_S, event, found, headers, hmac, ignored, judge, judge_with, refused, signed};
use super::super::{Ignored, Reason, Source, Verdict};
use shared::event::EventKind as K;

const S: Source = Source::Slack;

fn form(payload: &str) -> String {
    let escaped: String = payload.bytes().map(|b| format!("%{b:02X}")).collect();
    format!("payload={escaped}")
}

fn interaction(payload: &str) -> (String, K, String) {
    found(&S, &form(payload))
}

#[test]
fn an_event_belongs_to_the_workspace_that_installed_the_app() {
    for (ids, target) in [
        (r#""team_id":"T_SOURCE","authorizations":[{"team_id":"T_HOME","enterprise_id":"E"}]"#, "T_HOME"),
        (r#""team_id":"T_SOURCE","context_team_id":"T_CONTEXT","authorizations":[]"#, "T_CONTEXT"),
        (r#""team_id":"T_SOURCE","enterprise_id":"E""#, "T_SOURCE"),
        (r#""enterprise_id":"E","team_id":null"#, "E"),
        // Installed for a whole organisation: the workspace it happened in, as for that app's commands.
        (r#""team_id":"T1","enterprise_id":"E","authorizations":[{"team_id":null,"enterprise_id":"E"}]"#, "T1"),
        // The same, and written by somebody of another organisation in a shared channel.
        (
            r#""team_id":"T_ALIEN","enterprise_id":"E_ALIEN","context_team_id":"T_HOME","authorizations":[{"team_id":null,"enterprise_id":"E"}]"#,
            "T_HOME",
        ),
        (r#""authorizations":[{"team_id":null,"enterprise_id":"E"}]"#, "E"),
    ] {
        let body = format!(r#"{{"type":"event_callback","event_id":"Ev1",{ids},"event":{{"type":"message"}}}}"#);
        assert_eq!(found(&S, &body), (format!("slack:guild:{target}"), K::SlackEvent, "Ev1".to_owned()), "{ids}");
    }
    assert_eq!(event(&S, r#"{"type":"event_callback","event_id":"Ev1","team_id":"T"}"#).source, "slack");
}

#[test]
fn an_event_of_no_workspace_is_acknowledged_so_that_the_app_is_not_switched_off() {
    assert_eq!(ignored(&S, r#"{"type":"event_callback","event_id":"Ev1"}"#), (Ignored::NoTarget, 200));
}

#[test]
fn the_challenge_is_answered_after_the_signature_check() {
    let body = br#"{"token":"t","challenge":"c-1","type":"url_verification"}"#;
    let Verdict::Answer { ignored: Ignored::Challenge, answer } = judge(&S, body) else { panic!("a challenge") };
    assert_eq!((answer.status, answer.body.as_ref()), (200, br#"{"challenge":"c-1"}"#.as_slice()));
    let stamp = NOW_S.to_string();
    let forged =
        headers(&[("x-slack-signature", &format!("v0={}", "0".repeat(64))), ("x-slack-request-timestamp", &stamp)]);
    assert_eq!(judge_with(&S, &forged, body), Verdict::Refused(Reason::WrongSignature));
    assert_eq!(ignored(&S, "ssl_check=1&token=x"), (Ignored::SslCheck, 200));
}

#[test]
fn an_event_without_an_id_counts_once_by_its_bytes() {
    let limited = |minute: u32| {
        found(&S, &format!(r#"{{"type":"app_rate_limited","team_id":"T","minute_rate_limited":{minute}}}"#)).2
    };
    assert_eq!(limited(1), limited(1));
    assert_ne!(limited(1), limited(2));
}

#[test]
fn a_slash_command_belongs_to_its_team_else_its_enterprise() {
    let command = |ids: &str| found(&S, &format!("token=x&{ids}&command=%2Fwarn&text=a+b&trigger_id=1.2.ab"));
    assert_eq!(
        command("team_id=T1&enterprise_id=E1"),
        ("slack:guild:T1".to_owned(), K::SlackCommand, "1.2.ab".to_owned())
    );
    assert_eq!(command("team_id=&enterprise_id=E1").0, "slack:guild:E1");
    assert_eq!(ignored(&S, "command=%2Fwarn&trigger_id=1"), (Ignored::NoTarget, 200));
    for bad in ["team_id=T1&team_id=T2&command=%2Fx", "text=hi", "command=%2Fx&team_id=%ff%zz"] {
        assert!(matches!(refused(&S, bad), Reason::MalformedBody | Reason::NotUtf8), "{bad}");
    }
}

#[test]
fn interactivity_belongs_to_its_team_else_its_enterprise() {
    for (ids, target) in [
        (r#""team":{"id":"T1","enterprise_id":"E1"},"enterprise":{"id":"E1"}"#, "T1"),
        (r#""team":null,"enterprise":{"id":"E1"}"#, "E1"),
    ] {
        let (found, _, id) = interaction(&format!(r#"{{"type":"block_actions","trigger_id":"9.8.x",{ids}}}"#));
        assert_eq!((found, id.as_str()), (format!("slack:guild:{target}"), "9.8.x"), "{ids}");
    }
}

#[test]
fn the_kind_follows_from_the_answer_slack_expects() {
    for (name, kind) in [
        ("view_submission", K::SlackView),
        ("block_suggestion", K::SlackOptions),
        ("dialog_suggestion", K::SlackOptions),
        ("block_actions", K::SlackInteraction),
        ("view_closed", K::SlackInteraction),
        ("shortcut", K::SlackInteraction),
        ("message_action", K::SlackInteraction),
        ("interactive_message", K::SlackInteraction),
        ("dialog_submission", K::SlackInteraction),
    ] {
        assert_eq!(interaction(&format!(r#"{{"type":"{name}","team":{{"id":"T"}}}}"#)).1, kind, "{name}");
    }
}

#[test]
fn an_interaction_without_a_trigger_gets_a_key_of_what_names_it() {
    let key = |payload: &str| interaction(payload).2;
    let dialog = |ts: &str, text: &str| {
        key(&format!(
            r#"{{"type":"dialog_submission","team":{{"id":"T"}},"user":{{"id":"U"}},"action_ts":"{ts}","submission":{{"a":"{text}"}}}}"#
        ))
    };
    assert_eq!(dialog("1.1", "x"), dialog("1.1", "x"));
    assert_ne!(dialog("1.1", "x"), dialog("1.2", "x"));
    let closed = |view: &str| {
        key(&format!(
            r#"{{"type":"view_closed","team":{{"id":"T"}},"user":{{"id":"U"}},"view":{{"id":"{view}","hash":"1.x"}}}}"#
        ))
    };
    assert_eq!(closed("V1"), closed("V1"));
    assert_ne!(closed("V1"), closed("V2"));
}

#[test]
fn the_same_question_for_options_may_be_asked_again_later() {
    let body = form(r#"{"type":"block_suggestion","team":{"id":"T"},"value":"se"}"#);
    let at = |seconds: u64| {
        let stamp = seconds.to_string();
        let signature = hmac(b"slack two", &[b"v0:", stamp.as_bytes(), b":", body.as_bytes()]);
        let signature = format!("v0={}", hex::encode(signature));
        let sent = headers(&[("x-slack-signature", &signature), ("x-slack-request-timestamp", &stamp)]);
        match judge_with(&S, &sent, body.as_bytes()) {
            Verdict::Event(event) => event.into_event().id,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(at(NOW_S), at(NOW_S));
    assert_ne!(at(NOW_S), at(NOW_S + 1));
}

#[test]
fn capitals_and_other_versions_are_malformed() {
    let body = b"ssl_check=1";
    let right = signed(&S, body)["x-slack-signature"].to_str().expect("ascii").to_owned();
    for bad in [
        right.to_uppercase(),
        right.replace("v0=", "v1="),
        right[3..].to_owned(),
        format!("v0={}", right[3..].to_uppercase()),
    ] {
        let mut sent = signed(&S, body);
        sent.insert("x-slack-signature", bad.parse().expect("ascii"));
        assert_eq!(judge_with(&S, &sent, body), Verdict::Refused(Reason::MalformedSignature), "{bad}");
    }
}
