//! Pods that are dead, what becomes of their targets, and how they come back: with pods played by hand, which witness nothing.

use super::{harness::*, stores::Flaky};
use http::Method;
use serde_json::{Value, json};
use shared::wire::admin::{AcceptDataLoss, DeadDeclared, Health, PodStatus, Reaped, TargetLossAccepted};
use shared::wire::control::{Assignment, AssignmentState, Holding, Holdings, HoldingsKept, PodState};
use shared::{Epoch, LeaseId, TargetId};
use std::time::Duration;

const TARGET: &str = "discord:guild:1";

async fn reap(node: &Node, pod: &Pod) -> String {
    let word = Reaped { incarnation: pod.incarnation.clone(), lease_id: pod.lease };
    let path = format!("/v1/pods/{}/reaped", pod.pod);
    code(node.service().post::<DeadDeclared>(&path, &word).await)
}

async fn owner(node: &Node, target: &str) -> Assignment {
    node.admin().get(&format!("/v1/targets/{target}")).await.expect("owned")
}

async fn status(node: &Node, pod: &str) -> PodStatus {
    node.admin().get(&format!("/v1/pods/{pod}")).await.expect("known")
}

async fn metrics(node: &Node) -> String {
    use http_body_util::BodyExt;
    let body = node.client(None).stream("/metrics", &[]).await.expect("open");
    String::from_utf8(body.collect().await.expect("whole").to_bytes().to_vec()).expect("text")
}

/// A pod with these targets, and another one; the leader has been one for long enough to bury somebody.
async fn two_pods(node: &Node, targets: &[&str]) -> (Pod, Pod) {
    let one = node.ready("gateway-0", 0).await;
    for some in targets.chunks(5_000) {
        node.place(some).await.expect("placed");
    }
    let other = node.ready("gateway-1", 1).await;
    for _ in 0..4 {
        node.clock.advance(Duration::from_secs(2));
        one.beat(node).await.expect("granted");
        other.beat(node).await.expect("granted");
    }
    (one, other)
}

/// Sends a heartbeat that acknowledges the witness config of the grant before.
async fn acknowledge(node: &Node, pod: &Pod) {
    let grant = pod.beat(node).await.expect("granted");
    let mut heartbeat = pod.heartbeat();
    heartbeat.witnesses = grant.witnesses.version;
    pod.send(node, &heartbeat).await.expect("granted");
}

/// Lets `gateway-0` register in its next life: its name stands for the one before until every living pod knows a witness
/// config without it.
async fn comes_back(node: &Node, heir: &Pod) -> Pod {
    let mut back = None;
    eventually("it may register", async || {
        acknowledge(node, heir).await;
        back = node.registered("gateway-0", 5).await.ok();
        back.is_some()
    })
    .await;
    back.expect("registered")
}

fn holding(target: &str, epoch: Epoch) -> Holding {
    Holding { target: target.parse().expect("valid"), epoch, whole: true }
}

/// Says what a pod holds; returns how many targets of it are known.
async fn reports(node: &Node, pod: &Pod, targets: Vec<Holding>) -> u64 {
    let (incarnation, lease_id) = (pod.incarnation.clone(), pod.lease);
    let part = Holdings { incarnation, lease_id, lives: vec![], targets, more: false };
    let kept: HoldingsKept = node.service().post("/v1/pods/gateway-0/holdings", &part).await.expect("taken");
    kept.kept
}

#[tokio::test]
async fn a_process_that_was_reaped_is_failed_over_while_its_lease_is_valid_and_without_a_witness() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (dead, heir) = two_pods(&node, &[TARGET]).await;
    let later = Pod { pod: dead.pod.clone(), incarnation: dead.incarnation.clone(), lease: LeaseId(dead.lease.0 + 1) };
    assert_eq!(reap(&node, &later).await, "lease-superseded", "that is another process");
    let other = Pod { pod: dead.pod.clone(), incarnation: incarnation(9), lease: dead.lease };
    assert_eq!(reap(&node, &other).await, "incarnation-mismatch");
    assert_eq!(status(&node, "gateway-0").await.state, PodState::Ready);

    assert_eq!(reap(&node, &dead).await, "ok", "its lease is valid for seconds, and nobody has fenced it");
    let state = status(&node, "gateway-0").await;
    assert_eq!(state.state, PodState::Dead);
    eventually("it has an heir", async || owner(&node, TARGET).await.pod == heir.pod).await;
    assert_eq!(reap(&node, &dead).await, "ok", "twice is once");
    assert_eq!(code(dead.beat(&node).await), "incarnation-buried");
    let events: Value = node.admin().get("/v1/events?kind=reaped").await.expect("read");
    assert_eq!(events["events"][0]["actor"], "supervisor");
    node.stop().await;
}

#[tokio::test]
async fn a_process_that_registered_after_the_one_that_was_reaped_is_not_buried_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (dead, _other) = two_pods(&node, &[TARGET]).await;
    let next = node.registered("gateway-0", 0).await.expect("the same folder");
    next.beat(&node).await.expect("granted");
    assert_eq!(reap(&node, &dead).await, "lease-superseded");
    assert_eq!(status(&node, "gateway-0").await.state, PodState::Ready);
    assert_eq!(owner(&node, TARGET).await.pod, next.pod);
    node.stop().await;
}

#[tokio::test]
async fn what_waits_for_its_data_is_shown_everywhere_and_one_target_may_be_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--open-reads"]).await;
    let (dead, heir) = two_pods(&node, &[TARGET, "discord:guild:2"]).await;
    let path = format!("/v1/targets/{TARGET}/accept-data-loss");
    let word = AcceptDataLoss { reason: "that disk died".into() };
    assert_eq!(code(node.admin().post::<TargetLossAccepted>(&path, &word).await), "not-quarantined");
    assert_eq!(reap(&node, &dead).await, "ok");
    eventually("both wait", async || status(&node, "gateway-1").await.quarantined == 2).await;
    heir.beat(&node).await.expect("granted");
    let health: Health = node.admin().get("/health").await.expect("answers");
    assert_eq!(health.quarantined, 2);
    eventually("the gauges say it", async || {
        let text = metrics(&node).await;
        text.contains("berth_targets{platform=\"discord\",state=\"quarantined\"} 2")
            && text.contains("berth_targets{platform=\"discord\",state=\"serving\"} 0")
    })
    .await;
    for (path, says) in [
        ("/", "2 targets wait for data that nobody reachable has"),
        ("/targets?state=quarantined", "Targets without data"),
        ("/targets/discord:guild:1", "in the folder of <a href=\"/pods/gateway-0\">"),
        ("/pods/gateway-1", "of which 2 wait for data"),
    ] {
        let page = node.client(None).stream(path, &[]).await.expect("a page");
        let page = http_body_util::BodyExt::collect(page).await.expect("whole").to_bytes();
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains(says), "{path}: {page}");
        assert!(path == "/pods/gateway-1" || path == "/" || page.contains("quarantined</span>"), "{path}: {page}");
    }

    let before = owner(&node, TARGET).await;
    let tried: TargetLossAccepted = node.admin().post(&format!("{path}?dry_run=true"), &word).await.expect("may be");
    assert!(tried.dry_run && tried.pod == heir.pod);
    assert_eq!(owner(&node, TARGET).await, before, "it was only tried");
    assert_eq!(code(node.service().post::<TargetLossAccepted>(&path, &word).await), "forbidden");
    let done: TargetLossAccepted = node.admin().post(&path, &word).await.expect("done");
    assert!(!done.dry_run && done.pod == heir.pod);
    let after = owner(&node, TARGET).await;
    let begins = after.data.clone().map(|data| (data.pod, data.epoch));
    assert_eq!((after.state, begins), (AssignmentState::Serving, Some((heir.pod.clone(), Epoch(0)))));
    assert!(after.epoch > before.epoch && after.reason == "data-loss-accepted", "{after:?}");
    assert_eq!(status(&node, "gateway-1").await.quarantined, 1, "the other one waits still");
    assert_eq!(code(node.admin().post::<TargetLossAccepted>(&path, &word).await), "not-quarantined");
    let unknown = "/v1/targets/discord:guild:9/accept-data-loss";
    assert_eq!(code(node.admin().post::<TargetLossAccepted>(unknown, &word).await), "not-found");
    let events: Value = node.admin().get("/v1/events?kind=accept-data-loss").await.expect("read");
    assert_eq!(events["events"][0]["subject"], TARGET);
    node.stop().await;
}

#[tokio::test]
async fn a_buried_pod_comes_back_as_another_life_says_what_it_holds_and_is_given_just_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (dead, heir) = two_pods(&node, &[TARGET, "discord:guild:2"]).await;
    let had = owner(&node, TARGET).await.epoch;
    assert_eq!(reap(&node, &dead).await, "ok");
    eventually("both have an heir", async || status(&node, "gateway-1").await.quarantined == 2).await;
    assert_eq!(code(node.registered("gateway-0", 0).await), "incarnation-buried");

    let back = comes_back(&node, &heir).await;
    assert_eq!(code(back.beat(&node).await), "report-first");
    let older = Epoch(had.0 - 1);
    assert_eq!(reports(&node, &back, vec![holding(TARGET, had), holding("discord:guild:2", older)]).await, 2);
    eventually("it is granted its lease", async || back.beat(&node).await.is_ok()).await;
    let given_back = owner(&node, TARGET).await;
    assert_eq!((&given_back.pod, given_back.state), (&back.pod, AssignmentState::Serving));
    assert!(given_back.epoch > had && given_back.reason == "data-returned", "{given_back:?}");
    let waits = owner(&node, "discord:guild:2").await;
    assert_eq!((&waits.pod, waits.state), (&heir.pod, AssignmentState::Quarantined), "an older copy is not it");
    node.stop().await;
}

#[tokio::test]
async fn what_a_pod_is_given_back_survives_a_database_that_refuses_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let flaky = Flaky::open(&folder);
    let node = Node::on(flaky.clone(), &[]).await;
    let (dead, heir) = two_pods(&node, &[TARGET]).await;
    let had = owner(&node, TARGET).await.epoch;
    assert_eq!(reap(&node, &dead).await, "ok");
    eventually("it has an heir", async || status(&node, "gateway-1").await.quarantined == 1).await;
    let back = comes_back(&node, &heir).await;
    flaky.refuse_commits(3);
    assert_eq!(reports(&node, &back, vec![holding(TARGET, had)]).await, 1);
    eventually("it is granted its lease", async || back.beat(&node).await.is_ok()).await;
    assert!(flaky.refused_all());
    let given_back = owner(&node, TARGET).await;
    assert_eq!((&given_back.pod, given_back.state), (&back.pod, AssignmentState::Serving));
    node.stop().await;
}

#[tokio::test]
async fn more_than_five_thousand_targets_change_hands_in_several_transactions_and_each_once() {
    const TARGETS: usize = 5_600;
    let folder = tempfile::tempdir().expect("a folder");
    let flaky = Flaky::open(&folder);
    let node = Node::on(flaky.clone(), &[]).await;
    let names: Vec<_> = (0..TARGETS).map(|n| format!("discord:guild:{n}")).collect();
    let (dead, heir) = two_pods(&node, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut router = node.watch("/v1/watch", None).await;
    while !matches!(router.news().await, shared::wire::control::Watch::Snapshot { more: false, .. }) {}
    let before = flaky.commits();
    assert_eq!(reap(&node, &dead).await, "ok");
    let (mut seen, mut last) = (std::collections::BTreeSet::<TargetId>::new(), Epoch(0));
    while seen.len() < TARGETS {
        let shared::wire::control::Watch::Delta { assignments, .. } = router.news().await else { panic!("a delta") };
        for found in assignments {
            assert!(found.pod == heir.pod && found.state == AssignmentState::Quarantined, "{found:?}");
            assert!(found.epoch > last, "each has an epoch of its own");
            last = found.epoch;
            assert!(seen.insert(found.target), "none changes hands twice");
        }
    }
    let commits = flaky.commits() - before;
    // On a slow machine what is done every second comes in between.
    assert!((3..=60).contains(&commits), "the burial and a few batches, not {commits} transactions");
    assert_eq!(status(&node, "gateway-1").await.quarantined, TARGETS as u64);
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_dies_while_it_is_drained_is_dead_and_not_safe_to_remove() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &["--rebalance-interval=0s"]).await;
    let (dead, _heir) = two_pods(&node, &[TARGET]).await;
    let path = "/v1/pods/gateway-0/drain";
    assert_eq!(node.call(Some("admin"), Method::POST, path, &json!({ "reason": "a story" })).await.status, 200);
    assert_eq!(reap(&node, &dead).await, "ok");
    eventually("it fails over", async || owner(&node, TARGET).await.pod.as_str() == "gateway-1").await;
    assert_eq!(owner(&node, TARGET).await.state, AssignmentState::Quarantined);
    assert_eq!(status(&node, "gateway-0").await.state, PodState::Dead, "its folder has what the target waits for");
}

#[tokio::test]
async fn a_drained_pod_that_says_goodbye_is_counted_no_more_and_one_that_restarts_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (restarts, drained) = two_pods(&node, &[TARGET]).await;
    let goodbye = |pod: &Pod| {
        let mut heartbeat = pod.heartbeat();
        heartbeat.leaving = true;
        heartbeat
    };
    restarts.send(&node, &goodbye(&restarts)).await.expect("granted");
    assert_eq!(status(&node, "gateway-0").await.state, PodState::Restarting);
    assert_eq!(owner(&node, TARGET).await.pod, restarts.pod, "it is expected back");

    let word = json!({ "reason": "a story" });
    let answer = node.call(Some("admin"), Method::POST, "/v1/pods/gateway-1/drain", &word).await;
    assert_eq!(answer.code(), "ok");
    eventually("it has nothing", async || status(&node, "gateway-1").await.state == PodState::Drained).await;
    drained.send(&node, &goodbye(&drained)).await.expect("granted");
    eventually("this life of it is over", async || code(drained.beat(&node).await) == "incarnation-buried").await;
    assert_eq!(status(&node, "gateway-1").await.state, PodState::Drained, "and it is safe to remove");
    let alone = node.registered("gateway-0", 0).await.expect("back");
    eventually("it is no witness any more", async || {
        acknowledge(&node, &alone).await;
        alone.beat(&node).await.expect("granted").witnesses.pods.is_empty()
    })
    .await;
    node.stop().await;
}
