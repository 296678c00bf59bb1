//! The cluster grows and shrinks under load: targets move for a reason, each at most once, and no event is lost or doubled.

mod canary;
mod operator;
mod plans;
mod standby;

use berth_tests::{
    Cluster, Setup, eventually,
    reckoning::{kept, served},
    role::{Program, Role},
    senders::standard,
    workload::{Load, Poster, patient},
};
use serde_json::{Value, json};
use shared::wire::admin::{MoveList, Plan, RebalanceStatus};
use shared::wire::handoff::{Move, MoveState};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const MINUTE: Duration = Duration::from_secs(120);
const MOST: Duration = Duration::from_secs(300);

fn setup(interval: &str) -> Setup {
    let setup = Setup { gateways: 3, bot: Program::StoryBot, ..Setup::default() };
    // Targets count, not their events: those are told of every ten seconds, and a round is much shorter here.
    let setup = setup.with("BERTH_POD_EVENTS", "1000000000");
    // A machine that stalls makes moves wait, and some are made again: what a plan stops for is not these stories' subject.
    let setup = setup
        .with("BERTH_PLAN_PAUSE_BUDGET", "5m")
        .with("BERTH_PLAN_LONGEST_PAUSE", "5m")
        .with("BERTH_PLAN_ABORT_BUDGET", "1");
    setup.with("BERTH_HANDLER_TIMEOUT", "20s").with("BERTH_REBALANCE_INTERVAL", interval)
}

fn name(i: usize) -> String {
    format!("webhook:key:shop.many{i}")
}

/// Sends an event to one of many targets until it is taken. Returns how many the bot has handled of that target's.
async fn tell(cluster: &Cluster, i: usize, round: u64) -> u64 {
    let body = json!({"target": format!("many{i}"), "do": "nothing"}).to_string();
    let delivery = standard::signed(&cluster.keys, &format!("{round}-{i}"), body.as_bytes());
    let said = cluster.post_until_taken(&delivery, MOST).await.json();
    said["handled"].as_u64().expect("the bot counts")
}

/// Sends every target an event, round after round, until it is told to stop; each is handled once. Returns the last round.
async fn load(cluster: &Cluster, targets: usize, first: u64, stop: &AtomicBool) -> u64 {
    let mut round = first;
    loop {
        for i in 0..targets {
            assert_eq!(tell(cluster, i, round).await, round, "target {i}");
        }
        if stop.load(Ordering::Relaxed) {
            return round;
        }
        round += 1;
    }
}

async fn get<T: serde::de::DeserializeOwned>(cluster: &Cluster, path: &str) -> Option<T> {
    let reply = cluster.admin(path).await.ok().filter(|reply| reply.status == 200)?;
    serde_json::from_slice(&reply.body).ok()
}

async fn moves(cluster: &Cluster) -> Vec<Move> {
    let list = eventually("moves are listed", MINUTE, async || get::<MoveList>(cluster, "/v1/moves?limit=1000").await);
    list.await.moves
}

async fn rebalance(cluster: &Cluster) -> Option<RebalanceStatus> {
    get(cluster, "/v1/rebalance").await
}

async fn counts(cluster: &Cluster) -> BTreeMap<String, u64> {
    cluster.pods().await.into_iter().map(|pod| (pod.info.pod.to_string(), pod.targets)).collect()
}

/// Waits until the leader has looked and found nothing to move.
async fn settled(cluster: &Cluster) {
    eventually("nothing is left to move", MOST, async || {
        let status = rebalance(cluster).await?;
        let quiet = status.running.is_empty() && status.last.is_some_and(|last| last.plan.is_none());
        let moving = moves(cluster).await.iter().any(|of| !of.state.is_over());
        (status.rounds >= 2 && quiet && !moving).then_some(())
    })
    .await;
}

async fn applied(cluster: &Cluster, make: Value) -> Plan {
    let made = cluster.admin_post("/v1/plans", &make).await.expect("an answer");
    assert_eq!(made.status, 201, "{}", made.text());
    let plan: Plan = serde_json::from_slice(&made.body).expect("a plan");
    let body = json!({"revision": plan.head.revision, "reason": "a story"});
    let path = format!("/v1/plans/{}/apply", plan.head.id);
    let applied = cluster.admin_post(&path, &body).await.expect("an answer");
    assert_eq!(applied.status, 202, "{}", applied.text());
    plan
}

/// The moves that have begun since there were `before` of them and were not aborted, the newest first.
fn made_since(all: &[Move], before: usize) -> Vec<&Move> {
    all[..all.len() - before].iter().filter(|of| of.state != MoveState::Aborted).collect()
}

fn targets(moves: &[&Move]) -> BTreeSet<String> {
    moves.iter().map(|of| of.target.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pods_become_five_and_then_two_under_load_and_no_webhook_fails() {
    const LOUD: u64 = 30;
    const QUIET: u64 = 60;
    let setup = Setup { bot: Program::Berth, ..setup("2s") };
    let mut cluster = setup.with("BERTH_PARK_TELEGRAM", "15s").start().await;
    let poster = Poster::new(&cluster);
    let mut promised = Load::start_with(&poster, LOUD, QUIET, patient).finish().await;
    let load = Load::start_with(&poster, 0, LOUD, patient);
    eventually("every target has a home", MOST, async || {
        (cluster.targets().await.len() as u64 == LOUD + QUIET).then_some(())
    })
    .await;
    settled(&cluster).await;
    let (before, owners) = (moves(&cluster).await.len(), cluster.targets().await);
    drop(load.refused());

    for n in 3..5 {
        let role = Role::start(cluster.gateway_recipe(&format!("gateway-{n}")));
        cluster.gateways.push(role);
    }
    cluster.all_ready().await;
    eventually("the new pods have their share", MOST, async || {
        let counts = counts(&cluster).await;
        ["gateway-3", "gateway-4"].iter().all(|pod| counts.get(*pod).is_some_and(|n| *n >= 16)).then_some(())
    })
    .await;
    settled(&cluster).await;
    let all = moves(&cluster).await;
    let grown = made_since(&all, before);
    assert_eq!(targets(&grown).len(), grown.len(), "none of them twice");
    let owned = |target: &str| owners.iter().find(|found| found.target.as_str() == target).map(|found| &found.pod);
    let is_new = |pod: &str| matches!(pod, "gateway-3" | "gateway-4");
    for of in &grown {
        let reasoned = of.reason == "rebalance" && of.plan.is_some() && is_new(of.to.as_str());
        assert!(reasoned && owned(of.target.as_str()) == Some(&of.from), "{of:?}");
    }
    // What brings the old pods into their bands, each of which holds 18 at most: not one more.
    let mut had = BTreeMap::<&str, u64>::new();
    owners.iter().for_each(|found| *had.entry(found.pod.as_str()).or_default() += 1);
    let needed: u64 = had.values().map(|n| n.saturating_sub(18)).sum();
    assert_eq!(grown.len() as u64, needed, "{had:?} became {:?}", counts(&cluster).await);
    let so_far = load.refused();
    assert!(so_far.is_empty(), "to five pods: {so_far:#?}");

    let before = all.len();
    let leaving = |pod: &str| pod > "gateway-1";
    let held: BTreeSet<_> = cluster
        .targets()
        .await
        .iter()
        .filter(|found| leaving(found.pod.as_str()))
        .map(|found| found.target.to_string())
        .collect();
    let plan = applied(&cluster, json!({"kind": "scale", "pods": 2, "reason": "a story"})).await;
    eventually("the plan is done", MOST, async || {
        let plan: Plan = get(&cluster, &format!("/v1/plans/{}", plan.head.id)).await?;
        plan.head.state.is_over().then_some(())
    })
    .await;
    let over: Plan = get(&cluster, &format!("/v1/plans/{}", plan.head.id)).await.expect("known");
    println!("{} events; {:?}", load.acknowledged(), over.head.verdict);
    assert_eq!(over.head.state.as_str(), "done", "{over:?}");
    let all = moves(&cluster).await;
    let shrunk = made_since(&all, before);
    assert_eq!((targets(&shrunk), shrunk.len()), (held.clone(), held.len()), "what the leaving pods held, each once");
    let reasoned = |of: &&Move| of.reason == "drain" && leaving(of.from.as_str()) && !leaving(of.to.as_str());
    assert!(shrunk.iter().all(reasoned), "{shrunk:?}");
    // A pod that was silent for a moment is not ready in that moment.
    eventually("those that leave are drained, the others are ready", MOST, async || {
        let expected = |pod: &str| if leaving(pod) { "drained" } else { "ready" };
        let pods = cluster.pods().await;
        pods.iter().all(|pod| pod.state.as_str() == expected(pod.info.pod.as_str())).then_some(())
    })
    .await;
    let refused = load.refused();
    promised.extend(load.finish().await);
    assert!(refused.is_empty(), "to two pods: {refused:#?}");
    served(&cluster, &promised, MOST).await;
    for gateway in &mut cluster.gateways {
        gateway.stop_within(MOST).await;
    }
    kept(|pod| cluster.pod_folder(pod), 5, &promised);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_moves_survive_ten_rounds_of_the_rebalancer_which_moves_others_instead() {
    const TARGETS: usize = 30;
    const MOVED: usize = 5;
    let cluster = setup("1s").with("BERTH_MOVE_COOLDOWN", "1s").start().await;
    let stop = AtomicBool::new(true);
    load(&cluster, TARGETS, 1, &stop).await;
    settled(&cluster).await;
    let mut chosen = Vec::new();
    for i in 0..TARGETS {
        if chosen.len() < MOVED && cluster.owner(&name(i)).await == "gateway-0" {
            chosen.push(i);
        }
    }
    let before = moves(&cluster).await.len();
    for i in &chosen {
        let body = json!({"to": "gateway-1", "reason": "a story"});
        let reply = cluster.admin_post(&format!("/v1/targets/{}/move", name(*i)), &body).await.expect("an answer");
        assert_eq!(reply.status, 202, "{}", reply.text());
    }
    let mut first = 0;
    for i in &chosen {
        first = eventually("it has moved", MINUTE, async || {
            let rounds = rebalance(&cluster).await?.rounds;
            (cluster.owner(&name(*i)).await == "gateway-1").then_some(rounds)
        })
        .await;
    }
    eventually("ten rounds are over", MOST, async || (rebalance(&cluster).await?.rounds >= first + 10).then_some(()))
        .await;
    for i in &chosen {
        assert_eq!(cluster.owner(&name(*i)).await, "gateway-1");
        assert_eq!(tell(&cluster, *i, 2).await, 2);
    }
    let all = moves(&cluster).await;
    let (by_hand, others): (Vec<_>, Vec<_>) =
        made_since(&all, before).into_iter().partition(|of| of.reason == "manual");
    assert_eq!(by_hand.len(), MOVED);
    let fair = |of: &&Move| of.reason == "rebalance" && !chosen.iter().any(|i| of.target.as_str() == name(*i));
    assert!(!others.is_empty() && others.iter().all(fair), "pods are uneven, and others can go: {others:?}");
    assert!(counts(&cluster).await.values().all(|n| (9..=11).contains(n)), "{:?}", counts(&cluster).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_outlives_config_service_and_ends_in_a_pod_that_is_safe_to_remove() {
    const TARGETS: usize = 45;
    let mut cluster = setup("0s").start().await;
    let stop = AtomicBool::new(true);
    load(&cluster, TARGETS, 1, &stop).await;
    let body = json!({"reason": "a story"});
    for _ in 0..2 {
        let path = "/v1/pods/gateway-2/drain";
        assert_eq!(cluster.admin_post(path, &body).await.expect("an answer").status, 200, "also the second time");
    }
    cluster.config.kill().await;
    cluster.config.start_again();
    cluster.config.ready().await;
    load(&cluster, TARGETS, 2, &stop).await;
    let drained = async || {
        let pod = cluster.admin("/v1/pods/gateway-2").await.ok()?.json();
        (pod["state"] == "drained").then_some(())
    };
    eventually("it is drained", MOST, drained).await;
    assert_eq!(counts(&cluster).await["gateway-2"], 0);
    assert_eq!(cluster.admin_post("/v1/pods/gateway-2/drain", &body).await.expect("an answer").status, 200);
    eventually("it stays drained", MINUTE, drained).await;
    load(&cluster, TARGETS, 3, &stop).await;
}
