//! Slices of a bot's REST requests as gateways ask for them over HTTP.

use super::{harness::*, stores::Flaky};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn ask(node: &Node, pod: &str, version: u64, (slots, wants): (u32, u32)) -> Answer {
    let ask = json!({
        "pod": pod, "incarnation": incarnation(1), "bot": "813847",
        "version": version, "slots": slots, "floor": 0, "wants": wants,
    });
    node.call(Some("service"), Method::POST, "/v1/discord/rest", &ask).await
}

async fn slots_of(node: &Node) -> Vec<u64> {
    let status = node.call(Some("service"), Method::GET, "/v1/discord/rest", &Value::Null).await;
    let pods = status.json["bots"][0]["pods"].as_array().cloned().unwrap_or_default();
    pods.iter().filter_map(|pod| pod["slots"].as_u64()).collect()
}

#[tokio::test]
async fn pods_share_what_a_bot_may_and_a_leader_that_starts_anew_goes_on_with_what_was_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let first = ask(&node, "gateway-0", 0, (0, 30)).await;
    assert_eq!((first.status, first.json["slots"].as_u64()), (200, Some(30)), "{}", first.json);
    assert_eq!(first.json["term_ms"], 60_000);
    let second = ask(&node, "gateway-1", 0, (0, 30)).await;
    assert_eq!(second.json["slots"], 19, "{}", second.json);
    assert_eq!(slots_of(&node).await, [30, 19]);
    node.stop().await;
    let node = Node::start(&folder).await;
    let third = ask(&node, "gateway-2", 0, (0, 30)).await;
    assert_eq!(third.json["slots"], 0, "{}", third.json);
    assert_eq!(slots_of(&node).await, [30, 19, 0]);
    // What was lent ends in time also when nobody comes back; no such pod is registered, so none keeps anything.
    node.clock.advance(Duration::from_secs(121));
    eventually("all of it is free", async || ask(&node, "gateway-2", 0, (0, 49)).await.json["slots"] == 49).await;
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Flaky::open(&folder);
    let node = Node::on(store.clone(), &[]).await;
    assert_eq!(ask(&node, "gateway-0", 0, (0, 10)).await.status, 200);
    store.refuse_spending(true);
    assert_eq!(ask(&node, "gateway-1", 0, (0, 10)).await.code(), "store-unavailable");
    store.refuse_spending(false);
    assert_eq!(slots_of(&node).await.len(), 1, "nobody has heard of the other");
    assert_eq!(ask(&node, "gateway-1", 0, (0, 10)).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let good = json!({
        "pod": "gateway-0", "incarnation": incarnation(1), "bot": "1", "version": 0, "slots": 0, "floor": 0, "wants": 1,
    });
    for (field, value, code) in
        [("bot", json!(""), "invalid"), ("wants", json!(-1), "bad-request"), ("pod", json!("?"), "bad-request")]
    {
        let mut wrong = good.clone();
        wrong[field] = value;
        let refused = node.call(Some("service"), Method::POST, "/v1/discord/rest", &wrong).await;
        assert_eq!(refused.code(), code, "{field}: {}", refused.json);
    }
    assert_eq!(node.call(None, Method::POST, "/v1/discord/rest", &good).await.status, 401);
    node.stop().await;
}
