//! Rows that a pod has put aside: seen, exported, and gone only when nothing of them is needed.

use berth_tests::{Cluster, Setup, eventually, supervised::operate};
use serde_json::{Value, json};
use shared::wire::control::AssignmentState;
use std::{fs, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);

/// Asks for what a pod has put aside, as the command prints it.
fn listed(cluster: &Cluster, pod: &str) -> Vec<Value> {
    let said = operate(cluster, &["pod", "quarantine", "list", pod, "-o", "json"]);
    assert!(said.status.success(), "{said:?}");
    serde_json::from_slice::<Value>(&said.stdout).expect("JSON").as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_pod_has_put_aside_are_seen_exported_and_dropped_only_knowingly() {
    let mut cluster = Setup::default().start().await;
    let chat = cluster.chat_on("gateway-1", -9000).await;
    let target = format!("telegram:channel:{chat}");
    cluster.post_until_taken(&cluster.message(chat, 2), MINUTE).await;
    cluster.leases_are_kept(3).await;
    cluster.gateway("gateway-1").kill().await;
    eventually("its target has an heir", 2 * MINUTE, async || {
        let found = cluster.assignment(chat).await?;
        (found.pod.as_str() != "gateway-1" && found.state == AssignmentState::Quarantined).then_some(())
    })
    .await;
    // An operator gives the data up: the target begins empty, and the old copy is nobody's.
    let path = format!("/v1/targets/{target}/accept-data-loss");
    let lost = cluster.admin_post(&path, &json!({ "reason": "nobody finds the disk" })).await.expect("answers");
    assert_eq!(lost.status, 200, "{}", lost.text());
    cluster.post_until_taken(&cluster.message(chat, 3), MINUTE).await;

    // The disk is found.
    cluster.gateway("gateway-1").start_again();
    let copy = eventually("the pod has put its rows aside", 2 * MINUTE, async || {
        let page: Value =
            cluster.admin("/v1/pods/gateway-1/quarantine").await.ok().filter(|it| it.status == 200)?.json();
        page["items"].as_array()?.iter().find(|item| item["target"] == target.as_str()).cloned()
    })
    .await;
    // It hears first that the target is another's, or first that its life is over.
    assert!(copy["why"] == "taken" || copy["why"] == "failed-over", "{copy}");
    assert_eq!(copy["left_behind"], false, "{copy}");
    assert!(copy["rows"].as_u64() >= Some(5) && copy["since_ms"].as_u64() > Some(0), "{copy}");
    let shown = listed(&cluster, "gateway-1");
    assert_eq!(shown.iter().filter(|item| item["target"] == target.as_str()).count(), 1, "{shown:?}");
    eventually("it is counted", MINUTE, async || {
        let pods = cluster.pods().await;
        pods.iter().any(|pod| pod.info.pod.as_str() == "gateway-1" && pod.load.aside > 0).then_some(())
    })
    .await;

    let file = cluster.folder().join("copy.jsonl");
    let path = file.to_str().expect("a plain path");
    let exported = operate(&cluster, &["pod", "quarantine", "export", "gateway-1", &target, "--file", path]);
    assert!(exported.status.success(), "{exported:?}");
    let text = fs::read_to_string(&file).expect("written");
    let journal = text.lines().filter(|line| line.contains("\"table\":\"journal\"")).count();
    assert_eq!(journal, 2, "what it had, and nothing that came later: {text}");

    let drop = ["pod", "quarantine", "drop", "gateway-1", &target, "--reason", "looked through"];
    let refused = operate(&cluster, &drop);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not everything that was acknowledged"), "{refused:?}");
    assert_eq!(listed(&cluster, "gateway-1").len(), shown.len(), "nothing was dropped");
    let dropped = operate(&cluster, &[&drop[..], &["--i-know"]].concat());
    assert!(dropped.status.success(), "{dropped:?}");
    eventually("it is gone", MINUTE, async || {
        let left = listed(&cluster, "gateway-1");
        left.iter().all(|item| item["target"] != target.as_str()).then_some(())
    })
    .await;
    let audit = cluster.admin("/v1/events?kind=drop-quarantined-i-know").await.expect("answers").json();
    assert_eq!(audit["events"][0]["reason"], "looked through", "who said so is known: {audit}");
    let state = cluster.state(&target).await.expect("its owner answers");
    assert_eq!(state.applied, 1, "its owner has what came to it");
    cluster.post_until_taken(&cluster.message(chat, 4), MINUTE).await;
}
