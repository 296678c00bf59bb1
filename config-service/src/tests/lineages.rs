//! Which lineages are needed, the word that lets one go, and how far replicas are behind: with pods played by hand.

use super::harness::*;
use http::Method;
use serde_json::{Value, json};
use shared::wire::control::{Heartbeat, Load};
use shared::wire::lineages::{LineageNeeds, Need};
use shared::wire::replication::{Lag, Standing};
use std::time::Duration;

const TARGET: &str = "discord:guild:1";

async fn may_go(node: &Node, pod: &str, incarnation: &str) -> Value {
    let body = json!({
        "lineage": format!("1/{pod}/{incarnation}"),
        "life": { "pod": pod, "incarnation": incarnation },
        "why": "a later one is good",
        "by": { "actor": "gateway-1", "reason": "its time is over" },
    });
    let said = node.call(Some("service"), Method::POST, "/v1/replication/removals", &body).await;
    assert_eq!(said.status, 200, "{}", said.json);
    said.json["may"].clone()
}

#[tokio::test]
async fn what_a_target_waits_for_may_not_go_and_what_goes_stands_in_the_audit() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let dead = node.replicated("gateway-0", 0).await;
    node.place(&[TARGET]).await.expect("placed");
    let heir = node.replicated("gateway-1", 1).await;
    for _ in 0..4 {
        node.clock.advance(Duration::from_secs(2));
        dead.beat(&node).await.expect("granted");
        heir.beat(&node).await.expect("granted");
    }
    let needs = async || -> LineageNeeds { node.service().get("/v1/replication/needs").await.expect("said") };
    let lives = needs().await;
    assert!(lives.settled && lives.lives.is_empty() && lives.now_ms > 0, "{lives:?}");
    assert!(lives.pods.iter().all(|pod| !pod.buried && pod.replica.is_some()), "{lives:?}");

    let word = json!({ "incarnation": dead.incarnation, "lease_id": dead.lease });
    assert_eq!(node.call(Some("service"), Method::POST, "/v1/pods/gateway-0/reaped", &word).await.code(), "ok");
    let of_dead = async || {
        let found = needs().await.lives.into_iter().find(|named| named.life.pod == dead.pod);
        found.map(|named| (named.need, named.targets))
    };
    eventually("its target waits for its data", async || {
        node.clock.advance(Duration::from_millis(200));
        heir.beat(&node).await.expect("granted");
        of_dead().await.is_some()
    })
    .await;
    assert_eq!(of_dead().await, Some((Need::Waiting, 1)));
    for needed in [&dead, &heir] {
        assert_eq!(may_go(&node, needed.pod.as_str(), needed.incarnation.as_str()).await, false);
    }
    let other = "0190163d-8694-739b-aea5-966c26f8adff";
    assert_eq!(may_go(&node, "gateway-0", other).await, true);
    let path = "/v1/events?kind=remove-lineage";
    let events = node.call(Some("admin"), Method::GET, path, &Value::Null).await.json;
    assert_eq!(events["events"].as_array().map(Vec::len), Some(1), "what is refused is not noted: {events}");
    assert_eq!(events["events"][0]["subject"], format!("1/gateway-0/{other}"));
    assert_eq!(events["events"][0]["reason"], "its time is over: a later one is good");
}

#[tokio::test]
async fn a_replica_that_is_behind_is_shown_with_its_pod_and_on_the_first_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let pod = node.replicated("gateway-0", 0).await;
    let says = async |state| {
        let load = Load { replication: Some(Lag { state, ms: 42_000, bytes: 7_000 }), ..Load::default() };
        pod.send(&node, &Heartbeat { load, ..pod.heartbeat() }).await.expect("granted");
        let shown = node.call(Some("admin"), Method::GET, "/v1/pods/gateway-0", &Value::Null).await.json;
        assert_eq!(shown["load"]["replication"], json!({ "state": state, "ms": 42_000, "bytes": 7_000 }));
        (node.page("/").await, node.page("/pods/gateway-0").await)
    };
    let (first, own) = says(Standing::Replicating).await;
    assert!(!first.contains("its replica is") && own.contains("replicating, 42 s behind"), "{own}");
    for state in [Standing::Behind, Standing::Closed, Standing::Degraded] {
        let (first, own) = says(state).await;
        assert!(
            first.contains(&format!("its replica is {state}")) && first.contains("berth replication status"),
            "{first}"
        );
        assert!(own.contains(&format!("{state}, 42 s behind")), "{own}");
    }
}
