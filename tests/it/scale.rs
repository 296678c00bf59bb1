//! More pods and fewer under load, however that comes about: by order, by `kubectl scale`, by a rolling restart, and with
//! config-service killed on the way. Nothing acknowledged is lost or done twice, and no target moves that need not.

use berth_tests::{
    Client, Cluster, Keys, Setup,
    cluster::ADMIN_TOKEN,
    eventually,
    reckoning::{Promised, kept, served},
    statefulset::StatefulSetDouble,
    supervised::{Up, run},
    workload::{Load, Poster},
};
use http::Method;
use serde_json::{Value, json};
use shared::wire::admin::AutoscalerStatus;
use shared::{
    Epoch,
    wire::control::{AssignmentState, PodState},
};
use std::{collections::BTreeMap, path::Path, time::Duration};
use tempfile::TempDir;

const MOST: Duration = Duration::from_secs(180);
/// Longer than any drain here takes: nobody is killed.
const GRACE: Duration = Duration::from_secs(170);
const PODS: u32 = 5;

/// A cluster whose gateways are the pods of a StatefulSet.
async fn in_kubernetes(replicas: u32) -> (Cluster, StatefulSetDouble, TempDir) {
    in_kubernetes_with(Setup::default(), replicas, GRACE).await
}

async fn in_kubernetes_with(setup: Setup, replicas: u32, grace: Duration) -> (Cluster, StatefulSetDouble, TempDir) {
    let folder = TempDir::with_prefix("berth-story-").expect("a temporary folder");
    let set = StatefulSetDouble::start(replicas, grace).await;
    let setup = Setup { gateways: 0, ..setup }
        .with("BERTH_STATEFULSET", "gateway")
        .with("BERTH_KUBECONFIG", &set.kubeconfig(folder.path()).display().to_string());
    let cluster = setup.start().await;
    set.run((0..PODS).map(|n| cluster.gateway_recipe(&format!("gateway-{n}"))).collect());
    ready(&cluster, replicas).await;
    (cluster, set, folder)
}

async fn ready(cluster: &Cluster, pods: u32) {
    eventually(&format!("{pods} pods are ready"), MOST, async || {
        let ready = cluster.pods().await.iter().filter(|pod| pod.state == PodState::Ready).count();
        (ready == pods as usize).then_some(())
    })
    .await;
}

async fn status(cluster: &Cluster) -> Option<AutoscalerStatus> {
    let reply = cluster.admin("/v1/autoscaler").await.ok()?;
    serde_json::from_slice(&reply.body).ok()
}

async fn order(cluster: &Cluster, to: u32) {
    eventually("the order is taken", MOST, async || {
        let body = json!({ "to": to, "reason": "a story" });
        let reply = cluster.admin_post("/v1/scale", &body).await.ok()?;
        (reply.status == 202).then_some(())
    })
    .await;
}

async fn done(cluster: &Cluster, what: &str) -> AutoscalerStatus {
    eventually(what, MOST, async || status(cluster).await.filter(|status| status.order.is_none())).await
}

async fn progress(load: &Load, events: u64) {
    let wanted = load.acknowledged() + events;
    eventually("the load goes on", MOST, async || (load.acknowledged() >= wanted).then_some(())).await;
}

/// Who owns what under which epoch.
async fn owners(cluster: &Cluster) -> BTreeMap<String, (String, Epoch)> {
    let all = cluster.targets().await.into_iter();
    all.map(|row| (row.target.to_string(), (row.pod.to_string(), row.epoch))).collect()
}

/// Targets of pods that stay are where they were, under the epoch that they had.
fn only_those_of_leaving_pods_moved(
    before: &BTreeMap<String, (String, Epoch)>,
    after: &BTreeMap<String, (String, Epoch)>,
    stays: &[&str],
) {
    for (target, owner) in before.iter().filter(|(_, (pod, _))| stays.contains(&pod.as_str())) {
        assert_eq!(after.get(target), Some(owner), "{target} had no reason to move");
    }
    assert!(after.values().all(|(pod, _)| stays.contains(&pod.as_str())), "{after:?}");
}

/// Compares what senders were promised with what the pods say and what lies in their databases.
async fn settle(cluster: Cluster, set: StatefulSetDouble, promised: Promised) {
    served(&cluster, &promised, MOST).await;
    set.stop(MOST).await;
    kept(|pod| cluster.pod_folder(pod), PODS, &promised);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pods_become_five_by_order_and_two_by_kubectl_and_nothing_is_lost_or_doubled() {
    let (cluster, set, _folder) = in_kubernetes(3).await;
    let poster = Poster::new(&cluster);
    let load = Load::start(&poster, 0, 30);
    progress(&load, 100).await;
    order(&cluster, 5).await;
    let grown = done(&cluster, "five pods run").await;
    assert_eq!((grown.replicas, grown.statistics.total_scale_ups, set.patched()), (Some(5), 1, 1));
    assert_eq!(set.there(), [0, 1, 2, 3, 4]);
    // New targets come to the new pods.
    let more = Load::start(&poster, 1_000, 40);
    progress(&more, 120).await;
    let before = owners(&cluster).await;
    assert!(before.values().any(|(pod, _)| pod == "gateway-4"), "{before:?}");

    set.scale(2);
    eventually("those that leave are gone", MOST, async || (set.there() == [0, 1]).then_some(())).await;
    assert_eq!(set.ends(), (vec![], vec![4, 3, 2]), "nobody had to be killed, and the highest went first");
    progress(&load, 50).await;
    let (mut promised, rest) = tokio::join!(load.finish(), more.finish());
    promised.extend(rest);
    let after = owners(&cluster).await;
    only_those_of_leaving_pods_moved(&before, &after, &["gateway-0", "gateway-1"]);
    settle(cluster, set, promised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_fewer_pods_goes_on_when_config_service_is_killed_on_the_way() {
    let (mut cluster, set, _folder) = in_kubernetes(5).await;
    let load = Load::start(&Poster::new(&cluster), 0, 60);
    progress(&load, 150).await;
    let before = owners(&cluster).await;
    order(&cluster, 2).await;
    eventually("a drain has begun", MOST, async || {
        let moves = cluster.admin("/v1/moves?limit=1").await.ok()?.json();
        moves["moves"].as_array().is_some_and(|moves| !moves.is_empty()).then_some(())
    })
    .await;
    cluster.config.kill().await;
    cluster.config.start_again();
    cluster.config.ready().await;
    let shrunk = done(&cluster, "two pods run").await;
    assert_eq!((shrunk.replicas, shrunk.statistics.total_scale_downs), (Some(2), 1), "{shrunk:?}");
    assert_eq!((set.there(), set.ends().0), (vec![0, 1], vec![]));
    progress(&load, 50).await;
    let promised = load.finish().await;
    only_those_of_leaving_pods_moved(&before, &owners(&cluster).await, &["gateway-0", "gateway-1"]);
    settle(cluster, set, promised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_are_restarted_one_after_the_other_keep_their_targets() {
    let (cluster, set, _folder) = in_kubernetes(3).await;
    let load = Load::start(&Poster::new(&cluster), 0, 30);
    progress(&load, 100).await;
    let before = owners(&cluster).await;
    for ordinal in (0..3).rev() {
        let old = set.processes()[&ordinal];
        set.delete(ordinal);
        eventually("another process runs", MOST, async || {
            set.processes().get(&ordinal).is_some_and(|new| *new != old).then_some(())
        })
        .await;
        ready(&cluster, 3).await;
        progress(&load, 30).await;
    }
    let promised = load.finish().await;
    assert_eq!(owners(&cluster).await, before, "no target has moved, and none has another epoch");
    assert_eq!(set.ends(), (vec![], vec![]));
    settle(cluster, set, promised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_api_cannot_be_asked_nothing_moves_and_it_is_said_why() {
    let (cluster, set, _folder) = in_kubernetes(3).await;
    // Watches that break and are forgotten: it is read all the same.
    set.forgetful(true);
    set.forbid("patch", "statefulsets/scale", true);
    order(&cluster, 4).await;
    let failed = done(&cluster, "the order fails").await.statistics;
    let why = failed.last_scale_event.and_then(|last| last.failure).unwrap_or_default();
    assert!(failed.failed_scale_ops == 1 && why.contains("may not patch statefulsets/scale"), "{why}");

    set.forbid("get", "statefulsets", true);
    // A change makes it look.
    set.scale(3);
    let told = |wanted: &'static str| {
        let cluster = &cluster;
        async move {
            eventually(wanted, MOST, async || {
                let status = status(cluster).await?;
                let body = json!({ "to": 1, "reason": "a story" });
                let refused = cluster.admin_post("/v1/scale", &body).await.ok()?;
                let text = refused.text();
                (status.replicas.is_none() && refused.status == 409 && text.contains(wanted)).then_some(())
            })
            .await;
        }
    };
    told("may not get statefulsets").await;
    set.forbid("get", "statefulsets", false);
    set.away(true);
    // While nobody can see it, somebody takes two pods away on paper.
    told("cannot be reached").await;
    assert!(cluster.pods().await.iter().all(|pod| pod.drain.is_none()), "nothing moves");
    set.away(false);
    set.forgetful(false);
    set.forbid("patch", "statefulsets/scale", false);
    order(&cluster, 2).await;
    assert_eq!(done(&cluster, "it goes on").await.replicas, Some(2));
}

async fn say(cluster: &Cluster, pod: &str, verb: &str) {
    let reply = cluster.admin_post(&format!("/v1/pods/{pod}/{verb}"), &json!({"reason": "a story"})).await;
    assert_eq!(reply.expect("an answer").status, 200, "{verb} {pod}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_killed_before_it_was_empty_keeps_what_it_had_for_when_it_is_back() {
    let (cluster, set, _folder) = in_kubernetes_with(Setup::default(), 3, Duration::from_secs(3)).await;
    let load = Load::start(&Poster::new(&cluster), 0, 20);
    eventually("every target has a home", MOST, async || (cluster.targets().await.len() == 20).then_some(())).await;
    progress(&load, 60).await;
    // Nobody takes what it has: its time is over before it is empty.
    let stay = ["gateway-0", "gateway-1"];
    for pod in stay {
        say(&cluster, pod, "cordon").await;
    }
    let before = owners(&cluster).await;
    assert!(before.values().any(|(pod, _)| pod == "gateway-2"), "{before:?}");
    set.scale(2);
    eventually("it is gone", MOST, async || (set.there() == [0, 1]).then_some(())).await;
    assert_eq!(set.ends(), (vec![2], vec![2]));
    for pod in stay {
        say(&cluster, pod, "uncordon").await;
    }
    eventually("the others have its targets", MOST, async || {
        let owned = owners(&cluster).await;
        owned.values().all(|(pod, _)| stay.contains(&pod.as_str())).then_some(())
    })
    .await;
    only_those_of_leaving_pods_moved(&before, &owners(&cluster).await, &stay);
    for row in cluster.targets().await {
        let had = &before[row.target.as_str()].0;
        // What nobody can reach is served by nobody, and never begun anew.
        assert_eq!(row.state == AssignmentState::Quarantined, had == "gateway-2", "{row:?}");
    }
    progress(&load, 30).await;

    set.scale(3);
    eventually("what it had is served again", MOST, async || {
        cluster.targets().await.iter().all(|row| row.state == AssignmentState::Serving).then_some(())
    })
    .await;
    progress(&load, 60).await;
    let promised = load.finish().await;
    let pods = |owners: &BTreeMap<String, (String, Epoch)>| {
        owners.iter().map(|(target, (pod, _))| (target.clone(), pod.clone())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(pods(&owners(&cluster).await), pods(&before), "each where its data is");
    settle(cluster, set, promised).await;
}

async fn set_to(cluster: &Cluster, setting: &str, value: Value) {
    let headers = [("authorization", format!("Bearer {ADMIN_TOKEN}")), ("content-type", "application/json".to_owned())]
        .map(|(name, value)| (name.to_owned(), value));
    let (url, body) =
        (cluster.config.url(&format!("/v1/settings/{setting}")), json!({"value": value, "reason": "a story"}));
    let reply = cluster.client.call(Method::PUT, &url, &headers, body.to_string()).await.expect("an answer");
    assert_eq!(reply.status, 200, "{setting}: {}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_autoscaler_adds_pods_under_load_and_takes_them_away_and_nothing_is_lost_or_doubled() {
    // Any load at all is more than that.
    let setup = Setup::default().with("BERTH_AUTOSCALER_EVENTS", "1").with("BERTH_AUTOSCALER_SOCKETS", "0");
    let setup = setup.with("BERTH_AUTOSCALER_CPU", "0").with("BERTH_AUTOSCALER_MEMORY", "0");
    let setup = setup.with("BERTH_AUTOSCALER_INTERVAL", "1s").with("BERTH_AUTOSCALER_COOLDOWN", "1s");
    let (cluster, set, _folder) = in_kubernetes_with(setup, 2, GRACE).await;
    let poster = Poster::new(&cluster);
    let load = Load::start(&poster, 0, 30);
    progress(&load, 100).await;
    eventually("it says that there should be three", MOST, async || {
        let status = status(&cluster).await?;
        (status.desired == Some(3) && status.replicas == Some(2)).then_some(())
    })
    .await;
    set_to(&cluster, "autoscaler-max", json!(4)).await;
    set_to(&cluster, "autoscaler-mode", json!("act")).await;
    ready(&cluster, 4).await;
    let grown = done(&cluster, "the order is done").await.statistics;
    assert_eq!((grown.total_scale_ups, grown.total_scale_downs, set.patched()), (2, 0, 2), "one at a time");
    let more = Load::start(&poster, 1_000, 40);
    progress(&more, 120).await;
    let before = owners(&cluster).await;
    assert!(before.values().any(|(pod, _)| pod == "gateway-3"), "{before:?}");

    set_to(&cluster, "autoscaler-max", json!(2)).await;
    eventually("two pods are left", MOST, async || (set.there() == [0, 1]).then_some(())).await;
    let shrunk = done(&cluster, "the order is done").await.statistics;
    assert_eq!((shrunk.total_scale_ups, shrunk.total_scale_downs, set.patched()), (2, 2, 4), "one at a time");
    assert_eq!(set.ends(), (vec![], vec![3, 2]), "nobody had to be killed: each was empty");
    progress(&load, 50).await;
    let (mut promised, rest) = tokio::join!(load.finish(), more.finish());
    promised.extend(rest);
    only_those_of_leaving_pods_moved(&before, &owners(&cluster).await, &["gateway-0", "gateway-1"]);
    settle(cluster, set, promised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn berth_up_scales_under_load_and_no_event_is_lost_or_doubled() {
    let folder = TempDir::with_prefix("berth-up-").expect("a temporary folder");
    let data = folder.path().join("data");
    let keys = Keys::default();
    let settings = keys.settings();
    let environment: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut up = Up::start_in(&data, berth_tests::role::free_ports(7), &[], &environment);
    up.ready().await;
    let poster = Poster::at([format!("http://127.0.0.1:{}", up.port)], keys);
    let load = Load::start(&poster, 0, 30);
    progress(&load, 100).await;
    let (one, two) = (up.data.clone(), up.data.clone());
    let ordered = tokio::task::spawn_blocking(move || scale(&one, "5")).await.expect("it ends");
    assert!(ordered.status.success(), "{}", String::from_utf8_lossy(&ordered.stderr));
    let more = Load::start(&poster, 1_000, 40);
    progress(&more, 120).await;
    let ordered = tokio::task::spawn_blocking(move || scale(&two, "2")).await.expect("it ends");
    assert!(ordered.status.success(), "{}", String::from_utf8_lossy(&ordered.stderr));
    progress(&load, 50).await;
    let (mut promised, rest) = tokio::join!(load.finish(), more.finish());
    promised.extend(rest);
    let client = Client::new(MOST);
    for (target, events) in promised {
        let url = format!("http://127.0.0.1:{}/v1/targets/{target}/state", up.port + 1);
        let state = eventually(&format!("{target} is served"), MOST, async || {
            client.get(&url).await.ok().filter(|reply| reply.status == 200)
        })
        .await
        .json();
        assert_eq!(state["applied"], events.len(), "{target}: {state}");
        assert!(matches!(state["pod"].as_str(), Some("gateway-0" | "gateway-1")), "{state}");
    }
}

fn scale(data: &Path, to: &str) -> std::process::Output {
    let data = data.display().to_string();
    run(&["scale", "to", to, "--reason", "a story", "--wait", "--wait-timeout", "3m", "--data", &data])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn berth_up_starts_and_stops_gateways_as_it_is_told_and_begins_with_as_many_the_next_time() {
    let folder = TempDir::with_prefix("berth-up-").expect("a temporary folder");
    let data = folder.path().join("data");
    let mut up = Up::start_on(&data, berth_tests::role::free_ports(6), &[]);
    up.ready().await;
    let output = scale(&up.data, "4");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    up.child(&["gateway", "--pod gateway-3"]);
    let named = |up: &Up| {
        let output = run(&["pod", "list", "--data", &up.data.display().to_string(), "-o", "json"]);
        let list: Value = serde_json::from_slice(&output.stdout).expect("a list");
        let pods = list["pods"].as_array().cloned().unwrap_or_default();
        pods.iter().filter(|pod| pod["state"] == "ready").map(|pod| pod["pod"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(named(&up), ["gateway-0", "gateway-1", "gateway-2", "gateway-3"]);
    let output = scale(&up.data, "1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("gateway-3, gateway-2, gateway-1 drained first"));
    let gateways = |up: &Up| up.children().iter().filter(|(_, line)| line.contains("--pod gateway-")).count();
    assert_eq!((gateways(&up), named(&up)), (1, vec![json!("gateway-0")]));
    let port = up.port;
    up.process.signal(rustix::process::Signal::INT);
    up.process.end(MOST).await;
    let mut up = Up::start_on(&data, port, &[]);
    up.ready().await;
    assert_eq!(gateways(&up), 1, "as many as were ordered last");
    let output = scale(&up.data, "2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(named(&up), ["gateway-0", "gateway-1"], "a number that comes back is open again");
}
