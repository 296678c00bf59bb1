use super::super::tests::{NOW_S, event, found, headers, judge_with, refused, settings, signed};
use super::super::{Reason, Source, Verdict, Verifiers};
use super::*;
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use std::time::Duration;

fn shop() -> Source {
    Source::Standard("shop".to_owned())
}

fn target(source: &Source, body: &str) -> String {
    found(source, body).0
}

#[test]
fn the_target_is_what_stands_at_the_sources_pointer() {
    for (body, expected) in [
        (r#"{"target":"tenant 1"}"#, "shop.tenant~201"),
        (r#"{"target":12345678901234567890}"#, "shop.12345678901234567890"),
        (r#"{"target":""}"#, "shop"),
        (r#"{"target":{"id":1}}"#, "shop"),
        ("{}", "shop"),
        ("[1]", "shop"),
    ] {
        assert_eq!(target(&shop(), body), format!("webhook:key:{expected}"), "{body}");
    }
    let deep = Source::Standard("deep".to_owned());
    assert_eq!(target(&deep, r#"{"data":[{"tenant/id":"t"}]}"#), "webhook:key:deep.t");
    assert_eq!(refused(&shop(), r#"{"target":"a","target":"b"}"#), Reason::MalformedBody);
    let sent = event(&shop(), r#"{"target":"a"}"#);
    assert_eq!(
        (sent.source.as_str(), sent.id.as_str(), sent.kind),
        ("standard/shop", "msg_1", EventKind::StandardWebhook)
    );
}

#[test]
fn one_fitting_signature_among_several_is_enough_and_unknown_schemes_are_passed_over() {
    let body = br#"{"target":"a"}"#;
    let right = signed(&shop(), body)["webhook-signature"].to_str().expect("ascii").to_owned();
    let stamp = NOW_S.to_string();
    let with = |signature: &str| {
        let sent = [("webhook-id", "msg_1"), ("webhook-timestamp", stamp.as_str()), ("webhook-signature", signature)];
        judge_with(&shop(), &headers(&sent), body)
    };
    for good in [right.clone(), format!("v2,AAAA {right}"), format!("v1,AAAA v1,!! {right}"), format!("{right} v1,")] {
        assert!(matches!(with(&good), Verdict::Event(_)), "{good}");
    }
    for (bad, reason) in [
        ("v2,AAAA".to_owned(), Reason::MalformedSignature),
        (String::new(), Reason::MalformedSignature),
        (right.replace("v1,", ""), Reason::MalformedSignature),
        (right.replace("v1,", "v1a,"), Reason::WrongSignature),
        ("v1,".to_owned(), Reason::WrongSignature),
    ] {
        assert_eq!(with(&bad), Verdict::Refused(reason), "{bad}");
    }
}

#[test]
fn the_id_and_the_timestamp_are_signed_too() {
    let body = br#"{"target":"a"}"#;
    for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", "1800000001")] {
        let mut sent = signed(&shop(), body);
        sent.insert(name, value.parse().expect("ascii"));
        assert_eq!(judge_with(&shop(), &sent, body), Verdict::Refused(Reason::WrongSignature), "{name}");
    }
}

#[test]
fn svix_header_names_are_read_too() {
    let body = br#"{"target":"a"}"#;
    let own = signed(&shop(), body);
    let get = |name: &str| own[name].to_str().expect("ascii");
    let sent = headers(&[
        ("svix-id", get("webhook-id")),
        ("svix-timestamp", get("webhook-timestamp")),
        ("svix-signature", get("webhook-signature")),
    ]);
    assert!(matches!(judge_with(&shop(), &sent, body), Verdict::Event(_)));
}

#[test]
fn a_public_key_verifies_ed25519() {
    let key = SigningKey::from_bytes(&[9; 32]);
    let mut args = settings();
    args.standard_secrets = Some(format!("shop=whpk_{}", BASE64.encode(key.verifying_key().as_bytes())));
    args.standard_targets = None;
    let verifiers = Verifiers::from_settings(&args, Duration::from_secs(300)).expect("well formed");
    let body = Bytes::from_static(br#"{"target":"a"}"#);
    let signature = key.sign(&[format!("m.{NOW_S}.").as_bytes(), body.as_ref()].concat());
    let right = format!("v1a,{}", BASE64.encode(signature.to_bytes()));
    let with = |signature: &str| {
        let stamp = NOW_S.to_string();
        let sent = headers(&[("webhook-id", "m"), ("webhook-timestamp", &stamp), ("webhook-signature", signature)]);
        verifiers.verify(&shop(), &sent, &body, NOW_S * 1_000)
    };
    assert!(matches!(with(&right), Verdict::Event(_)));
    assert_eq!(with(&right.replace("v1a,", "v1,")), Verdict::Refused(Reason::WrongSignature));
    let wrong = format!("v1a,{} ", BASE64.encode([1; 64]));
    assert!(matches!(with(&format!("{}{right}", wrong.repeat(MAX_ED25519 - 1))), Verdict::Event(_)));
    let flood = format!("{}{right}", wrong.repeat(MAX_ED25519));
    assert_eq!(with(&flood), Verdict::Refused(Reason::WrongSignature), "no more are tried");
}

#[test]
fn many_wrong_signatures_cost_no_more_hashing_than_one() {
    let (body, stamp) = (vec![b'x'; 256 << 10], NOW_S.to_string());
    let cost = |count: usize| {
        let wrong = vec![format!("v1,{}", BASE64.encode([7; 32])); count].join(" ");
        let sent = [("webhook-id", "msg_1"), ("webhook-timestamp", stamp.as_str()), ("webhook-signature", &wrong)];
        let sent = headers(&sent);
        let begun = tokio::time::Instant::now();
        assert_eq!(judge_with(&shop(), &sent, &body), Verdict::Refused(Reason::WrongSignature));
        begun.elapsed()
    };
    // The least of several: a machine that does something else meanwhile only makes it more.
    let least = |count: usize| (0..10).map(|_| cost(count)).min().expect("ten");
    let (one, many) = (least(1), least(300));
    assert!(many < one * 50, "one took {one:?}, three hundred took {many:?}");
}
