//! When the leader moves something for an even share, and when it leaves a target where it is, with pods played by hand.

use super::{harness::*, stage::*};
use serde_json::json;
use shared::wire::admin::{Plan, RebalanceStatus};
use shared::wire::control::{Assignment, Heartbeat, Measured, TargetSize};
use std::time::Duration;

const GIGABYTE: u64 = 1_000_000_000;
const MINUTES: u64 = 60_000;

/// Pods keep their leases, and tell that they have told so often what their targets do.
async fn told(stage: &Stage, pods: std::ops::Range<usize>, windows: u64) {
    for pod in &stage.pods[pods] {
        let measured = Box::new(Measured { windows: Some(windows), ..Measured::default() });
        pod.send(&stage.node, &Heartbeat { measured, ..pod.heartbeat() }).await.expect("granted");
    }
}

/// Time passes, and everybody tells nothing new.
async fn silence(stage: &Stage, seconds: u64, windows: u64) {
    for _ in 0..seconds {
        stage.node.clock.advance(Duration::from_secs(1));
        told(stage, 0..stage.pods.len(), windows).await;
    }
}

async fn status(stage: &Stage) -> RebalanceStatus {
    stage.get("/v1/rebalance").await
}

async fn waits_for(stage: &Stage, pod: &str) {
    eventually(&format!("it waits for {pod}"), async || {
        status(stage).await.why_not.is_some_and(|why| why == format!("{pod} has not told yet what its targets do"))
    })
    .await;
}

#[tokio::test]
async fn the_leader_looks_only_at_what_pods_have_told_since_targets_moved() {
    let mut stage = Stage::of(2, 40, &["--rebalance-interval=2s"]).await;
    told(&stage, 0..2, 7).await;
    stage.join().await;
    // Whatever they have told before this leader knew of them is not for it.
    silence(&stage, 10, 7).await;
    waits_for(&stage, "gateway-0").await;
    assert_eq!((status(&stage).await.rounds, stage.moves().await.len()), (0, 0));
    told(&stage, 0..1, 8).await;
    waits_for(&stage, "gateway-1").await;
    told(&stage, 1..3, 8).await;
    eventually("the new pod is filled", async || {
        silence(&stage, 1, 8).await;
        stage.play().await;
        let status = status(&stage).await;
        stage.counts().await[2] >= 12 && status.running.is_empty()
    })
    .await;
    let filled = (status(&stage).await.rounds, stage.moves().await.len());
    assert_eq!(filled.0, 1, "one look was enough");

    // What they have told was before targets moved.
    silence(&stage, 10, 8).await;
    waits_for(&stage, "gateway-0").await;
    assert_eq!((status(&stage).await.rounds, stage.moves().await.len()), filled);
    silence(&stage, 1, 9).await;
    eventually("it looks again", async || status(&stage).await.rounds == 2).await;
    assert_eq!(stage.moves().await.len(), filled.1, "and finds nothing");
}

/// The pods tell what targets keep.
async fn keep(stage: &Stage, sizes: [(&str, u64); 3]) {
    let size = |(target, bytes): (&str, u64)| TargetSize { target: target.parse().expect("valid"), bytes, sockets: 0 };
    let measured = Box::new(Measured { sizes: sizes.map(size).into(), ..Measured::default() });
    stage.pods[0].send(&stage.node, &Heartbeat { measured, ..stage.pods[0].heartbeat() }).await.expect("granted");
}

async fn owner(stage: &Stage, target: &str) -> Assignment {
    stage.get(&format!("/v1/targets/{target}")).await
}

/// The time is so long after the target came to where it is.
async fn after(stage: &Stage, target: &str, ms: u64) {
    stage.node.clock.step_wall(owner(stage, target).await.since_ms + ms);
}

fn moved(plan: &Plan) -> Vec<&str> {
    plan.moves.iter().map(|step| step.target.as_str()).collect()
}

#[tokio::test]
async fn a_target_that_was_moved_ten_times_in_a_row_stays_until_somebody_moves_it_by_hand() {
    let mut stage = Stage::of(2, 12, BY_HAND).await;
    let owners = stage.owners().await;
    let nth = |pod: &str, n: usize| {
        let mut of = owners.iter().filter(|(_, owner)| *owner == pod).map(|(target, _)| target.clone());
        of.nth(n).expect("each has some")
    };
    let (here, there, light) = (nth("gateway-0", 0), nth("gateway-1", 0), nth("gateway-0", 1));
    let alert = format!("{light} has moved too often in a row: it stays where it is");
    // It is on the fuller pod, and all else there is too heavy or as good as nothing.
    let unbalance = async |stage: &Stage| {
        let on_first = owner(stage, &light).await.pod == stage.pods[0].pod;
        let (a, b) = if on_first { (8, 2) } else { (2, 8) };
        keep(stage, [(&here, a * GIGABYTE), (&there, b * GIGABYTE), (&light, GIGABYTE)]).await;
    };
    for so_far in 0..10 {
        if so_far == 5 {
            // What it has counted so far is kept for another leader.
            stage = stage.restart(BY_HAND).await;
        }
        if so_far > 0 {
            let cooldown = (10 * MINUTES) << (so_far - 1);
            after(&stage, &light, cooldown - MINUTES).await;
            unbalance(&stage).await;
            assert_eq!(moved(&stage.rebalance().await), [] as [&str; 0], "it cools down after move {so_far}");
            after(&stage, &light, cooldown + MINUTES).await;
        }
        unbalance(&stage).await;
        let plan = stage.rebalance().await;
        assert_eq!(moved(&plan), [light.as_str()], "move {so_far}");
        assert!(!plan.head.warnings.contains(&alert), "{:?}", plan.head.warnings);
        stage.applied(&plan).await;
        stage.over(&plan).await;
    }
    after(&stage, &light, 1_000_000 * MINUTES).await;
    unbalance(&stage).await;
    let plan = stage.rebalance().await;
    assert_eq!(moved(&plan), [] as [&str; 0]);
    assert!(plan.head.warnings.contains(&alert), "{:?}", plan.head.warnings);
    let pod = owner(&stage, &light).await.pod;
    let drain = stage.made(json!({ "kind": "drain", "pod": pod, "reason": "a story" })).await;
    assert!(moved(&drain).contains(&light.as_str()), "what has to move moves all the same");

    let other = stage.pods.iter().map(|known| &known.pod).find(|known| **known != pod).expect("two").clone();
    let by_hand = stage.post(&format!("/v1/targets/{light}/move"), json!({ "to": other, "reason": "a story" })).await;
    assert_eq!(by_hand.status, 202, "{}", by_hand.json);
    eventually("it has moved by hand", async || {
        stage.play().await;
        owner(&stage, &light).await.pod == other
    })
    .await;
    after(&stage, &light, 11 * MINUTES).await;
    unbalance(&stage).await;
    assert_eq!(moved(&stage.rebalance().await), [light.as_str()], "then it is counted anew");
}
