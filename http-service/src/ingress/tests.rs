//! What holds for every source: rotation, off means off, no bytes crash anything. Helpers for the platforms' stories.

use super::*;
use crate::SourceArgs;
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use shared::event::{Event, EventKind};
use std::time::Duration;

pub(crate) const NOW_S: u64 = 1_800_000_000;

pub(super) fn discord_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn settings() -> SourceArgs {
    SourceArgs {
        discord_public_key: Some(hex::encode(discord_key().verifying_key().as_bytes())),
        telegram_secrets: Some("guard=Token_one,guard=Token-two,other=Token_three".to_owned()),
        slack_signing_secret: Some("slack one, slack two".to_owned()),
        standard_secrets: Some("shop=whsec_c2hvcC1zZWNyZXQ=,deep=whsec_ZGVlcC1zZWNyZXQ=".to_owned()),
        standard_targets: Some("deep=/data/0/tenant~1id".to_owned()),
        github_secret: Some("hub one,hub two".to_owned()),
        ..SourceArgs::default()
    }
}

pub(crate) fn verifiers() -> Verifiers {
    Verifiers::from_settings(&settings(), Duration::from_secs(300)).expect("well formed")
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::try_from(*name).expect("a name"), HeaderValue::from_str(value).expect("a value"));
    }
    map
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).expect("any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn signed(source: &Source, body: &[u8]) -> HeaderMap {
    let stamp = NOW_S.to_string();
    let stamp = stamp.as_str();
    match source {
        Source::Discord | Source::DiscordEvents => {
            let signature = discord_key().sign(&[stamp.as_bytes(), body].concat());
            let signature = hex::encode(signature.to_bytes());
            headers(&[("x-signature-ed25519", signature.as_str()), ("x-signature-timestamp", stamp)])
        }
        Source::Telegram(_) => headers(&[("x-telegram-bot-api-secret-token", "Token_one")]),
        Source::Slack => {
            let signature = format!("v0={}", hex::encode(hmac(b"slack one", &[b"v0:", stamp.as_bytes(), b":", body])));
            headers(&[("x-slack-signature", signature.as_str()), ("x-slack-request-timestamp", stamp)])
        }
        Source::Standard(name) => {
            use base64::{Engine, engine::general_purpose::STANDARD};
            let key = format!("{name}-secret");
            let signature = hmac(key.as_bytes(), &[b"msg_1.", stamp.as_bytes(), b".", body]);
            let signature = format!("v1,{}", STANDARD.encode(signature));
            headers(&[("webhook-id", "msg_1"), ("webhook-timestamp", stamp), ("webhook-signature", signature.as_str())])
        }
        Source::Github => {
            let signature = format!("sha256={}", hex::encode(hmac(b"hub one", &[body])));
            headers(&[
                ("x-hub-signature-256", signature.as_str()),
                ("x-github-event", "push"),
                ("x-github-delivery", "d-1"),
            ])
        }
    }
}

pub(super) fn judge_with(source: &Source, headers: &HeaderMap, body: &[u8]) -> Verdict {
    verifiers().verify(source, headers, &Bytes::copy_from_slice(body), NOW_S * 1_000)
}

/// Judges a body that its platform has signed rightly.
pub(crate) fn judge(source: &Source, body: &[u8]) -> Verdict {
    judge_with(source, &signed(source, body), body)
}

pub(super) fn event(source: &Source, body: &str) -> Event {
    match judge(source, body.as_bytes()) {
        Verdict::Event(event) => event.into_event(),
        other => panic!("{body} gave {other:?}"),
    }
}

/// Returns target, kind and dedupe key.
pub(super) fn found(source: &Source, body: &str) -> (String, EventKind, String) {
    let event = event(source, body);
    (event.target.to_string(), event.kind, event.id)
}

pub(super) fn ignored(source: &Source, body: &str) -> (Ignored, u16) {
    match judge(source, body.as_bytes()) {
        Verdict::Answer { ignored, answer } => (ignored, answer.status),
        other => panic!("{body} gave {other:?}"),
    }
}

pub(super) fn refused(source: &Source, body: &str) -> Reason {
    match judge(source, body.as_bytes()) {
        Verdict::Refused(reason) => reason,
        other => panic!("{body} gave {other:?}"),
    }
}

fn all() -> Vec<Source> {
    let (telegram, standard) = (Source::Telegram("guard".to_owned()), Source::Standard("shop".to_owned()));
    vec![Source::Discord, Source::DiscordEvents, telegram, Source::Slack, standard, Source::Github]
}

#[test]
fn a_source_without_a_secret_is_off_and_never_open() {
    let closed = Verifiers::from_settings(&SourceArgs::default(), Duration::from_secs(300)).expect("nothing set");
    assert!(closed.on().is_empty());
    for source in all() {
        let verdict = closed.verify(&source, &signed(&source, b"{}"), &Bytes::from_static(b"{}"), NOW_S * 1_000);
        assert_eq!(verdict, Verdict::Refused(Reason::SourceOff), "{source:?}");
        assert!(!closed.is_on(&source) && verifiers().is_on(&source));
    }
    let stranger = Source::Telegram("stranger".to_owned());
    assert_eq!(judge(&stranger, b"{}"), Verdict::Refused(Reason::SourceOff));
    assert_eq!(
        verifiers().on(),
        ["discord", "telegram/guard", "telegram/other", "slack", "standard/deep", "standard/shop", "github"]
    );
}

#[test]
fn a_missing_signature_is_refused_and_so_is_one_of_two() {
    for source in all() {
        for name in signed(&source, b"{}").keys().filter(|name| !name.as_str().starts_with("x-github-")) {
            let mut without = signed(&source, b"{}");
            without.remove(name);
            assert_eq!(judge_with(&source, &without, b"{}"), Verdict::Refused(Reason::MissingSignature), "{name}");
            let mut twice = signed(&source, b"{}");
            twice.append(name.clone(), twice[name].clone());
            assert_eq!(judge_with(&source, &twice, b"{}"), Verdict::Refused(Reason::DuplicateHeader), "{name}");
        }
    }
}

#[test]
fn a_changed_body_is_refused_where_the_body_is_signed() {
    for source in all().iter().filter(|source| !matches!(source, Source::Telegram(_))) {
        let verdict = judge_with(source, &signed(source, br#"{"a":1}"#), br#"{"a": 1}"#);
        assert_eq!(verdict, Verdict::Refused(Reason::WrongSignature), "{source:?}");
    }
}

#[test]
fn a_signed_timestamp_counts_for_the_window_both_ways() {
    for source in [Source::Discord, Source::Slack, Source::Standard("shop".to_owned())] {
        let (verifiers, body) = (verifiers(), Bytes::from_static(b"\xff"));
        let at = |now_s: u64| verifiers.verify(&source, &signed(&source, &body), &body, now_s * 1_000);
        for now in [NOW_S - 300, NOW_S, NOW_S + 300] {
            assert_eq!(at(now), Verdict::Refused(Reason::NotUtf8), "the signature is right: {source:?}");
        }
        assert_eq!(at(NOW_S + 301), Verdict::Refused(Reason::Stale), "{source:?}");
        assert_eq!(at(NOW_S - 301), Verdict::Refused(Reason::Future), "{source:?}");
    }
}

#[test]
fn a_signed_body_that_is_not_what_the_source_sends_is_a_bad_request() {
    let deep = [b"{\"a\":".repeat(5_000), b"[".repeat(5_000)].concat();
    let (wide, quoted) = (format!("[{}[]]", "[],".repeat(500)), format!("\"{}\"", "[".repeat(10_000)));
    for source in all() {
        for (body, reason) in [
            (b"\xff\xfe".as_slice(), Reason::NotUtf8),
            (deep.as_slice(), Reason::TooDeep),
            (b"", Reason::MalformedBody),
            (b"{\"a\":1", Reason::MalformedBody),
            (b"{} {}", Reason::MalformedBody),
        ] {
            let verdict = judge(&source, body);
            assert_eq!(verdict, Verdict::Refused(reason), "{source:?} {:?}", &body[..body.len().min(20)]);
            assert_eq!(reason.status(), StatusCode::BAD_REQUEST);
        }
        for shallow in [wide.as_bytes(), quoted.as_bytes()] {
            assert_ne!(judge(&source, shallow), Verdict::Refused(Reason::TooDeep), "{source:?}");
        }
    }
}

#[test]
fn every_key_counts_while_one_is_rotated_out() {
    let body = br#"{"update_id":1,"message":{"chat":{"id":5}}}"#;
    let bot = Source::Telegram("guard".to_owned());
    for (token, accepted) in [("Token_one", true), ("Token-two", true), ("Token_three", false), ("Token", false)] {
        let verdict = judge_with(&bot, &headers(&[("x-telegram-bot-api-secret-token", token)]), body);
        assert_eq!(matches!(verdict, Verdict::Event(_)), accepted, "{token}");
    }
    let push = br#"{"repository":{"id":1}}"#;
    let second = format!("sha256={}", hex::encode(hmac(b"hub two", &[push])));
    let second = headers(&[("x-hub-signature-256", &second), ("x-github-delivery", "d")]);
    assert!(matches!(judge_with(&Source::Github, &second, push), Verdict::Event(_)));
}

#[test]
fn handlers_never_see_signatures_tokens_or_cookies() {
    let mut sent = signed(&Source::Github, br#"{"repository":{"id":1}}"#);
    sent.insert("cookie", HeaderValue::from_static("session=1"));
    sent.insert("authorization", HeaderValue::from_static("Bearer x"));
    sent.insert("content-type", HeaderValue::from_static("application/json"));
    let Verdict::Event(event) = judge_with(&Source::Github, &sent, br#"{"repository":{"id":1}}"#) else {
        panic!("is an event")
    };
    let names: Vec<_> = event.event().headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "x-github-event", "x-github-delivery"]);
}

#[test]
fn a_setting_that_cannot_work_is_refused_without_repeating_it() {
    let with = |change: fn(&mut SourceArgs)| {
        let mut args = settings();
        change(&mut args);
        Verifiers::from_settings(&args, Duration::from_secs(300)).expect_err("cannot work").to_string()
    };
    for (text, name) in [
        (with(|args| args.discord_public_key = Some("zz-hunter2".into())), "BERTH_DISCORD_PUBLIC_KEY"),
        // The neutral element: everybody's signature would fit.
        (with(|args| args.discord_public_key = Some(format!("01{}", "0".repeat(62)))), "BERTH_DISCORD_PUBLIC_KEY"),
        (with(|args| args.telegram_secrets = Some("hunter2".into())), "BERTH_TELEGRAM_SECRETS"),
        (with(|args| args.telegram_secrets = Some("a/b=hunter2".into())), "BERTH_TELEGRAM_SECRETS"),
        (with(|args| args.telegram_secrets = Some("bot=hunter2 ü".into())), "BERTH_TELEGRAM_SECRETS"),
        (with(|args| args.standard_secrets = Some("shop=hunter2".into())), "BERTH_STANDARD_SECRETS"),
        (with(|args| args.standard_secrets = Some("shop=whsec_hunter2!".into())), "BERTH_STANDARD_SECRETS"),
        (with(|args| args.standard_secrets = Some("shop=whsec_".into())), "BERTH_STANDARD_SECRETS"),
        (with(|args| args.standard_secrets = Some("shop=whpk_aHVudGVyMg==".into())), "BERTH_STANDARD_SECRETS"),
        (with(|args| args.standard_targets = Some("hunter2=/a".into())), "BERTH_STANDARD_TARGETS"),
        (with(|args| args.standard_targets = Some("shop=hunter2".into())), "BERTH_STANDARD_TARGETS"),
    ] {
        assert!(text.starts_with(name) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_file_may_hold_one_key_a_line() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "hub two\nhub three\n").expect("written");
    let args = SourceArgs { github_secret_file: Some(file.path().to_owned()), ..SourceArgs::default() };
    let verifiers = Verifiers::from_settings(&args, Duration::from_secs(300)).expect("well formed");
    let body = Bytes::from_static(br#"{"repository":{"id":1}}"#);
    let signature = format!("sha256={}", hex::encode(hmac(b"hub three", &[&body])));
    let sent = headers(&[("x-hub-signature-256", &signature), ("x-github-delivery", "d")]);
    assert!(matches!(verifiers.verify(&Source::Github, &sent, &body, 0), Verdict::Event(_)));
}

/// Bodies that look enough like something to get past the first check.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "null",
        "1",
        "-1",
        "1e999",
        "\"type\":",
        "1,",
        "\"id\":\"5\"",
        "\"guild_id\":",
        "\"update_id\":7",
        "\"message\":",
        "\"chat\":",
        "payload=",
        "%7b",
        "%",
        "&",
        "team_id=T1",
        "command=%2Fx",
        "ssl_check=1",
        "\"event\":",
        "\"data\":",
        "\"target\":",
        "\u{0}",
        "\"repository\":{\"id\":18446744073709551615}",
        "ü",
    ]);
    let mixed = prop::collection::vec(word, 0..30).prop_map(|words| words.concat().into_bytes());
    prop_oneof![mixed, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    // Each case signs six bodies; without optimisation that is slow.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_signed_bytes_crash_a_reader(body in bodies()) {
        for source in all() {
            judge(&source, &body);
        }
    }

    #[test]
    fn no_headers_crash_a_verifier(values in prop::collection::vec("[ -~]{0,150}", 9), body in bodies()) {
        let names = [
            "x-signature-ed25519", "x-signature-timestamp", "x-slack-signature", "x-slack-request-timestamp", "webhook-id",
            "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "x-telegram-bot-api-secret-token",
        ];
        let pairs: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let given = headers(&pairs);
        for source in all() {
            let verdict = judge_with(&source, &given, &body);
            let Verdict::Refused(reason) = verdict else { panic!("nobody signed this: {verdict:?}") };
            prop_assert_eq!(reason.status(), StatusCode::UNAUTHORIZED);
        }
    }
}
