use super::*;
use crate::handlers::Said;
use serde_json::json;
use std::collections::BTreeMap;

fn wrong(answer: &str) -> String {
    parse_answer(answer.as_bytes(), &BTreeMap::new()).expect_err("malformed").to_string()
}

#[test]
fn an_empty_answer_says_nothing() {
    for body in ["", " \n", "{}", r#"{"reply":null,"kv":null,"outbox":null,"timers":null}"#] {
        assert_eq!(parse_answer(body.as_bytes(), &BTreeMap::new()).expect("well formed"), Said::nothing(), "{body}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (answer, reason) in [
        ("[]", "answer: expected an object, found a list"),
        (r#"{"replies":{}}"#, "answer: unknown field \"replies\"; known are"),
        (r#"{"reply":"hi"}"#, "answer.reply: expected an object, found text"),
        (r#"{"reply":{"status":99}}"#, "answer.reply.status: expected a status from 200 to 599"),
        (r#"{"reply":{"status":204,"body":"x"}}"#, "answer.reply: an answer with status 204, 205 or 304 has no body"),
        (r#"{"reply":{"text":5}}"#, "answer.reply.text: expected text, found 5"),
        (r#"{"reply":{"text":"x","status":200}}"#, "answer.reply: unknown field \"status\""),
        (r#"{"reply":{"headers":{"content-length":"5"}}}"#, "answer.reply: headers.content-length is Berth's own"),
        (r#"{"reply":{"headers":{"x":"a\nb"}}}"#, "answer.reply.headers.x: a header's value is one line"),
        (r#"{"kv":{"set":["a"]}}"#, "answer.kv.set: expected an object, found a list"),
        (r#"{"kv":{"delete":[1]}}"#, "answer.kv.delete[0]: expected text, found 1"),
        (r#"{"kv":{"ttl_ms":{"a":5}}}"#, "answer.kv.ttl_ms.a: a key that is not in kv.set"),
        (r#"{"outbox":[{"id":"1"}]}"#, "answer.outbox[0]: url is missing"),
        (
            r#"{"timers":[{"id":"1","at":-5}]}"#,
            "answer.timers[0].at: expected a whole number that is not negative, found -5",
        ),
        (r#"{"timers":[{"id":"1","cancel":false}]}"#, "answer.timers[0].cancel: only true says anything"),
        (r#"{"sql":[{"statement":5}]}"#, "answer.sql[0].statement: expected text, found 5"),
        (r#"{"sql":[{"statement":"x","params":[[]]}]}"#, "answer.sql[0].params[0]: a value is null, true"),
        (r#"{"sql":[{"statement":"x","params":{"a":{}}}]}"#, "answer.sql[0].params.a: a value is null, true"),
        (r#"{"sessions":[{"id":"1"}]}"#, "answer.sessions[0]: one of set, touch and delete"),
        (r#"{"sessions":[{"id":"1","touch":true,"set":1}]}"#, "answer.sessions[0]: unknown field \"set\""),
        ("{\"reply\":", "answer: no JSON"),
        ("{} {}", "answer: no JSON"),
    ] {
        let found = wrong(answer);
        assert!(found.starts_with(reason), "{answer}: {found}");
    }
    assert!(parse_answer(b"{\"reply\":{\"text\":\"\xff\"}}", &BTreeMap::new()).is_err(), "no UTF-8");
}

#[test]
fn a_description_of_another_version_is_refused_with_both_versions_named() {
    let why = parse_description(br#"{"api":["7","8"]}"#).expect_err("another version").to_string();
    assert!(why.contains("version 7, 8") && why.contains("version 1;"), "{why}");
}

#[test]
fn a_newer_description_may_say_more() {
    let text = json!({"api": ["1", "2"], "name": "bot", "preload": ["a", "b:*"], "max_concurrency": 4, "timeout_ms": 500,
        "statements": {"add": "INSERT"}, "web": true, "mood": "good"});
    let Description { described, statements } = parse_description(text.to_string().as_bytes()).expect("usable");
    assert_eq!((described.name.as_deref(), described.max_concurrency, described.web), (Some("bot"), Some(4), true));
    assert_eq!((described.preload.len(), statements["add"].as_str()), (2, "INSERT"));
    assert!(parse_description(br#"{"api":["1"],"timeout_ms":0}"#).is_err());
    assert!(parse_description(br#"{"api":"1"}"#).is_err());
}
