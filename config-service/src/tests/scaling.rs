//! Orders to scale and the autoscaler as operators, pods and a supervisor played by hand see them.

use super::harness::*;
use http::Method;
use serde_json::{Value, json};
use shared::wire::admin::{AutoscalerStatus, PodStatus, ScaleStatistics, Stopping, Supervise, Supervised};
use shared::wire::control::{Heartbeat, Load, PodState, Usage};

const FAST: [&str; 1] = ["--autoscaler-interval=100ms"];

/// Reports once as a supervisor that runs these pods.
async fn report(node: &Node, replicas: u32, running: &[u32]) -> u32 {
    let (name, prefix) = ("a supervisor".to_owned(), "gateway".to_owned());
    let said = Supervised { name, prefix, replicas, running: running.to_vec(), most: 20 };
    node.service().post::<Supervise>("/v1/scale/supervisor", &said).await.expect("taken").replicas
}

async fn order(node: &Node, to: u32) -> Answer {
    node.call(Some("admin"), Method::POST, "/v1/scale", &json!({ "to": to, "reason": "a story" })).await
}

async fn status(node: &Node) -> AutoscalerStatus {
    node.admin().get("/v1/autoscaler").await.expect("answers")
}

async fn pod_status(node: &Node, pod: &str) -> PodStatus {
    node.admin().get(&format!("/v1/pods/{pod}")).await.expect("known")
}

async fn stopping(node: &Node, pod: &str) -> Stopping {
    node.service().post(&format!("/v1/pods/{pod}/stopping"), &()).await.expect("answers")
}

async fn actions(node: &Node) -> Vec<String> {
    let answer = node.call(Some("admin"), Method::GET, "/v1/events?limit=100", &Value::Null).await;
    let events = answer.json["events"].as_array().cloned().unwrap_or_default();
    events
        .iter()
        .map(|event| {
            format!("{} {}", event["actor"].as_str().unwrap_or_default(), event["action"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn an_order_for_fewer_pods_empties_those_that_leave_before_it_asks_for_fewer() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    assert_eq!(order(&node, 2).await.code(), "no-home");
    let _first = node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let _second = node.ready("gateway-1", 1).await;
    let _third = node.ready("gateway-2", 2).await;
    assert_eq!(report(&node, 3, &[0, 1, 2]).await, 3);
    let tried =
        node.call(Some("admin"), Method::POST, "/v1/scale?dry_run=true", &json!({ "to": 1, "reason": "x" })).await;
    assert_eq!(tried.json["leaving"], json!(["gateway-2", "gateway-1"]), "{}", tried.json);
    assert_eq!(order(&node, 0).await.status, 422);
    let answer = order(&node, 1).await;
    assert_eq!((answer.status, &answer.json["from"]), (202, &json!(3)), "{}", answer.json);
    // Nothing is on them, so they are empty at once; only then is the supervisor told.
    eventually("the supervisor is told", async || report(&node, 3, &[0, 1, 2]).await == 1).await;
    for pod in ["gateway-1", "gateway-2"] {
        assert_eq!(pod_status(&node, pod).await.state, PodState::Drained, "{pod}");
    }
    assert_eq!(pod_status(&node, "gateway-0").await.state, PodState::Ready);
    eventually("it waits for those that stop", async || {
        report(&node, 1, &[0, 1]).await;
        status(&node).await.order.is_some_and(|order| order.waiting.contains("gateway-1 is stopping"))
    })
    .await;
    eventually("the order is done", async || {
        report(&node, 1, &[0]).await;
        status(&node).await.order.is_none()
    })
    .await;
    let counts = status(&node).await.statistics;
    assert_eq!((counts.total_scale_downs, counts.total_scale_ups, counts.failed_scale_ops), (1, 0, 0));
    let audit = actions(&node).await;
    assert_eq!(audit.iter().filter(|entry| entry.ends_with(" scale")).count(), 1, "{audit:?}");
    assert_eq!(audit.iter().filter(|entry| *entry == "autoscaler drain").count(), 2, "{audit:?}");

    // The numbers come back, and are open again before their pods are there.
    assert_eq!(order(&node, 2).await.status, 202);
    eventually("more are asked for", async || report(&node, 1, &[0]).await == 2).await;
    eventually("it is undrained", async || {
        report(&node, 2, &[0]).await;
        pod_status(&node, "gateway-1").await.drain.is_none()
    })
    .await;
    assert!(pod_status(&node, "gateway-2").await.drain.is_some(), "this one is still not to run");
    node.stop().await;
}

#[tokio::test]
async fn another_leader_goes_on_with_the_order_and_the_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1", "discord:guild:2"]).await.expect("placed");
    node.ready("gateway-1", 1).await;
    report(&node, 2, &[0, 1]).await;
    order(&node, 1).await;
    eventually("the supervisor is told", async || report(&node, 2, &[0, 1]).await == 1).await;
    node.stop().await;

    let node = Node::start(&folder).await;
    assert_eq!(status(&node).await.order.expect("goes on").to, 1);
    // The second leader was never told what the first one had asked for.
    eventually("the supervisor is told again", async || report(&node, 2, &[0, 1]).await == 1).await;
    eventually("the order is done", async || {
        report(&node, 1, &[0]).await;
        node.ready("gateway-0", 0).await;
        status(&node).await.order.is_none()
    })
    .await;
    node.stop().await;

    let node = Node::start(&folder).await;
    let answer = node.call(Some("admin"), Method::GET, "/api/admin/autoscaler/status", &Value::Null).await;
    let counts: ScaleStatistics = serde_json::from_value(answer.json.clone()).expect("the counts beside the rest");
    assert_eq!((counts.total_scale_downs, answer.json["totalScaleUps"].as_u64()), (1, Some(0)));
    for name in ["averageScaleDuration", "failedScaleOps", "lastScaleEvent", "uptimePercent"] {
        assert!(!answer.json[name].is_null(), "{name}: {}", answer.json);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_told_to_stop_hears_whether_its_number_is_to_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.place(&["discord:guild:1"]).await.expect("placed");
    let pod = node.ready("gateway-1", 1).await;
    assert_eq!(stopping(&node, "gateway-0").await, Stopping { leaving: false, may_stop: true, targets: 1 });
    report(&node, 2, &[0, 1]).await;
    assert!(!stopping(&node, "gateway-0").await.leaving, "a restart");
    // Somebody else has taken the numbers away: only the first one is to run.
    report(&node, 1, &[0, 1]).await;
    let leaves = stopping(&node, pod.pod.as_str()).await;
    assert!(leaves.leaving, "{leaves:?}");
    eventually("it may stop once it is drained", async || {
        report(&node, 1, &[0, 1]).await;
        stopping(&node, "gateway-1").await == Stopping { leaving: true, may_stop: true, targets: 0 }
    })
    .await;
    assert!(pod_status(&node, "gateway-1").await.drain.is_some());
    report(&node, 0, &[0]).await;
    let full = stopping(&node, "gateway-0").await;
    assert_eq!((full.leaving, full.may_stop, full.targets), (true, false, 1), "nobody takes what it has");
    assert!(!stopping(&node, "another-7").await.leaving, "none of these pods");
    node.stop().await;
}

fn busy(pod: &Pod, at: u64) -> Heartbeat {
    // Nine tenths of one processor, all the time.
    let usage =
        Usage { up_ms: at * 1_000, cpu_ms: at * 900, cores: 1.0, memory: 1, memory_limit: Some(100), sockets: 0 };
    Heartbeat { load: Load { usage: Some(usage), ..Load::default() }, ..pod.heartbeat() }
}

#[tokio::test]
async fn it_recommends_by_default_acts_when_it_is_told_to_and_says_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start_with(&folder, &FAST).await;
    let pods = [node.ready("gateway-0", 0).await, node.ready("gateway-1", 1).await];
    let seen = status(&node).await;
    assert_eq!((seen.mode.as_str(), seen.replicas, seen.desired), ("recommend", None, None));
    assert_eq!(seen.why_not.last().map(|why| why.code.as_str()), Some("no-home"), "{seen:?}");
    let mut at = 1;
    let mut live = async |replicas: u32| {
        at += 1;
        for pod in &pods {
            pod.send(&node, &busy(pod, at)).await.expect("granted");
        }
        report(&node, replicas, &[0, 1]).await
    };
    eventually("it recommends a third", async || {
        assert_eq!(live(2).await, 2, "it only recommends");
        status(&node).await.desired == Some(3)
    })
    .await;
    let seen = status(&node).await;
    assert_eq!(seen.why_not.last().map(|why| why.code.as_str()), Some("recommends"), "{seen:?}");
    assert!(seen.why.contains("cpu") && seen.decisions[0].desired == Some(3), "{seen:?}");
    let set = json!({ "value": "act", "reason": "a story" });
    let answer = node.call(Some("admin"), Method::PUT, "/v1/settings/autoscaler-mode", &set).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    eventually("it acts", async || live(2).await == 3).await;
    let seen = status(&node).await;
    assert_eq!(seen.order.map(|order| (order.from, order.to, order.actor)), Some((2, 3, "autoscaler".to_owned())));
    assert!(actions(&node).await.contains(&"autoscaler scale".to_owned()));
    let metrics = node.call(None, Method::GET, "/metrics", &Value::Null).await;
    assert_eq!(metrics.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn an_order_that_takes_too_long_fails_and_those_that_were_to_leave_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    node.ready("gateway-0", 0).await;
    node.ready("gateway-1", 1).await;
    // No row travels here: what is drained stays where it is.
    node.place(&["discord:guild:1", "discord:guild:2", "discord:guild:3", "discord:guild:4"]).await.expect("placed");
    report(&node, 2, &[0, 1]).await;
    assert_eq!(order(&node, 1).await.status, 202);
    eventually("it is being drained", async || pod_status(&node, "gateway-1").await.drain.is_some()).await;
    eventually("it is said what the order waits for", async || {
        report(&node, 2, &[0, 1]).await;
        status(&node).await.order.is_some_and(|order| order.waiting.contains("gateway-1 is being emptied"))
    })
    .await;
    node.clock.advance(std::time::Duration::from_secs(3_601));
    eventually("the order has failed", async || {
        report(&node, 2, &[0, 1]).await;
        status(&node).await.statistics.failed_scale_ops == 1
    })
    .await;
    let last = status(&node).await.statistics.last_scale_event.expect("one");
    assert!(last.failure.is_some_and(|why| why.contains("gateway-1 is being emptied")));
    eventually("it stays", async || {
        report(&node, 2, &[0, 1]).await;
        pod_status(&node, "gateway-1").await.drain.is_none()
    })
    .await;
    node.stop().await;
}
