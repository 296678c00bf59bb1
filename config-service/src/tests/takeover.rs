//! Who leads after having followed goes on with what it knows, and is told the rest: reading it all takes long with a million targets.

use super::harness::*;
use super::stores::Flaky;
use crate::store::{Position, Store};
use http::Method;
use serde_json::json;
use shared::{Term, wire::admin::PodStatus};
use std::sync::Arc;
use tempfile::TempDir;

/// What is known is never too old here, however slow the machine is.
const PATIENT: [&str; 1] = ["--follower-age=600s"];

async fn leading(folder: &TempDir) -> (Node, Arc<Flaky>) {
    let store = Flaky::open(folder);
    let node = Node::on(Arc::<Flaky>::clone(&store), &PATIENT).await;
    node.ready("gateway-0", 0).await;
    node.place(&["slack:guild:T1", "slack:guild:T2"]).await.expect("placed");
    assert_eq!(store.loads(), 1, "it has read everything when it began to lead");
    (node, store)
}

async fn term(store: &Flaky) -> Term {
    store.follow(Position::default(), 1).await.expect("answers").reign.term
}

async fn step_down(node: &Node) {
    let done = node.call(Some("admin"), Method::POST, "/v1/leader/step-down", &json!({ "reason": "to see" })).await;
    assert_eq!(done.status, 200, "{}", done.json);
}

/// It leads again, and knows what it knew.
async fn goes_on(node: &Node) {
    eventually("it leads again", async || node.registered("gateway-0", 0).await.is_ok()).await;
    node.ready("gateway-0", 0).await;
    let targets = ["slack:guild:T1", "slack:guild:T2", "slack:guild:T3"];
    eventually("it places targets", async || node.place(&targets).await.is_ok_and(|placed| placed.refused.is_empty()))
        .await;
    let placed = node.place(&targets).await.expect("placed");
    assert!(placed.assignments.iter().all(|one| one.pod.as_str() == "gateway-0"), "{placed:?}");
    let pod: PodStatus = node.admin().get("/v1/pods/gateway-0").await.expect("known");
    assert_eq!(pod.targets, 3);
}

#[tokio::test]
async fn whoever_has_followed_leads_without_reading_everything_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, store) = leading(&folder).await;
    let before = term(&store).await;
    step_down(&node).await;
    eventually("it has won another term", async || term(&store).await > before).await;
    goes_on(&node).await;
    assert_eq!(store.loads(), 1, "nothing was read twice");
    node.stop().await;
}

#[tokio::test]
async fn whoever_still_reads_when_it_wins_the_term_reads_on_and_leads_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, store) = leading(&folder).await;
    let before = term(&store).await;
    let held = store.hold_views().await;
    step_down(&node).await;
    eventually("it has won the term", async || term(&store).await > before).await;
    assert_eq!(store.loads(), 1, "it waits for what it reads already");
    drop(held);
    goes_on(&node).await;
    assert_eq!(store.loads(), 1, "nothing was read twice");
    assert_eq!(term(&store).await, Term(before.0 + 1), "under the term that it has won");
    node.stop().await;
}
