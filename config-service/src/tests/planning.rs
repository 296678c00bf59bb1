//! Plans as operators see them, with pods played by hand: they say at once that what was asked of them is done.

use super::{harness::*, stage::*};
use http::Method;
use serde_json::json;
use shared::wire::admin::{Plan, PlanKind, PlanList, PlanState, PodStatus, RebalanceStatus};
use shared::wire::control::{Heartbeat, PodState, TargetWeight};
use shared::wire::handoff::{MoveState, Said};

#[tokio::test]
async fn a_new_pod_is_filled_by_a_plan_and_nothing_moves_that_does_not_have_to() {
    let mut stage = Stage::of(2, 60, BY_HAND).await;
    stage.join().await;
    let before = stage.owners().await;
    let plan = stage.rebalance().await;
    assert_eq!((plan.head.state, plan.head.progress.left), (PlanState::Proposed, plan.moves.len() as u64));
    assert!(plan.moves.len() >= 18, "{plan:?}");
    assert_eq!(stage.owners().await, before, "nothing moves by a plan that is only made");
    assert!(stage.moves().await.is_empty());

    stage.applied(&plan).await;
    let done = stage.over(&plan).await;
    assert_eq!((done.state, done.progress.moved), (PlanState::Done, plan.moves.len() as u64), "{done:?}");
    let verdict = done.verdict.expect("it is over");
    assert_eq!((verdict.pause_p50_ms, verdict.pause_max_ms), (7, 7));
    assert!(verdict.skew < 1.2, "{verdict:?}");
    let mut expected = before;
    for step in &plan.moves {
        expected.insert(step.target.to_string(), step.to.to_string());
    }
    assert_eq!(stage.owners().await, expected, "what the plan says, and nothing else");
    let moves = stage.moves().await;
    assert!(moves.iter().all(|of| of.plan == Some(plan.head.id) && of.reason == "rebalance"), "{moves:?}");
    assert!(stage.rebalance().await.moves.is_empty(), "then there is nothing left to move");
}

#[tokio::test]
async fn a_stale_plan_is_refused_with_what_would_differ() {
    let mut stage = Stage::of(2, 40, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    let wrong = json!({ "revision": 1, "reason": "a story" });
    let refused = stage.post(&format!("/v1/plans/{}/apply", plan.head.id), wrong).await;
    assert_eq!((refused.status, refused.code()), (409, "stale-plan"), "{}", refused.json);

    // First contacts of others do not matter.
    stage.node.place(&["discord:guild:999"]).await.expect("placed");
    let tried = json!({ "revision": plan.head.revision, "reason": "a story" });
    let path = format!("/v1/plans/{}/apply", plan.head.id);
    assert_eq!(stage.post(&format!("{path}?dry_run=true"), tried.clone()).await.status, 202);
    let cordon = stage.post("/v1/pods/gateway-2/cordon", json!({ "reason": "a story" })).await;
    assert_eq!(cordon.status, 200);
    let stale = stage.post(&path, tried.clone()).await;
    assert_eq!((stale.status, stale.code()), (409, "stale-plan"), "{}", stale.json);
    let detail = stale.json["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("gateway-2") && detail.contains("less"), "{detail}");
    assert!(stage.moves().await.is_empty());

    assert_eq!(stage.post("/v1/pods/gateway-2/uncordon", json!({ "reason": "a story" })).await.status, 200);
    stage.applied(&plan).await;
    let again = stage.post(&path, tried).await;
    assert_eq!((again.status, again.code()), (409, "plan-decided"), "{}", again.json);
    assert_eq!(stage.over(&plan).await.state, PlanState::Done);
}

#[tokio::test]
async fn of_many_who_apply_plans_at_once_one_does_and_the_others_hear_why_not() {
    let mut stage = Stage::of(2, 60, BY_HAND).await;
    stage.join().await;
    let (plan, other) = (stage.rebalance().await, stage.rebalance().await);
    let all = (0..12).map(|n| stage.apply(if n % 3 == 2 { &other } else { &plan }));
    let answers = futures_util::future::join_all(all).await;
    let (applied, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!(applied.len(), 1, "{:?}", answers.iter().map(|answer| &answer.json).collect::<Vec<_>>());
    let of = |code: &str| refused.iter().filter(|answer| (answer.status, answer.code()) == (409, code)).count();
    let (known, unknown) = match applied[0].json["id"] == json!(plan.head.id) {
        true => (7, 4),
        false => (3, 8),
    };
    assert_eq!((of("plan-decided"), of("plan-running")), (known, unknown), "each hears what became of its plan");
    let one = if known == 7 { &plan } else { &other };
    let done = stage.over(one).await;
    assert_eq!((done.state, done.progress.moved), (PlanState::Done, one.moves.len() as u64), "{done:?}");
}

#[tokio::test]
async fn a_plan_that_is_called_off_ends_what_has_not_frozen() {
    let mut stage = Stage::of(2, 60, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    stage.applied(&plan).await;
    eventually("moves begin", async || !stage.moves().await.is_empty()).await;
    let before = stage.owners().await;
    let ended = stage.post(&format!("/v1/plans/{}/cancel", plan.head.id), json!({ "reason": "not now" })).await;
    assert_eq!((ended.status, ended.json["state"].as_str()), (200, Some("cancelling")), "{}", ended.json);
    let mut over = None;
    eventually("it is over", async || {
        over = Some(stage.head(&plan).await).filter(|head| head.state.is_over());
        over.is_some()
    })
    .await;
    assert_eq!(over.map(|head| head.state), Some(PlanState::Cancelled));
    let moves = stage.moves().await;
    assert!(moves.len() <= 8 && moves.iter().all(|of| of.state == MoveState::Aborted), "{moves:?}");
    assert_eq!(stage.owners().await, before);

    let other = stage.rebalance().await;
    let discarded = stage.post(&format!("/v1/plans/{}/cancel", other.head.id), json!({ "reason": "no" })).await;
    assert_eq!(discarded.json["state"], "discarded", "{}", discarded.json);
    assert_eq!(stage.apply(&other).await.code(), "plan-decided");
}

#[tokio::test]
async fn another_leader_goes_on_with_a_plan() {
    let mut stage = Stage::of(2, 60, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    stage.applied(&plan).await;
    eventually("some are made", async || {
        stage.play().await;
        stage.head(&plan).await.progress.moved >= 4
    })
    .await;
    let stage = stage.restart(BY_HAND).await;
    assert_eq!(stage.head(&plan).await.state, PlanState::Applying);
    let done = stage.over(&plan).await;
    assert_eq!((done.state, done.progress.moved), (PlanState::Done, plan.moves.len() as u64), "{done:?}");
    let mut moved: Vec<_> = stage.moves().await.into_iter().map(|of| of.target).collect();
    let all = moved.len();
    moved.sort();
    moved.dedup();
    assert_eq!((moved.len(), all), (plan.moves.len(), plan.moves.len()), "each of them once");
}

#[tokio::test]
async fn a_pod_is_drained_by_a_plan_and_a_drain_that_is_called_off_ends() {
    let stage = Stage::of(3, 60, BY_HAND).await;
    let plan = stage.made(json!({ "kind": "drain", "pod": "gateway-1", "reason": "a story" })).await;
    let counts = stage.counts().await;
    assert_eq!((plan.moves.len() as u64, &plan.head.drains[..]), (counts[1], &[stage.pods[1].pod.clone()][..]));
    assert!(plan.moves.iter().all(|step| step.from == stage.pods[1].pod && step.to != stage.pods[1].pod));
    stage.applied(&plan).await;
    let status: PodStatus = stage.get("/v1/pods/gateway-1").await;
    assert_eq!(status.state, PodState::Draining);
    let done = stage.over(&plan).await;
    assert_eq!((done.state, done.progress.moved), (PlanState::Done, counts[1]), "{done:?}");
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.state, PodState::Drained);
    let owners = stage.owners().await;
    assert!(plan.moves.iter().all(|step| owners[step.target.as_str()] == step.to.as_str()), "where the plan says");

    let other = stage.made(json!({ "kind": "drain", "pod": "gateway-2", "reason": "a story" })).await;
    stage.applied(&other).await;
    let ended = stage.post(&format!("/v1/plans/{}/cancel", other.head.id), json!({ "reason": "no" })).await;
    assert_eq!(ended.status, 200, "{}", ended.json);
    assert_eq!(stage.over(&other).await.state, PlanState::Cancelled);
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-2").await.state, PodState::Ready);
}

/// The leader's own plan for a drain, once it is written.
async fn plan_of_drain(stage: &Stage, pod: &str) -> Plan {
    let mut found = None;
    eventually("it is planned where everything goes", async || {
        let list: PlanList = stage.get("/v1/plans").await;
        found = list.plans.into_iter().find(|head| head.drains.iter().any(|drained| drained.as_str() == pod));
        found.is_some()
    })
    .await;
    stage.get(&format!("/v1/plans/{}", found.expect("just looked").id)).await
}

async fn mark(stage: &Stage, pod: &str, word: &str) {
    let answer = stage.post(&format!("/v1/pods/{pod}/{word}"), json!({ "reason": "a story" })).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
}

#[tokio::test]
async fn what_a_drained_pod_has_goes_where_a_plan_of_the_leader_s_says() {
    let stage = Stage::of(4, 200, BY_HAND).await;
    let (counts, before) = (stage.counts().await, stage.owners().await);
    mark(&stage, "gateway-1", "drain").await;
    let plan = plan_of_drain(&stage, "gateway-1").await;
    let head = &plan.head;
    assert_eq!(
        (head.kind, head.actor.as_str(), head.reason.as_str()),
        (PlanKind::Drain, "drain", "gateway-1 is drained")
    );
    assert_eq!(head.subject.pod.as_ref(), Some(&stage.pods[1].pod));
    assert_eq!((plan.moves.len() as u64, head.cost.targets), (counts[1], counts[1]), "all of it in one plan");
    let done = stage.over(&plan).await;
    assert_eq!((done.state, done.progress.moved), (PlanState::Done, counts[1]), "{done:?}");
    assert_eq!(stage.get::<PodStatus>("/v1/pods/gateway-1").await.state, PodState::Drained);
    let mut expected = before;
    for step in &plan.moves {
        assert_eq!(step.from, stage.pods[1].pod);
        expected.insert(step.target.to_string(), step.to.to_string());
    }
    assert_eq!(stage.owners().await, expected, "each where the plan says, and nothing else has moved");
    let made = stage.moves().await;
    assert_eq!(made.len() as u64, counts[1], "each of them once");
    assert!(made.iter().all(|of| of.plan == Some(head.id) && of.reason == "drain"), "{made:?}");
    let after = stage.counts().await;
    let others = [after[0], after[2], after[3]];
    assert!(others.iter().max().expect("three") - others.iter().min().expect("three") <= 1, "{after:?}");
}

#[tokio::test]
async fn a_drain_that_is_called_off_ends_its_plan_and_one_without_a_destination_waits() {
    let stage = Stage::of(2, 20, BY_HAND).await;
    mark(&stage, "gateway-0", "drain").await;
    let plan = plan_of_drain(&stage, "gateway-0").await;
    mark(&stage, "gateway-0", "undrain").await;
    assert_eq!(stage.over(&plan).await.state, PlanState::Cancelled);

    mark(&stage, "gateway-0", "cordon").await;
    mark(&stage, "gateway-1", "drain").await;
    eventually("it says why nothing begins", async || {
        let drain = stage.get::<PodStatus>("/v1/pods/gateway-1").await.drain;
        drain.is_some_and(|drain| drain.waiting.is_some_and(|why| why == "no other pod is ready and takes targets"))
    })
    .await;
    mark(&stage, "gateway-0", "uncordon").await;
    eventually("it is drained", async || {
        stage.play().await;
        stage.get::<PodStatus>("/v1/pods/gateway-1").await.state == PodState::Drained
    })
    .await;
    assert_eq!(stage.counts().await, [20, 0]);
}

#[tokio::test]
async fn pods_that_are_drained_together_give_nothing_to_one_another() {
    let stage = Stage::of(4, 120, BY_HAND).await;
    mark(&stage, "gateway-3", "drain").await;
    plan_of_drain(&stage, "gateway-3").await;
    mark(&stage, "gateway-2", "drain").await;
    // The first plan sends targets to a pod that takes none any more: another is made for both.
    let both = plan_of_drain(&stage, "gateway-2").await;
    assert_eq!(both.head.drains, [stage.pods[2].pod.clone(), stage.pods[3].pod.clone()], "{:?}", both.head);
    assert!(both.moves.iter().all(|step| step.to == stage.pods[0].pod || step.to == stage.pods[1].pod));
    eventually("what was on its way to the second is called off", async || {
        stage.moves().await.iter().all(|of| of.state.is_over() || of.to != stage.pods[2].pod)
    })
    .await;
    // It is tried again after a moment.
    stage.pass(2).await;
    eventually("both are drained", async || {
        stage.play().await;
        let counts = stage.counts().await;
        counts[2] + counts[3] == 0
    })
    .await;
    let counts = stage.counts().await;
    assert_eq!(counts.iter().sum::<u64>(), 120);
    assert!(counts[0].abs_diff(counts[1]) <= 2, "{counts:?}");
    assert_eq!(stage.over(&both).await.state, PlanState::Done);
}

#[tokio::test]
async fn a_smaller_cluster_is_planned_by_draining_its_highest_pods() {
    let stage = Stage::of(5, 100, BY_HAND).await;
    let counts = stage.counts().await;
    let plan = stage.made(json!({ "kind": "scale", "pods": 2, "reason": "a story" })).await;
    let drains: Vec<_> = plan.head.drains.iter().map(ToString::to_string).collect();
    assert_eq!(drains, ["gateway-4", "gateway-3", "gateway-2"]);
    assert_eq!(plan.moves.len() as u64, counts[2..].iter().sum::<u64>(), "what leaves, and nothing else");
    stage.applied(&plan).await;
    assert_eq!(stage.over(&plan).await.state, PlanState::Done);
    let counts = stage.counts().await;
    assert_eq!(counts[2..], [0, 0, 0]);

    let larger = stage.made(json!({ "kind": "scale", "pods": 7, "reason": "a story" })).await;
    assert!(larger.moves.iter().all(|step| stage.pods.iter().any(|pod| pod.pod == step.to)), "forced moves only");
    let wrong = stage.post("/v1/plans", json!({ "kind": "scale", "pods": 0, "reason": "a story" })).await;
    assert_eq!(wrong.code(), "invalid", "{}", wrong.json);
}

#[tokio::test]
async fn a_pinned_target_goes_there_and_stays_whatever_the_load() {
    let stage = Stage::of(2, 20, BY_HAND).await;
    let owners = stage.owners().await;
    let (name, from) = owners.iter().next().expect("some");
    let to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    let path = format!("/v1/targets/{name}");
    let pinned = stage.post(&format!("{path}/pin"), json!({ "pod": to, "reason": "a story" })).await;
    assert_eq!((pinned.status, pinned.json["kind"].as_str()), (202, Some("pin")), "{}", pinned.json);
    eventually("it is there", async || {
        stage.play().await;
        stage.owners().await[name] == to
    })
    .await;
    assert_eq!(stage.moves().await.len(), 1);
    let owners = stage.owners().await;
    assert_eq!(owners[name], to);
    // Cordoned, drained of everything else: the pin holds against balance.
    let plan = stage.rebalance().await;
    assert!(plan.moves.iter().all(|step| step.target.as_str() != name), "{plan:?}");
    let unpinned = stage.post(&format!("{path}/unpin"), json!({ "reason": "a story" })).await;
    assert_eq!(unpinned.status, 200, "{}", unpinned.json);
    let again = stage.post(&format!("{path}/unpin"), json!({ "reason": "a story" })).await;
    assert_eq!(again.code(), "not-pinned");
}

#[tokio::test]
async fn the_leader_fills_a_new_pod_by_itself_unless_it_is_paused() {
    let extra = ["--rebalance-interval=2s"];
    let mut stage = Stage::of(2, 60, &extra).await;
    let switch = async |stage: &Stage, on: bool| {
        let body = json!({ "value": on, "reason": "a story" });
        let put = stage.node.call(Some("admin"), Method::PUT, "/v1/settings/rebalance-paused", &body).await;
        assert_eq!(put.status, 200, "{}", put.json);
    };
    switch(&stage, true).await;
    stage.join().await;
    stage.pass(5).await;
    eventually("it says why not", async || {
        let status: RebalanceStatus = stage.get("/v1/rebalance").await;
        status.why_not.is_some_and(|why| why.contains("has paused it: a story"))
    })
    .await;
    assert!(stage.moves().await.is_empty());

    switch(&stage, false).await;
    eventually("the new pod has its share", async || {
        stage.pass(1).await;
        stage.play().await;
        let status: RebalanceStatus = stage.get("/v1/rebalance").await;
        stage.counts().await[2] >= 18 && status.running.is_empty()
    })
    .await;
    let filled = stage.counts().await;
    let mut rounds = 0;
    eventually("it looks again and again, and finds nothing to move", async || {
        stage.pass(1).await;
        stage.play().await;
        let status: RebalanceStatus = stage.get("/v1/rebalance").await;
        rounds = status.rounds;
        rounds >= 5 && status.running.is_empty()
    })
    .await;
    assert_eq!(stage.counts().await, filled);
    let moves = stage.moves().await;
    let mut moved: Vec<_> = moves.iter().map(|of| of.target.clone()).collect();
    moved.sort();
    moved.dedup();
    assert_eq!(moved.len(), moves.len(), "none of them twice");
}

#[tokio::test]
async fn what_targets_do_counts_as_much_as_how_many_they_are() {
    let stage = Stage::of(2, 40, BY_HAND).await;
    let owners = stage.owners().await;
    let hot = owners.iter().filter(|(_, pod)| *pod == "gateway-0").map(|(target, _)| target.clone()).take(6);
    let hot: Vec<_> = hot.collect();
    let busy = |target: &String| TargetWeight { target: target.parse().expect("valid"), events_per_second: 100.0 };
    let heartbeat = Heartbeat { weights: hot.iter().map(busy).collect(), ..stage.pods[0].heartbeat() };
    stage.pods[0].send(&stage.node, &heartbeat).await.expect("granted");
    let plan = stage.rebalance().await;
    let moved = plan.moves.iter().filter(|step| hot.contains(&step.target.to_string())).count();
    assert!((2..=4).contains(&moved), "{plan:?}");
}

#[tokio::test]
async fn a_small_plan_goes_on_when_some_targets_pause_for_long_and_stops_when_one_does_for_too_long() {
    let mut stage = Stage::of(2, 120, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    assert!((30..100).contains(&plan.moves.len()), "{}", plan.moves.len());
    stage.applied(&plan).await;
    let (mut over, mut pause) = (None, 2_500);
    eventually("it is over", async || {
        stage.play_with(pause).await;
        over = Some(stage.head(&plan).await).filter(|head| head.state.is_over());
        if stage.head(&plan).await.progress.moved >= 20 {
            pause = 31_000;
        }
        over.is_some()
    })
    .await;
    let over = over.expect("just looked");
    assert_eq!(over.state, PlanState::Stopped, "{over:?}");
    assert!(over.detail.as_deref().is_some_and(|why| why == "a move paused its target for 31000 ms"), "{over:?}");
    assert!(over.progress.moved > 20, "what paused for 2.5 s has not stopped it: {over:?}");
}

#[tokio::test]
async fn a_plan_stops_by_itself_when_its_moves_pause_their_targets_for_too_long() {
    let mut stage = Stage::of(2, 600, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    assert!(plan.moves.len() > 150, "{}", plan.moves.len());
    stage.applied(&plan).await;
    let mut over = None;
    eventually("it is over", async || {
        stage.play_with(2_500).await;
        over = Some(stage.head(&plan).await).filter(|head| head.state.is_over());
        over.is_some()
    })
    .await;
    let over = over.expect("just looked");
    assert_eq!(over.state, PlanState::Stopped, "{over:?}");
    assert!(over.detail.as_deref().is_some_and(|why| why.contains("paused its target for 2500 ms")), "{over:?}");
    assert!(over.progress.left > 0 && over.progress.moved >= 100, "{over:?}");
    let made = stage.moves().await.len();
    stage.play().await;
    assert_eq!(stage.moves().await.len(), made, "nothing begins any more");
}

#[tokio::test]
async fn a_plan_stops_by_itself_when_too_many_of_its_moves_fail() {
    let mut stage = Stage::of(2, 120, BY_HAND).await;
    stage.join().await;
    let plan = stage.rebalance().await;
    stage.applied(&plan).await;
    let mut over = None;
    eventually("it is over", async || {
        for of in stage.moves().await.iter().filter(|of| !of.state.is_over()) {
            stage.say(&of.to, of.id, Said::Failed { detail: "no room here".to_owned() }).await;
        }
        over = Some(stage.head(&plan).await).filter(|head| head.state.is_over());
        over.is_some()
    })
    .await;
    let over = over.expect("just looked");
    assert_eq!((over.state, over.progress.moved), (PlanState::Stopped, 0), "{over:?}");
    assert!(over.detail.as_deref().is_some_and(|why| why.contains("moves were aborted")), "{over:?}");
    assert_eq!(stage.counts().await[2], 0);
}
