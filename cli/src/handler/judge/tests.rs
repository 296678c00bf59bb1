use super::*;
use serde_json::json;

const NOW: u64 = 1_700_000_000_000;

fn wrong(said: &Value) -> Vec<String> {
    answer(said, NOW).wrong.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_contract_allows_is_allowed() {
    for said in [
        json!({}),
        json!({"reply": null, "kv": null, "timers": []}),
        json!({"reply": {"text": "hello", "private": true}}),
        json!({"reply": {"status": 200, "headers": {"x-a": "b"}, "body": {"type": 4}}}),
        json!({"reply": {"body": "text"}}),
        json!({"kv": {"set": {"a": null, "b": [1]}, "delete": ["c"], "ttl_ms": {"a": 60_000.0}}}),
        json!({"sql": [{"statement": "add", "params": [1]}, {"statement": "INSERT", "params": {"a": 1}}, {"statement": "x"}]}),
        json!({"outbox": [{"id": "1", "url": "https://example.org/x", "body": {"a": 1}, "idempotent": true}]}),
        json!({"timers": [{"id": "a", "at": NOW + 1, "payload": "p"}, {"id": "b", "cancel": true}]}),
        json!({"sessions": [{"id": "a", "set": null, "ttl_ms": 1}, {"id": "a", "touch": true}, {"id": "b", "delete": true}]}),
    ] {
        let judged = answer(&said, NOW);
        assert_eq!(judged, Judged::default(), "{said}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let long = "k".repeat(513);
    for (said, complaint) in [
        (json!([]), "the answer is a list, wanted an object"),
        (json!({"replies": 1}), "replies is a field Berth does not know, wanted one of reply, kv, sql"),
        (json!({"reply": "hello"}), "reply is the text \"hello\", wanted an object"),
        (json!({"reply": {"text": "a", "status": 200}}), "reply.status is beside reply.text"),
        (json!({"reply": {"private": true}}), "reply.text is missing"),
        (json!({"reply": {"status": 99}}), "reply.status is 99, wanted an HTTP status from 200 to 599"),
        (json!({"reply": {"headers": {"a b": "c"}}}), "reply.headers.a b is no HTTP header"),
        (json!({"reply": {"headers": {"Content-Length": "1"}}}), "reply.headers.Content-Length is Berth's own to set"),
        (json!({"kv": {"set": []}}), "kv.set is a list, wanted an object"),
        (json!({"kv": {"set": {"": 1}}}), "a key of kv.set is 0 bytes long"),
        (json!({"kv": {"set": {long.as_str(): 1}}}), "a key of kv.set is 513 bytes long, wanted 1 to 512 bytes"),
        (json!({"kv": {"set": {"a": "x".repeat(MAX_VALUE)}}}), "kv.set.a is 1048578 bytes"),
        (json!({"kv": {"ttl_ms": {"a": 1}}}), "kv.ttl_ms.a is for a key that is not set"),
        (json!({"sql": [{"statement": ""}]}), "sql[0].statement is empty"),
        (
            json!({"sql": [{"statement": "x", "params": 1}]}),
            "sql[0].params is the number 1, wanted a list or an object",
        ),
        (
            json!({"outbox": [{"id": "1", "url": "/x"}]}),
            "outbox[0].url is the text \"/x\", wanted an absolute https URL",
        ),
        (
            json!({"outbox": [{"id": "1", "url": "https://a", "method": "FETCH"}]}),
            "outbox[0].method is the text \"FETCH\"",
        ),
        (
            json!({"outbox": [{"id": "1", "url": "https://a", "headers": {"Host": "b"}}]}),
            "outbox[0].headers.Host is Berth's own",
        ),
        (json!({"timers": [{"id": "a"}]}), "timers[0] is with none of them, wanted one of at, cancel"),
        (json!({"timers": [{"id": "a", "at": 1, "cancel": true}]}), "timers[0] is with 2 of them"),
        (json!({"timers": [{"id": "a", "cancel": false}]}), "timers[0] is with cancel false"),
        (json!({"timers": [{"at": 1.5, "id": "a"}]}), "timers[0].at is the number 1.5, wanted a whole number"),
        (json!({"sessions": [{"id": "a", "touch": true, "delete": true}]}), "sessions[0] is with 2 of them"),
    ] {
        let found = wrong(&said);
        assert!(found.len() == 1 && found[0].starts_with(complaint), "{said}: {found:?}");
    }
}

#[test]
fn what_is_probably_not_meant_is_said() {
    for (said, doubt) in [
        (json!({"timers": [{"id": "a", "at": NOW / 1_000}]}), "timers[0].at lies in the past"),
        (json!({"kv": {"set": {"a": 1}, "delete": ["a"]}}), "kv sets and deletes the key a"),
        (json!({"outbox": [{"id": "1", "url": "http://example.org"}]}), "outbox[0].url is plain http"),
    ] {
        let judged = answer(&said, NOW);
        assert!(judged.wrong.is_empty() && judged.doubts.len() == 1, "{said}: {judged:?}");
        assert!(judged.doubts[0].starts_with(doubt), "{judged:?}");
    }
}

#[test]
fn a_description_is_read_or_refused_with_every_reason() {
    let said = json!({"api": ["0", "1"], "name": "n", "version": "2", "preload": ["a", "b*"], "new": {}});
    let described = description(&said).expect("fine");
    assert_eq!(described.name.as_deref(), Some("n 2"));
    assert_eq!(described.preload, ["a", "b*"]);
    assert_eq!(described.versions, ["0", "1"]);
    let wrong = description(&json!({"api": "1", "preload": [1], "timeout_ms": 0})).expect_err("wrong");
    let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].starts_with("api is the text \"1\", wanted a list"), "{wrong:?}");
}

/// The JSON blocks of the guide, in their order.
fn guide() -> Vec<Value> {
    let text = include_str!("../../../../docs/handlers.md");
    let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| serde_json::from_str(block).expect("the guide's JSON is JSON")).collect()
}

#[test]
fn the_examples_of_the_guide_keep_to_the_contract() {
    let blocks = guide();
    let [described, request, said] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
    assert_eq!(description(described).expect("a description").versions, [API]);
    assert_eq!(answer(said, NOW), Judged::default());
    let names = |shape: &Shape| match shape {
        Shape::Closed(fields) | Shape::Open(fields) => fields.iter().map(|field| field.name).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    for name in names(&ANSWER) {
        assert!(said.get(name).is_some(), "the guide shows {name}");
    }
    assert_eq!(request["api"], API);
}
