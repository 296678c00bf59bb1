//! Signature vectors made with the platforms' own libraries: the verifiers give the verdict that those gave.

use berth_tests::{Delivery, Setup, fixtures, senders};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use http_service::{
    SourceArgs,
    ingress::{Source, Verdict, Verifiers},
};
use serde_json::Value;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(300);

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap_or_default()
}

fn body(vector: &Value) -> Bytes {
    match vector["body_hex"].as_str() {
        Some(hex) => hex::decode(hex).expect("hex").into(),
        None => Bytes::copy_from_slice(text(vector, "body").as_bytes()),
    }
}

fn headers(pairs: &[(&str, Option<&str>)]) -> HeaderMap {
    let given = pairs.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    given
        .map(|(name, value)| {
            (HeaderName::try_from(name).expect("a header's name"), value.parse().expect("a header's value"))
        })
        .collect()
}

/// Whether the signature was taken: a body that is signed well and is no event is refused, but not as unsigned.
fn taken(args: &SourceArgs, source: &Source, headers: &HeaderMap, body: &Bytes, now: u64) -> bool {
    let verifiers = Verifiers::from_settings(args, WINDOW).expect("the vector's keys are well-formed");
    match verifiers.verify(source, headers, body, now * 1_000) {
        Verdict::Refused(reason) => reason.status() != StatusCode::UNAUTHORIZED,
        Verdict::Event(_) | Verdict::Answer { .. } => true,
    }
}

/// Judges every vector of a list and compares.
fn compare(list: &str, judge: impl Fn(&Value) -> bool) {
    if fixtures::folder().is_none() {
        return;
    }
    let all = fixtures::json("signature_vectors.json");
    let vectors = all[list].as_array().unwrap_or_else(|| panic!("no list {list}"));
    assert!(!vectors.is_empty());
    for vector in vectors {
        assert_eq!(judge(vector), vector["expect_valid"] == true, "{list}: {}", text(vector, "name"));
    }
}

#[test]
fn discords_vectors_get_their_verdict() {
    compare("discord_ed25519", |vector| {
        let args = SourceArgs { discord_public_key: Some(text(vector, "public_key").to_owned()), ..Default::default() };
        let headers = headers(&[
            ("x-signature-ed25519", vector["x_signature_ed25519"].as_str()),
            ("x-signature-timestamp", vector["x_signature_timestamp"].as_str()),
        ]);
        taken(&args, &Source::Discord, &headers, &body(vector), 1_700_000_000)
    });
}

#[test]
fn slacks_vectors_get_their_verdict() {
    compare("slack_v0", |vector| {
        let args =
            SourceArgs { slack_signing_secret: Some(text(vector, "signing_secret").to_owned()), ..Default::default() };
        let headers = headers(&[
            ("x-slack-request-timestamp", vector["x_slack_request_timestamp"].as_str()),
            ("x-slack-signature", vector["x_slack_signature"].as_str()),
        ]);
        taken(&args, &Source::Slack, &headers, &body(vector), vector["now"].as_u64().expect("now"))
    });
}

fn standard(vector: &Value, key: &str) -> bool {
    let args = SourceArgs { standard_secrets: Some(format!("vector={}", text(vector, key))), ..Default::default() };
    let given = vector["headers"].as_object().expect("headers");
    let pairs: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let source = Source::Standard("vector".to_owned());
    taken(&args, &source, &headers(&pairs), &body(vector), vector["now"].as_u64().expect("now"))
}

#[test]
fn standard_webhooks_v1_vectors_get_their_verdict() {
    compare("standard_webhooks_v1", |vector| standard(vector, "secret"));
}

#[test]
fn standard_webhooks_v1a_vectors_get_their_verdict() {
    compare("standard_webhooks_v1a", |vector| standard(vector, "public_key"));
}

fn github(vector: &Value) -> HeaderMap {
    headers(&[("x-hub-signature-256", vector["x_hub_signature_256"].as_str()), ("x-github-delivery", Some("1"))])
}

#[test]
fn githubs_vectors_get_their_verdict() {
    compare("github_sha256", |vector| {
        let args = SourceArgs { github_secret: Some(text(vector, "secret").to_owned()), ..Default::default() };
        taken(&args, &Source::Github, &github(vector), &body(vector), 1_700_000_000)
    });
}

#[test]
fn telegrams_vectors_get_their_verdict() {
    compare("telegram_secret_token", |vector| {
        let args =
            SourceArgs { telegram_secrets: Some(format!("bot={}", text(vector, "configured"))), ..Default::default() };
        let headers =
            headers(&[("x-telegram-bot-api-secret-token", vector["x_telegram_bot_api_secret_token"].as_str())]);
        taken(&args, &Source::Telegram("bot".to_owned()), &headers, &Bytes::from_static(b"{}"), 1_700_000_000)
    });
}

/// The senders of these stories against the verifiers: two readings of the same documents.
#[test]
fn what_the_senders_sign_is_what_the_verifiers_expect() {
    let keys = senders::Keys::default();
    let setting = |name: &str| keys.settings().into_iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let args = SourceArgs {
        discord_public_key: setting("BERTH_DISCORD_PUBLIC_KEY"),
        telegram_secrets: setting("BERTH_TELEGRAM_SECRETS"),
        slack_signing_secret: setting("BERTH_SLACK_SIGNING_SECRET"),
        standard_secrets: setting("BERTH_STANDARD_SECRETS"),
        github_secret: setting("BERTH_GITHUB_SECRET"),
        ..Default::default()
    };
    let now = u64::try_from(senders::now()).expect("after 1970");
    let judge = |source: &Source, delivery: &Delivery| {
        let pairs: Vec<_> =
            delivery.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        taken(&args, source, &headers(&pairs), &Bytes::from(delivery.body.clone()), now)
    };
    let shop = Source::Standard("shop".to_owned());
    let bank = Source::Standard("bank".to_owned());
    let all = [
        (Source::Discord, senders::discord::signed(&keys, senders::discord::INTERACTIONS, b"{}")),
        (Source::DiscordEvents, senders::discord::signed(&keys, senders::discord::EVENTS, b"{}")),
        (Source::Telegram(senders::telegram::BOT.to_owned()), senders::telegram::signed(&keys, b"{}")),
        (Source::Slack, senders::slack::signed(&keys, b"{}")),
        (shop, senders::standard::signed(&keys, "m1", b"{}")),
        (bank, senders::standard::signed_v1a(&keys, "m1", b"{}")),
        (Source::Github, senders::github::signed(&keys, "push", "d1", b"{}")),
    ];
    for (source, delivery) in all {
        assert!(judge(&source, &delivery), "{source:?}");
        let signed_headers =
            delivery.headers.iter().filter(|(name, _)| name != "content-type" && !name.starts_with("x-github-"));
        for (name, _) in signed_headers {
            assert!(!judge(&source, &delivery.clone().without(name)), "{source:?} without {name}");
        }
        if !matches!(source, Source::Telegram(_)) {
            assert!(!judge(&source, &delivery.with_body("{ }")), "{source:?}, re-serialised");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_without_a_clock_get_the_same_verdict_over_http() {
    if fixtures::folder().is_none() {
        return;
    }
    let all = fixtures::json("signature_vectors.json");
    let secret = text(&all["github_sha256"][0], "secret").to_owned();
    let token = text(&all["telegram_secret_token"][0], "configured").to_owned();
    let cluster = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_GITHUB_SECRET", &secret)
        .with("BERTH_TELEGRAM_SECRETS", &format!("bot={token}"))
        .start()
        .await;
    for vector in all["github_sha256"].as_array().expect("vectors") {
        let signature = text(vector, "x_hub_signature_256").to_owned();
        let delivery = Delivery {
            path: "/webhooks/github".to_owned(),
            headers: vec![
                ("x-hub-signature-256".to_owned(), signature),
                ("x-github-delivery".to_owned(), "1".to_owned()),
            ],
            body: body(vector).to_vec(),
        };
        let status = cluster.post(&delivery).await.expect("an answer").status;
        // Well signed, but no JSON.
        assert_eq!(status, if vector["expect_valid"] == true { 400 } else { 401 }, "{}", text(vector, "name"));
    }
    for vector in all["telegram_secret_token"].as_array().expect("vectors") {
        if text(vector, "configured") != token {
            continue;
        }
        let given = vector["x_telegram_bot_api_secret_token"].as_str();
        let headers = given.map(|token| ("x-telegram-bot-api-secret-token".to_owned(), token.to_owned()));
        let path = "/webhooks/telegram/bot".to_owned();
        let delivery = Delivery { path, headers: headers.into_iter().collect(), body: b"{\"update_id\":1}".to_vec() };
        let status = cluster.post(&delivery).await.expect("an answer").status;
        assert_eq!(status, if vector["expect_valid"] == true { 200 } else { 401 }, "{}", text(vector, "name"));
    }
    assert!(cluster.targets().await.is_empty(), "none of them is an event of a target");
}
