use super::harness::*;
use crate::store::Bid;
use http::Method;
use serde_json::json;
use shared::wire::admin::{AcceptDataLoss, DataLossAccepted, Health, Instances, PodStatus, PodsHealth};
use shared::wire::control::{Heartbeat, LastLife, PodState, Register, Registered};
use shared::{Epoch, LeaseId, Revision, Term};
use std::time::Duration;

#[tokio::test]
async fn a_grant_answers_exactly_the_heartbeat_that_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-1", 1).await;
    let pod = node.ready("gateway-0", 0).await;
    let grant = pod.beat(&node).await.expect("granted");
    assert_eq!((grant.nonce, grant.lease_id, &grant.incarnation), (77, pod.lease, &pod.incarnation));
    let witnesses: Vec<_> = grant.witnesses.pods.iter().map(|peer| peer.pod.as_str()).collect();
    assert_eq!(witnesses, ["gateway-1"]);

    let wrong = |change: &dyn Fn(&mut shared::wire::control::Heartbeat)| {
        let mut beat = pod.heartbeat();
        change(&mut beat);
        beat
    };
    for (beat, refusal) in [
        (wrong(&|beat| beat.incarnation = incarnation(9)), "incarnation-mismatch"),
        (wrong(&|beat| beat.lease_id = LeaseId(pod.lease.0 + 1)), "lease-superseded"),
    ] {
        assert_eq!(code(pod.send(&node, &beat).await), refusal);
    }
    let mut stranger = pod.heartbeat();
    stranger.lease_id = LeaseId(1);
    let unknown = node.service().post::<serde_json::Value>("/v1/pods/gateway-9/heartbeat", &stranger).await;
    assert_eq!(code(unknown), "unknown-pod");
    node.stop().await;
}

#[tokio::test]
async fn a_leader_whose_database_is_older_than_what_a_pod_has_seen_grants_and_places_nothing_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let (pod, other) = (node.ready("gateway-0", 0).await, node.ready("gateway-1", 1).await);
    let mut ahead = pod.heartbeat();
    ahead.revision = Revision(1_000);
    assert_eq!(code(pod.send(&node, &ahead).await), "revision-ahead");
    assert_eq!(code(other.beat(&node).await), "revision-ahead");
    assert_eq!(code(node.registered("gateway-2", 2).await), "revision-ahead");
    assert_eq!(code(node.place(&["discord:guild:1"]).await), "revision-ahead");
    let health: Health = node.admin().get("/health").await.expect("answers");
    assert_eq!(health.status, "degraded");
    assert!(health.stopped.expect("said").contains("revision 1000"));
    node.stop().await;
}

#[tokio::test]
async fn a_leader_that_hears_of_a_later_one_its_database_has_never_had_grants_and_places_nothing_more() {
    for registers in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Node::start(&folder).await;
        let (pod, other) = (node.ready("gateway-0", 0).await, node.ready("gateway-1", 1).await);
        let later = Term(pod.beat(&node).await.expect("granted").term.0 + 1);
        let told = if registers {
            let register = Register { term: later, ..register("gateway-0", 0) };
            code(node.service().post::<Registered>("/v1/pods/register", &register).await)
        } else {
            code(pod.send(&node, &Heartbeat { term: later, ..pod.heartbeat() }).await)
        };
        assert_eq!(told, "not-leader", "at once, whatever the database will say");
        eventually("the database says that nobody else leads by it", async || {
            code(other.beat(&node).await) == "revision-ahead"
        })
        .await;
        assert_eq!(code(node.place(&["discord:guild:1"]).await), "revision-ahead");
        assert_eq!(code(node.registered("gateway-2", 2).await), "revision-ahead");
        let health: Health = node.admin().get("/health").await.expect("answers");
        let stopped = health.stopped.expect("said");
        assert!(stopped.contains(&format!("term {later}")), "{stopped}");
        node.stop().await;
    }
}

#[tokio::test]
async fn a_leader_that_hears_of_a_later_one_by_its_own_database_makes_room_and_is_not_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let pod = node.ready("gateway-0", 0).await;
    let term = pod.beat(&node).await.expect("granted").term;
    node.store.resign(term).await.expect("resigned");
    let Bid::Won(later) = node.store.lead("127.0.0.1:1".into(), Duration::from_millis(300)).await.expect("asked")
    else {
        panic!("nobody leads");
    };
    let told = Heartbeat { term: later, ..pod.heartbeat() };
    assert_ne!(code(pod.send(&node, &told).await), "ok");
    eventually("it leads again when the other is gone", async || code(pod.send(&node, &told).await) == "ok").await;
    let health: Health = node.admin().get("/health").await.expect("answers");
    assert_eq!(health.stopped, None);
    node.stop().await;
}

#[tokio::test]
async fn a_restart_in_the_same_folder_gets_a_new_lease_at_once_and_ends_the_old_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let before = node.ready("gateway-0", 0).await;
    let after = node.registered("gateway-0", 0).await.expect("at once");
    assert!(after.lease > before.lease);
    assert_eq!(code(before.beat(&node).await), "lease-superseded");
    after.beat(&node).await.expect("granted");
    node.stop().await;
}

#[tokio::test]
async fn another_folder_under_the_same_name_never_serves_a_target_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let pod = node.ready("gateway-0", 0).await;
    let first = node.place(&["discord:guild:1"]).await.expect("placed").assignments.remove(0);
    assert_eq!(code(node.registered("gateway-0", 5).await), "lease-held");
    let accept = AcceptDataLoss { reason: "the disk burnt".into() };
    let path = "/v1/pods/gateway-0/accept-data-loss";
    assert_eq!(code(node.admin().post::<DataLossAccepted>(path, &accept).await), "lease-held");

    node.clock.advance(Duration::from_secs(7));
    assert_eq!(code(node.registered("gateway-0", 5).await), "incarnation-mismatch");
    assert_eq!(code(node.service().post::<DataLossAccepted>(path, &accept).await), "forbidden");
    let empty = AcceptDataLoss { reason: " ".into() };
    assert_eq!(code(node.admin().post::<DataLossAccepted>(path, &empty).await), "bad-request");
    let accepted: DataLossAccepted = node.admin().post(path, &accept).await.expect("accepted");
    assert_eq!(accepted.targets, 1);

    assert_eq!(code(pod.beat(&node).await), "incarnation-mismatch", "the old life is over");
    let next = node.registered("gateway-0", 5).await.expect("registers");
    next.beat(&node).await.expect("granted");
    let now = node.place(&["discord:guild:1"]).await.expect("known").assignments.remove(0);
    assert!(now.pod == first.pod && now.epoch > first.epoch, "the same pod, under a new epoch");
    assert_eq!(now.reason, "data-loss-accepted");
    node.clock.advance(Duration::from_secs(7));
    assert_eq!(code(node.registered("gateway-0", 0).await), "incarnation-mismatch", "the word counted once");
    node.stop().await;
}

#[tokio::test]
async fn a_new_leader_trusts_no_silence_of_the_time_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.stop().await;
    let node = Node::start(&folder).await;
    assert_eq!(code(node.registered("gateway-0", 5).await), "lease-held", "the leader before may just have granted");
    node.clock.advance(Duration::from_secs(7));
    node.registered("gateway-0", 5).await.expect("it has no targets");
    node.stop().await;
}

#[tokio::test]
async fn epochs_go_on_above_what_any_pod_has_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let seen = Epoch(Epoch::first(1).0 + 5_000);
    let mut restored = register("gateway-0", 0);
    restored.highest_epoch = seen;
    let answer: shared::wire::control::Registered =
        node.service().post("/v1/pods/register", &restored).await.expect("registers");
    assert_eq!(answer.generation, 1);
    let pod = Pod { pod: restored.pod.clone(), incarnation: restored.incarnation.clone(), lease: answer.lease_id };
    pod.beat(&node).await.expect("granted");
    let placed = node.place(&["discord:guild:1"]).await.expect("placed");
    assert!(placed.assignments[0].epoch > seen);
    restored.highest_epoch = Epoch::first(Epoch::LAST_GENERATION + 1);
    let refused = node.service().post::<serde_json::Value>("/v1/pods/register", &restored).await;
    assert_eq!(code(refused), "invalid", "no generation could begin above it");
    restored.highest_epoch = Epoch::first(2);
    let refused = node.service().post::<serde_json::Value>("/v1/pods/register", &restored).await;
    assert_eq!(code(refused), "generation-ahead");
    // What would be written is refused, too, and not left waiting.
    for path in ["/v1/leader/step-down", "/v1/pods/gateway-0/drain"] {
        let refused = node.call(Some("admin"), Method::POST, path, &json!({ "reason": "to see" })).await;
        assert_eq!(refused.code(), "generation-ahead", "{path}: {}", refused.json);
    }
    node.stop().await;
}

#[tokio::test]
async fn the_state_of_a_pod_follows_its_heartbeats() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let state = async || node.admin().get::<PodStatus>("/v1/pods/gateway-0").await.expect("known");
    let pod = node.registered("gateway-0", 0).await.expect("registers");
    assert_eq!(state().await.state, PodState::Joining);
    pod.beat(&node).await.expect("granted");
    let ready = state().await;
    assert_eq!((ready.state, ready.lease_age_ms, ready.lease_remaining_ms), (PodState::Ready, Some(0), 7_000));
    node.clock.advance(Duration::from_millis(3_001));
    assert_eq!(state().await.state, PodState::Suspect);
    let mut goodbye = pod.heartbeat();
    goodbye.leaving = true;
    pod.send(&node, &goodbye).await.expect("granted");
    assert_eq!(state().await.state, PodState::Restarting);
    node.clock.advance(Duration::from_secs(7));
    assert_eq!(state().await.state, PodState::Expired);
    node.stop().await;
}

#[tokio::test]
async fn who_prepares_the_next_life_of_a_pod_hears_of_the_last_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let life = async || node.service().get::<LastLife>("/v1/pods/gateway-0/life").await.expect("answered");
    let unknown = life().await;
    assert_eq!((unknown.generation, unknown.incarnation, unknown.targets), (1, None, 0));
    let pod = node.ready("gateway-0", 0).await;
    let known = life().await;
    assert_eq!((known.incarnation.as_ref(), known.lease_id), (Some(&pod.incarnation), Some(pod.lease)));
    assert_eq!((known.buried, known.may_act_ms, known.goodbye), (false, 7_000, None));
    let goodbye = Heartbeat { leaving: true, goodbye: Some(42), ..pod.heartbeat() };
    pod.send(&node, &goodbye).await.expect("granted");
    assert_eq!(life().await.goodbye, Some(42));
    node.registered("gateway-0", 0).await.expect("registers");
    assert_eq!(life().await.goodbye, None, "it is back, and may have committed more");
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_cannot_do_its_work_is_reported_as_unhealthy_and_keeps_its_lease() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let pod = node.registered("gateway-0", 0).await.expect("registers");
    let mut unwell = pod.heartbeat();
    unwell.not_ready = Some(format!("the handler cannot be reached{}", "!".repeat(10_000)));
    pod.send(&node, &unwell).await.expect("granted all the same");
    let status: PodStatus = node.admin().get("/v1/pods/gateway-0").await.expect("known");
    assert_eq!((status.state, status.is_well()), (PodState::Ready, false));
    let why = status.not_ready.expect("said");
    assert!(why.starts_with("the handler cannot be reached!") && why.len() == 500, "bounded: {}", why.len());
    let health: PodsHealth = node.admin().get("/pods/health").await.expect("answers");
    assert_eq!((health.healthy, health.total), (0, 1));
    let instances: Instances = node.admin().get("/api/admin/health/instances").await.expect("answers");
    let gateway = &instances.instances[1];
    assert_eq!((gateway.healthy, gateway.not_ready.as_deref()), (false, Some(why.as_str())));
    pod.beat(&node).await.expect("granted");
    let status: PodStatus = node.admin().get("/v1/pods/gateway-0").await.expect("known");
    assert!(status.is_well(), "{status:?}");
    node.stop().await;
}
