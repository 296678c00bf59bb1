//! A canary as operators see it, with pods played by hand.

use super::{harness::*, stage::*};
use serde_json::{Value, json};
use shared::PlanId;
use shared::wire::admin::{AutoscalerStatus, CanaryState, CanaryStatus, PlanState, PodStatus, Supervise, Supervised};
use shared::wire::control::{Heartbeat, Served, Track};
use std::{collections::BTreeSet, time::Duration};

/// Three ordinary pods and one of the canary.
async fn stage(targets: usize) -> Stage {
    let mut stage = Stage::of(3, targets, &[BY_HAND, &["--open-reads"]].concat()).await;
    stage.join_as(Track::Canary).await;
    stage
}

const CANARY: &str = "gateway-3";

/// The targets of the canary's pod.
async fn tried(stage: &Stage) -> BTreeSet<String> {
    let owners = stage.owners().await;
    owners.into_iter().filter(|(_, pod)| pod == CANARY).map(|(target, _)| target).collect()
}

async fn status(stage: &Stage) -> CanaryStatus {
    stage.get("/v1/canary").await
}

/// Makes a plan for the canary, applies it, and sees it through.
async fn grown(stage: &Stage, ask: Value) {
    let mut body = json!({ "kind": "canary", "reason": "a story" });
    body.as_object_mut().expect("an object").extend(ask.as_object().expect("an object").clone());
    let plan = stage.made(body).await;
    stage.applied(&plan).await;
    let over = stage.over(&plan).await;
    assert_eq!((over.state, over.progress.moved), (PlanState::Done, plan.moves.len() as u64), "{over:?}");
}

async fn ended(stage: &Stage, verb: &str) -> Answer {
    stage.post(&format!("/v1/canary/{verb}"), json!({ "reason": "a story" })).await
}

#[tokio::test]
async fn a_share_goes_to_the_canary_a_larger_one_only_adds_and_an_abort_brings_all_of_it_back() {
    let stage = stage(200).await;
    let before = stage.owners().await;
    assert_eq!(ended(&stage, "abort").await.code(), "no-canary");
    assert_eq!(ended(&stage, "promote").await.code(), "no-canary");
    assert!(stage.rebalance().await.moves.is_empty(), "without a canary its pods have nothing");

    grown(&stage, json!({ "share": 0.1 })).await;
    let first = tried(&stage).await;
    assert!((10..=32).contains(&first.len()), "{}", first.len());
    assert!(stage.moves().await.iter().all(|of| of.to.as_str() == CANARY && of.reason == "canary"));
    let now = status(&stage).await;
    assert_eq!((now.state, now.share, now.tracks[1].targets), (CanaryState::Running, 0.1, first.len() as u64));
    on_the_page(&stage, now.plan.expect("a plan")).await;
    assert!(stage.rebalance().await.moves.is_empty(), "nobody goes there or leaves for an even share");

    let smaller = json!({ "kind": "canary", "share": 0.05, "reason": "a story" });
    let refused = stage.post("/v1/plans", smaller).await;
    assert_eq!(refused.code(), "invalid");
    assert!(refused.json["detail"].as_str().is_some_and(|text| text.contains("only grows")), "{}", refused.json);

    grown(&stage, json!({ "share": 0.3 })).await;
    let second = tried(&stage).await;
    assert!(first.is_subset(&second) && (40..=85).contains(&second.len()), "{}", second.len());

    let aborted = ended(&stage, "abort").await;
    assert_eq!((aborted.status, aborted.json["state"].as_str()), (202, Some("aborted")), "{}", aborted.json);
    eventually("they are back", async || {
        stage.play().await;
        tried(&stage).await.is_empty()
    })
    .await;
    let after = stage.owners().await;
    assert!(before.keys().eq(after.keys()));
    let moves = stage.moves().await;
    assert_eq!(moves.len(), 2 * second.len(), "each once there and once back");
    let now = status(&stage).await;
    assert_eq!((now.state, now.share, now.tracks[1].targets), (CanaryState::Aborted, 0.0, 0));
    assert_eq!(ended(&stage, "abort").await.code(), "no-canary");
}

async fn on_the_page(stage: &Stage, plan: PlanId) {
    let page = stage.node.page("/plans").await;
    for part in ["10.0 % of the targets", "Both tracks", "canary", &format!("href=\"/plans/{plan}\""), "Autoscaler"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = stage.node.page(&format!("/plans/{plan}")).await;
    for part in ["It is done", "in the order in which they are made", "gateway-3", "99 of 100"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(stage.node.page(&format!("/pods/{CANARY}")).await.contains("Track"));
}

#[tokio::test]
async fn what_somebody_has_named_belongs_to_the_canary_and_goes_back_with_it() {
    let stage = stage(60).await;
    let named = [target(3), target(44)];
    grown(&stage, json!({ "targets": named })).await;
    assert_eq!(tried(&stage).await, named.iter().cloned().collect());
    let now = status(&stage).await;
    assert_eq!((now.share, now.named), (0.0, 2));
    // By hand, nobody is moved past the tracks.
    let owner = stage.owners().await[&target(5)].clone();
    let there = stage.post(&format!("/v1/targets/{}/move", target(5)), json!({ "to": CANARY, "reason": "x" })).await;
    assert_eq!(there.code(), "no-destination", "{owner}: {}", there.json);
    let back =
        stage.post(&format!("/v1/targets/{}/move", target(3)), json!({ "to": "gateway-0", "reason": "x" })).await;
    assert_eq!(back.code(), "no-destination", "{}", back.json);
    let unknown = json!({ "kind": "canary", "targets": ["discord:guild:9999"], "reason": "a story" });
    assert_eq!(stage.post("/v1/plans", unknown).await.code(), "not-found");
    for wrong in [json!({}), json!({ "share": 1.5 }), json!({ "share": 0.1, "pod": CANARY })] {
        let mut body = json!({ "kind": "canary", "reason": "a story" });
        body.as_object_mut().expect("an object").extend(wrong.as_object().expect("an object").clone());
        assert_eq!(stage.post("/v1/plans", body).await.code(), "invalid", "{wrong}");
    }
    assert_eq!(ended(&stage, "abort").await.status, 202);
    eventually("they are back", async || {
        stage.play().await;
        tried(&stage).await.is_empty()
    })
    .await;
    assert_eq!(status(&stage).await.named, 0);
}

#[tokio::test]
async fn first_contacts_obey_the_canary_and_another_leader_knows_it() {
    let stage = stage(60).await;
    grown(&stage, json!({ "share": 0.5 })).await;
    let members = tried(&stage).await;
    let stage = stage.restart(BY_HAND).await;
    assert_eq!((status(&stage).await.state, status(&stage).await.share), (CanaryState::Running, 0.5));
    let names: Vec<_> = (60..160).map(target).collect();
    stage.node.place(&names.iter().map(String::as_str).collect::<Vec<_>>()).await.expect("placed");
    let new = tried(&stage).await.len() - members.len();
    assert!((30..=70).contains(&new), "{new} of 100 new ones");
    assert!(stage.rebalance().await.moves.iter().all(|step| step.reason != "track"), "each is on its track at once");
}

#[tokio::test]
async fn members_of_a_canary_that_is_gone_are_served_by_the_others_and_it_is_said() {
    let mut stage = stage(60).await;
    grown(&stage, json!({ "share": 0.5 })).await;
    assert!(!tried(&stage).await.is_empty() && status(&stage).await.warnings.is_empty());
    let drained = stage.made(json!({ "kind": "drain", "pod": CANARY, "reason": "a story" })).await;
    stage.applied(&drained).await;
    assert_eq!(stage.over(&drained).await.state, PlanState::Done);
    assert!(tried(&stage).await.is_empty());
    let warnings = status(&stage).await.warnings;
    assert!(warnings.iter().any(|text| text.contains("no pod of track canary takes targets")), "{warnings:?}");
    // The next one takes them again.
    stage.join_as(Track::Canary).await;
    let plan = stage.rebalance().await;
    let back = plan.moves.iter().filter(|step| step.reason == "track" && step.to.as_str() == "gateway-4").count();
    assert!(back > 15, "{plan:?}");
}

#[tokio::test]
async fn a_promoted_canary_is_made_of_ordinary_pods_and_nobody_has_to_move() {
    let stage = stage(200).await;
    grown(&stage, json!({ "share": 0.1 })).await;
    let moves = stage.moves().await.len();
    let promoted = ended(&stage, "promote").await;
    assert_eq!((promoted.status, promoted.json["state"].as_str()), (200, Some("promoted")), "{}", promoted.json);
    assert_eq!(stage.moves().await.len(), moves, "nothing moves by that");
    grown_even(&stage).await;
    let counts = stage.counts().await;
    assert!(counts.iter().all(|n| (40..=60).contains(n)), "{counts:?}");
    // Another canary is tried on the pods that announce it.
    grown(&stage, json!({ "share": 0.1 })).await;
    assert!(tried(&stage).await.len() < 35);
}

async fn grown_even(stage: &Stage) {
    let plan = stage.rebalance().await;
    stage.applied(&plan).await;
    assert_eq!(stage.over(&plan).await.state, PlanState::Done);
}

#[tokio::test]
async fn an_abort_ends_what_is_carried_out_for_the_canary_first() {
    let stage = stage(200).await;
    let plan = stage.made(json!({ "kind": "canary", "share": 0.5, "reason": "a story" })).await;
    stage.applied(&plan).await;
    eventually("some are there", async || {
        stage.play().await;
        tried(&stage).await.len() > 10
    })
    .await;
    let abort = async { ended(&stage, "abort").await };
    let playing = async {
        loop {
            stage.play().await;
            tokio::task::yield_now().await;
        }
    };
    let aborted = tokio::select! {
        answer = abort => answer,
        () = playing => unreachable!("it plays until it is dropped"),
    };
    assert_eq!(aborted.status, 202, "{}", aborted.json);
    assert_eq!(stage.head(&plan).await.state, PlanState::Cancelled);
    eventually("all of them are back", async || {
        stage.play().await;
        tried(&stage).await.is_empty() && stage.moves().await.iter().all(|of| of.state.is_over())
    })
    .await;
}

#[tokio::test]
async fn errors_and_times_of_both_tracks_stand_side_by_side() {
    let stage = stage(40).await;
    grown(&stage, json!({ "share": 0.2 })).await;
    let tell = async |events: u64, bad: u64, ms: u64| {
        for (n, pod) in stage.pods.iter().enumerate() {
            let (slow, errors) = if n == 3 { (10 * ms, bad) } else { (ms, 0) };
            let mut served = Served { events, errors, ..Served::default() };
            served.took[Served::place(Duration::from_millis(slow))] = events;
            let served = Some(Box::new(served));
            pod.send(&stage.node, &Heartbeat { served, ..pod.heartbeat() }).await.expect("granted");
        }
    };
    tell(0, 0, 0).await;
    stage.node.clock.advance(Duration::from_secs(1));
    tell(100, 5, 4).await;
    let [stable, canary] = <[_; 2]>::try_from(status(&stage).await.tracks).expect("two tracks");
    assert_eq!((stable.track, stable.pods.len(), stable.events, stable.errors), (Track::Stable, 3, 300, 0));
    assert_eq!((stable.p50_ms, stable.p99_ms, stable.error_rate), (Some(5.0), Some(5.0), Some(0.0)));
    assert_eq!((canary.track, canary.pods.len(), canary.events, canary.errors), (Track::Canary, 1, 100, 5));
    assert_eq!((canary.p99_ms, canary.error_rate, canary.counted_ms), (Some(50.0), Some(0.05), 1_000));
    assert_eq!(stage.get::<PodStatus>(&format!("/v1/pods/{CANARY}")).await.track, Track::Canary);
}

#[tokio::test]
async fn a_canary_holds_the_autoscaler() {
    let mut stage = Stage::of(3, 40, &["--rebalance-interval=0s", "--autoscaler-interval=100ms"]).await;
    stage.join_as(Track::Canary).await;
    let held = async || {
        let (name, prefix) = ("a supervisor".to_owned(), "gateway".to_owned());
        let said = Supervised { name, prefix, replicas: 4, running: vec![0, 1, 2, 3], most: 20 };
        stage.node.service().post::<Supervise>("/v1/scale/supervisor", &said).await.expect("taken");
        let status: AutoscalerStatus = stage.get("/v1/autoscaler").await;
        status.why_not.iter().any(|why| why.code == "canary")
    };
    grown(&stage, json!({ "share": 0.2 })).await;
    eventually("it is held", held).await;
    assert_eq!(ended(&stage, "promote").await.status, 200);
    eventually("it goes on", async || !held().await).await;
}
