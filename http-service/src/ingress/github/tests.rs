use super::super::tests::{event, found, headers, hmac, ignored, judge_with, refused, signed};
use super::super::{Ignored, Reason, Source, Verdict};
use shared::event::EventKind;

const G: Source = Source::Github;

#[test]
fn a_delivery_belongs_to_its_installation_else_repository_else_organization() {
    let (installation, repository, organization) =
        (r#""installation":{"id":1}"#, r#""repository":{"id":2}"#, r#""organization":{"id":3}"#);
    for (body, target) in [
        (format!("{{{organization},{repository},{installation}}}"), "installation.1"),
        (format!("{{{organization},{repository}}}"), "repository.2"),
        (format!("{{{organization}}}"), "organization.3"),
    ] {
        let (found, kind, id) = found(&G, &body);
        assert_eq!((found, kind, id.as_str()), (format!("github:key:{target}"), EventKind::GithubEvent, "d-1"));
    }
    assert_eq!(ignored(&G, r#"{"sender":{"id":4}}"#), (Ignored::NoTarget, 202));
    assert_eq!(event(&G, r#"{"repository":{"id":2}}"#).source, "github");
}

#[test]
fn a_hook_may_send_forms() {
    let body = "payload=%7B%22repository%22%3A%7B%22id%22%3A2%7D%7D";
    assert_eq!(found(&G, body).0, "github:key:repository.2");
    assert_eq!(refused(&G, "payload=%7B%7D&payload=%7B%7D"), Reason::MalformedBody);
    assert_eq!(refused(&G, "payload=%zz"), Reason::MalformedBody);
}

#[test]
fn a_ping_is_answered_by_rule() {
    let body = br#"{"zen":"x","hook_id":1,"repository":{"id":2}}"#;
    let mut sent = signed(&G, body);
    sent.insert("x-github-event", "ping".parse().expect("ascii"));
    assert!(matches!(judge_with(&G, &sent, body), Verdict::Answer { ignored: Ignored::Ping, .. }));
}

#[test]
fn only_sha256_in_lower_case_counts() {
    let body = br#"{"repository":{"id":2}}"#;
    let hex = hex::encode(hmac(b"hub one", &[body]));
    let with = |signature: String| {
        judge_with(&G, &headers(&[("x-hub-signature-256", &signature), ("x-github-delivery", "d")]), body)
    };
    assert!(matches!(with(format!("sha256={hex}")), Verdict::Event(_)));
    for bad in
        [format!("sha1={hex}"), format!("sha256={}", hex.to_uppercase()), format!("sha256={}", &hex[1..]), hex.clone()]
    {
        assert_eq!(with(bad.clone()), Verdict::Refused(Reason::MalformedSignature), "{bad}");
    }
    let other = format!("sha256={}", hex::encode(hmac(b"another", &[body])));
    assert_eq!(with(other), Verdict::Refused(Reason::WrongSignature));
}

#[test]
fn a_delivery_without_an_id_cannot_count_once() {
    let body = br#"{"repository":{"id":2}}"#;
    let mut sent = signed(&G, body);
    sent.remove("x-github-delivery");
    assert_eq!(judge_with(&G, &sent, body), Verdict::Refused(Reason::MissingId));
}
