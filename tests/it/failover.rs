//! A pod that is gone has heirs, which wait for its data; one that returns gets it back. Silence alone replaces nobody when
//! there is nobody to witness it.

use berth_tests::{Cluster, Setup, eventually, wait::holds_for};
use serde_json::json;
use shared::wire::admin::{DeadDeclared, Health};
use shared::wire::control::{AssignmentState, PodState};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(120);

/// Has some chats begun, and returns those of each pod's that one pod owns.
async fn chats_on(cluster: &Cluster, pod: &str) -> Vec<i64> {
    let mut mine = Vec::new();
    for n in 0..24 {
        let chat = -500 - n;
        cluster.post_until_taken(&cluster.message(chat, 1), LONG).await;
        if cluster.assignment(chat).await.is_some_and(|found| found.pod.as_str() == pod) {
            mine.push(chat);
        }
    }
    assert!(!mine.is_empty(), "{pod} owns some of them");
    mine
}

async fn state_of(cluster: &Cluster, pod: &str) -> Option<PodState> {
    let reply = cluster.admin(&format!("/v1/pods/{pod}")).await.ok()?;
    let found: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
    serde_json::from_value(found["state"].clone()).ok()
}

/// Waits until the targets of a dead pod have heirs; returns how long that took.
async fn inherited(cluster: &Cluster, from: &str, chats: &[i64], since: Instant) -> Duration {
    eventually(&format!("the targets of {from} have other owners"), LONG, async || {
        for chat in chats {
            let found = cluster.assignment(*chat).await?;
            if found.pod.as_str() == from {
                return None;
            }
            assert_eq!(found.state, AssignmentState::Quarantined, "never begun empty");
            assert_eq!(found.data.expect("said").pod.as_str(), from);
        }
        Some(())
    })
    .await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_gone_has_heirs_and_gets_everything_back_when_it_returns() {
    let mut cluster = Setup::default().with("BERTH_PARK_TELEGRAM", "300ms").start().await;
    let chats = chats_on(&cluster, "gateway-1").await;
    let before = cluster.assignment(chats[0]).await.expect("known").epoch;
    cluster.leases_are_kept(3).await;
    cluster.gateway("gateway-1").kill().await;
    let took = inherited(&cluster, "gateway-1", &chats, Instant::now()).await;
    println!("reassigned {took:?} after kill -9");
    assert_eq!(state_of(&cluster, "gateway-1").await, Some(PodState::Dead));
    let health: Health = cluster.admin("/health").await.expect("answers").json_as();
    assert_eq!(health.quarantined, chats.len() as u64, "it is seen");
    let refused = cluster.post(&cluster.message(chats[0], 2)).await.expect("an answer").status;
    assert_eq!(refused, 503, "nobody serves it without its data");

    cluster.gateway("gateway-1").start_again();
    for chat in &chats {
        eventually("it is given back", LONG, async || {
            let found = cluster.assignment(*chat).await?;
            (found.pod.as_str() == "gateway-1" && found.state == AssignmentState::Serving).then_some(())
        })
        .await;
        cluster.post_until_taken(&cluster.message(*chat, 2), LONG).await;
        // What it had is there.
        cluster.applied(&format!("telegram:channel:{chat}"), 2).await;
    }
    let after = cluster.assignment(chats[0]).await.expect("known");
    assert!(after.epoch > before && after.reason == "data-returned", "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_failed_over_while_most_are_silent() {
    let mut cluster = Setup::default().start().await;
    let owners = async |cluster: &Cluster| -> BTreeSet<String> {
        let list = cluster.admin("/v1/targets").await.expect("answers").json();
        let row = |one: &serde_json::Value| format!("{} {} {}", one["target"], one["pod"], one["epoch"]);
        list["targets"].as_array().expect("a list").iter().map(row).collect()
    };
    chats_on(&cluster, "gateway-2").await;
    let before = owners(&cluster).await;
    for pod in ["gateway-1", "gateway-2"] {
        cluster.gateway(pod).pause();
    }
    holds_for(20 * SECOND, async || {
        let now = owners(&cluster).await;
        if now == before { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    for pod in ["gateway-1", "gateway-2"] {
        cluster.gateway(pod).resume();
    }
    cluster.all_ready().await;
    assert_eq!(owners(&cluster).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_alone_is_replaced_only_by_a_proof_of_death() {
    let mut cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    let chats = chats_on(&cluster, "gateway-0").await;
    cluster.gateway("gateway-0").kill().await;
    holds_for(12 * SECOND, async || match state_of(&cluster, "gateway-0").await {
        Some(PodState::Dead) => Err("nobody has witnessed it".to_owned()),
        _ => Ok(()),
    })
    .await;
    let path = "/v1/pods/gateway-0/declare-dead";
    let unsure = cluster.admin_post(path, &json!({ "reason": "I think so" })).await.expect("answers");
    assert_eq!((unsure.status, unsure.json()["code"].as_str()), (422, Some("not-confirmed")));
    let word = json!({ "i_know": true, "reason": "the machine was scrapped" });
    let declared: DeadDeclared = cluster.admin_post(path, &word).await.expect("answers").json_as();
    assert_eq!(declared.targets, chats.len() as u64);
    assert_eq!(state_of(&cluster, "gateway-0").await, Some(PodState::Dead));
    let events = cluster.admin("/v1/events?kind=declare-dead").await.expect("answers").json();
    assert_eq!(events["events"][0]["reason"], "the machine was scrapped");
    // It was a mistake: it comes back, in a new life, with everything.
    cluster.gateway("gateway-0").start_again();
    for chat in chats {
        cluster.post_until_taken(&cluster.message(chat, 2), LONG).await;
    }
}
