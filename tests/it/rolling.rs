//! All pods are restarted one after the other under load, each emptied first and taken back afterwards: no sender is told to come
//! back, nothing is lost or done twice, and no target moves but with the pod that has to be empty.

use berth_tests::{
    Cluster, Setup, eventually, reckoning,
    workload::{Load, Poster, patient},
};
use serde_json::json;
use shared::wire::admin::MoveList;
use shared::wire::handoff::{Move, MoveState};
use std::{collections::BTreeSet, time::Duration};

const MOST: Duration = Duration::from_secs(180);
const TARGETS: u64 = 30;
const PODS: u32 = 3;

async fn change(cluster: &Cluster, pod: &str, verb: &str) {
    let path = format!("/v1/pods/{pod}/{verb}");
    let reply = cluster.admin_post(&path, &json!({"reason": "a story"})).await.expect("an answer");
    assert_eq!(reply.status, 200, "{verb} {pod}: {}", reply.text());
}

async fn state(cluster: &Cluster, pod: &str) -> Option<String> {
    let reply = cluster.admin(&format!("/v1/pods/{pod}")).await.ok()?;
    reply.json()["state"].as_str().map(ToOwned::to_owned)
}

async fn held(cluster: &Cluster, pod: &str) -> BTreeSet<String> {
    let all = cluster.targets().await.into_iter().filter(|found| found.pod.as_str() == pod);
    all.map(|found| found.target.to_string()).collect()
}

/// All moves that were not aborted, the newest first.
async fn made(cluster: &Cluster) -> Vec<Move> {
    let list = eventually("moves are listed", MOST, async || {
        let reply = cluster.admin("/v1/moves?limit=1000").await.ok().filter(|reply| reply.status == 200)?;
        serde_json::from_slice::<MoveList>(&reply.body).ok()
    });
    let mut moves = list.await.moves;
    moves.retain(|of| of.state != MoveState::Aborted);
    moves
}

async fn progress(load: &Load, events: u64) {
    let wanted = load.acknowledged() + events;
    eventually("the load goes on", MOST, async || (load.acknowledged() >= wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_pods_are_handed_over_and_restarted_under_load_and_no_webhook_fails() {
    let setup = Setup { gateways: PODS as usize, ..Setup::default() };
    let mut cluster = setup.with("BERTH_PARK_TELEGRAM", "15s").start().await;
    let load = Load::start_with(&Poster::new(&cluster), 0, TARGETS, patient);
    eventually("every target has a home", MOST, async || {
        (cluster.targets().await.len() as u64 == TARGETS).then_some(())
    })
    .await;
    let mut before = 0;
    for pod in (0..PODS).map(|n| format!("gateway-{n}")) {
        let own = held(&cluster, &pod).await;
        change(&cluster, &pod, "drain").await;
        eventually("it is drained", MOST, async || (state(&cluster, &pod).await? == "drained").then_some(())).await;
        let all = made(&cluster).await;
        let moved: Vec<_> = all[..all.len() - before].iter().collect();
        let names: BTreeSet<_> = moved.iter().map(|of| of.target.to_string()).collect();
        assert_eq!((names, moved.len()), (own.clone(), own.len()), "what {pod} had, each once, and nothing else");
        assert!(moved.iter().all(|of| of.from.as_str() == pod && of.reason == "drain"), "{moved:?}");
        before = all.len();
        let gateway = cluster.gateway(&pod);
        gateway.stop_within(MOST).await;
        gateway.start_again();
        gateway.ready().await;
        change(&cluster, &pod, "undrain").await;
        eventually("it takes targets again", MOST, async || (state(&cluster, &pod).await? == "ready").then_some(()))
            .await;
        progress(&load, 60).await;
    }
    let (events, refused) = (load.acknowledged(), load.refused());
    println!("{events} events, {before} moves");
    let promised = load.finish().await;
    assert!(refused.is_empty(), "{} of {events} were told to come back: {refused:#?}", refused.len());
    reckoning::served(&cluster, &promised, MOST).await;
    for gateway in &mut cluster.gateways {
        gateway.stop_within(MOST).await;
    }
    reckoning::kept(|pod| cluster.pod_folder(pod), PODS, &promised);
}
