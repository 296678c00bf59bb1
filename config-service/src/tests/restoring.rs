//! What dead pods had and others restore from their replicas: with pods played by hand, which say what they have restored.

use super::harness::*;
use http::Method;
use serde_json::{Value, json};
use shared::wire::control::{Assignment, AssignmentState, Holding, Life, Restored, RestoredTaken};
use shared::wire::handoff::{MoveReport, MoveState, Reported, Reports, Said};
use shared::{Epoch, MoveId, TargetId};
use std::time::Duration;

const TARGET: &str = "discord:guild:1";
const OTHER: &str = "discord:guild:2";

async fn owner(node: &Node, target: &str) -> Assignment {
    node.admin().get(&format!("/v1/targets/{target}")).await.expect("owned")
}

/// Two pods with replicas, the first with these targets; the leader has been one for long enough to bury somebody.
async fn two_pods(node: &Node, targets: &[&str]) -> (Pod, Pod) {
    let one = node.replicated("gateway-0", 0).await;
    node.place(targets).await.expect("placed");
    let other = node.replicated("gateway-1", 1).await;
    for _ in 0..4 {
        node.clock.advance(Duration::from_secs(2));
        one.beat(node).await.expect("granted");
        other.beat(node).await.expect("granted");
    }
    (one, other)
}

async fn reap(node: &Node, pod: &Pod) {
    let word = json!({ "incarnation": pod.incarnation, "lease_id": pod.lease });
    let path = format!("/v1/pods/{}/reaped", pod.pod);
    assert_eq!(node.call(Some("service"), Method::POST, &path, &word).await.code(), "ok");
}

async fn restored(node: &Node, by: &Pod, of: &Pod, targets: Vec<Holding>, absent: &[&str]) -> Vec<TargetId> {
    let said = Restored {
        incarnation: by.incarnation.clone(),
        lease_id: by.lease,
        from: Life { pod: of.pod.clone(), incarnation: of.incarnation.clone() },
        targets,
        absent: absent.iter().map(|target| target.parse().expect("valid")).collect(),
        failed: None,
    };
    let taken: RestoredTaken =
        node.service().post(&format!("/v1/pods/{}/restored", by.pod), &said).await.expect("taken");
    taken.serving
}

fn held(target: &str, epoch: Epoch) -> Holding {
    Holding { target: target.parse().expect("valid"), epoch, whole: true }
}

#[tokio::test]
async fn what_a_dead_pod_had_is_restored_by_its_heir_and_served_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let (dead, heir) = two_pods(&node, &[TARGET, OTHER]).await;
    let epoch = owner(&node, TARGET).await.epoch;
    reap(&node, &dead).await;
    eventually("its heir is to restore it", async || owner(&node, TARGET).await.restoring().is_some()).await;
    heir.beat(&node).await.expect("granted");
    let status: Value = node.admin().get("/v1/pods/gateway-1").await.expect("known");
    assert_eq!((&status["restoring"], &status["replica"]), (&json!(2), &json!("s3://replicas/berth")));
    assert!(node.page("/pods/gateway-1").await.contains("it restores 2 from replicas"));
    assert!(node.page(&format!("/targets/{TARGET}")).await.contains("being restored from the replica of"));

    assert_eq!(restored(&node, &heir, &dead, vec![held(TARGET, epoch)], &[]).await, [TARGET.parse().expect("valid")]);
    let now = owner(&node, TARGET).await;
    assert_eq!((now.state, &now.pod, now.reason.as_str()), (AssignmentState::Serving, &heir.pod, "restored"));
    let data = now.data.expect("it says with what");
    assert_eq!(
        (data.pod, data.epoch, data.origin.map(|life| life.pod)),
        (heir.pod.clone(), epoch, Some(dead.pod.clone()))
    );
    assert!(owner(&node, OTHER).await.restoring().is_some());

    let stale = Holding { target: OTHER.parse().expect("valid"), epoch: Epoch(1), whole: true };
    assert!(restored(&node, &heir, &dead, vec![stale], &[]).await.is_empty());
    let why = owner(&node, OTHER).await.data.and_then(|data| data.trouble).expect("it says why");
    assert!(why.starts_with("the replica holds the copy of epoch"), "{why}");
    assert!(node.page(&format!("/targets/{OTHER}")).await.contains("It could not be restored"));
    node.stop().await;
}

#[tokio::test]
async fn by_hand_means_that_an_operator_says_it_after_a_look_at_what_would_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let call = async |path: &str, body: Value| node.call(Some("admin"), Method::POST, path, &body).await;
    let body = json!({ "value": "by-hand", "reason": "a story" });
    let set = node.call(Some("admin"), Method::PUT, "/v1/settings/restore", &body).await;
    assert_eq!(set.code(), "ok", "{:?}", set.json);
    let (dead, heir) = two_pods(&node, &[TARGET, OTHER]).await;
    let why = json!({ "reason": "its disk is gone" });
    let path = "/v1/pods/gateway-0/recover";
    assert_eq!(call(path, why.clone()).await.code(), "nothing-to-recover", "it lives");
    assert_eq!(call("/v1/pods/gateway-9/recover", why.clone()).await.code(), "unknown-pod");
    reap(&node, &dead).await;
    eventually("it has an heir", async || owner(&node, TARGET).await.pod == heir.pod).await;
    node.clock.advance(Duration::from_secs(3));
    heir.beat(&node).await.expect("granted");
    assert!(owner(&node, TARGET).await.restoring().is_none());

    let would = call("/v1/pods/gateway-0/recover?dry_run=true", why.clone()).await.json;
    let share = json!([{ "pod": "gateway-1", "targets": 2 }]);
    assert_eq!((&would["targets"], &would["heirs"], &would["dry_run"]), (&json!(2), &share, &json!(true)));
    assert!(owner(&node, TARGET).await.restoring().is_none());
    let done = call(path, why.clone()).await;
    assert_eq!((done.code(), &done.json["targets"], &done.json["dry_run"]), ("ok", &json!(2), &json!(false)));
    assert!(owner(&node, TARGET).await.restoring().is_some() && owner(&node, OTHER).await.restoring().is_some());
    let events: Value = node.admin().get("/v1/events?kind=recover").await.expect("read");
    assert_eq!(
        (&events["events"][0]["subject"], &events["events"][0]["reason"]),
        (&json!("gateway-0"), &why["reason"])
    );
    node.stop().await;
}

/// A move whose destination died after the commit, before it said that it serves.
struct Lost {
    source: Pod,
    dead: Pod,
    heir: Pod,
    id: MoveId,
    released: Epoch,
}

async fn destination_lost(node: &Node) -> Lost {
    let (source, dead) = two_pods(node, &[TARGET]).await;
    let heir = node.replicated("gateway-2", 2).await;
    let body = json!({ "to": "gateway-1", "reason": "a story" });
    let begun = node.call(Some("admin"), Method::POST, &format!("/v1/targets/{TARGET}/move"), &body).await.json;
    let id = MoveId(begun["id"].as_u64().expect("a number"));
    let released = owner(node, TARGET).await.epoch;
    let said = Said::Imported { epoch: released, rows: 1, bytes: 1 };
    let reports = Reports {
        pod: dead.pod.clone(),
        incarnation: dead.incarnation.clone(),
        reports: vec![MoveReport { id, said }],
    };
    let stands: Reported = node.service().post("/v1/moves/reports", &reports).await.expect("taken");
    assert_eq!(stands.moves[0].state, MoveState::Committed);
    reap(node, &dead).await;
    eventually("somebody is to restore it", async || owner(node, TARGET).await.restoring().is_some()).await;
    Lost { source, dead, heir, id, released }
}

#[tokio::test]
async fn a_target_whose_import_died_with_its_destination_is_served_by_the_source_it_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let Lost { source, dead, heir, id, released } = destination_lost(&node).await;
    let by = if owner(&node, TARGET).await.pod == heir.pod { &heir } else { &source };
    assert!(restored(&node, by, &dead, vec![], &[TARGET]).await.is_empty() || by.pod == source.pod);
    let now = owner(&node, TARGET).await;
    assert_eq!((&now.pod, now.state), (&source.pod, AssignmentState::Serving));
    assert_eq!(now.data.map(|data| (data.pod, data.epoch)), Some((source.pod.clone(), released)));
    eventually("the move has failed after all", async || {
        let now = state_of(&node, id).await;
        now["state"] == "aborted" && now["detail"].as_str().is_some_and(|why| why.contains("at its source again"))
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_move_is_over_once_its_target_is_served_with_what_its_lost_destination_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let Lost { source, dead, heir, id, released } = destination_lost(&node).await;
    let waiting = owner(&node, TARGET).await;
    let imported = waiting.data.expect("it says of which copy").epoch;
    assert!(imported > released, "the commit gave it another epoch");
    assert_eq!(state_of(&node, id).await["state"], "committed", "the source keeps its rows until the copy is there");
    let by = if waiting.pod == heir.pod { &heir } else { &source };
    assert_eq!(restored(&node, by, &dead, vec![held(TARGET, imported)], &[]).await.len(), 1);
    eventually("the source may drop its rows", async || {
        let now = state_of(&node, id).await;
        now["state"] == "cleaned" && now["detail"] == "gateway-1 was lost, and what it had is served from its replica"
    })
    .await;
    assert_eq!(owner(&node, TARGET).await.pod, by.pod);
    node.stop().await;
}

async fn state_of(node: &Node, id: MoveId) -> Value {
    node.admin().get(&format!("/v1/moves/{id}")).await.expect("known")
}
