//! Targets move between real pods while events come in: nothing is lost, doubled or out of order, whoever dies on the way.

use berth_tests::{Cluster, Setup, eventually, role::Program, senders::standard};
use serde_json::{Value, json};
use shared::wire::handoff::{Move, MoveState};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const MINUTE: Duration = Duration::from_secs(60);
const MOST: Duration = Duration::from_secs(180);
const TARGET: &str = "webhook:key:shop.k";

fn setup() -> Setup {
    let setup = Setup { gateways: 2, bot: Program::StoryBot, ..Setup::default() };
    // The machine is slow and the values are large.
    setup.with("BERTH_HANDLER_TIMEOUT", "20s")
}

/// Sends what the bot is to do until it is taken, and returns its answer.
async fn tell(cluster: &Cluster, id: &str, mut what: Value) -> Value {
    what["target"] = json!("k");
    cluster.post_until_taken(&standard::signed(&cluster.keys, id, what.to_string().as_bytes()), MINUTE).await.json()
}

async fn owner(cluster: &Cluster) -> String {
    let reply = cluster.admin(&format!("/v1/targets/{TARGET}")).await.expect("an answer").json();
    reply["pod"].as_str().expect("it has an owner").to_owned()
}

/// Begins a move to the pod that is not the owner. Returns the move, and where from and where to.
async fn begin(cluster: &Cluster) -> (u64, String, String) {
    let from = owner(cluster).await;
    let to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    let body = json!({"to": to, "reason": "a story"});
    let begun = eventually("the move begins", MINUTE, async || {
        let reply = cluster.admin_post(&format!("/v1/targets/{TARGET}/move"), &body).await.ok()?;
        (reply.status == 202).then(|| reply.json())
    });
    (begun.await["id"].as_u64().expect("a number"), from, to.to_owned())
}

async fn stands(cluster: &Cluster, id: u64) -> Option<Move> {
    let reply = cluster.admin(&format!("/v1/moves/{id}")).await.ok().filter(|reply| reply.status == 200)?;
    serde_json::from_value(reply.json()).ok()
}

async fn ended(cluster: &Cluster, id: u64) -> Move {
    eventually("the move is over", MOST, async || stands(cluster, id).await.filter(|of| of.state.is_over())).await
}

/// Fills the target with about so many bytes, half of them keys, half of them the journal.
async fn fill(cluster: &Cluster, bytes: usize) -> u64 {
    let each = (bytes / 2).min(128 << 10);
    let mut sent = 0;
    while sent * each < bytes / 2 {
        let text = "x".repeat(each);
        tell(
            cluster,
            &format!("fill-{bytes}-{sent}"),
            json!({"do": "note", "key": format!("n{bytes}-{sent}"), "text": text}),
        )
        .await;
        sent += 1;
    }
    sent as u64
}

/// Sends events, one after the other, until it is told to stop. Each is handled once, and right after the one before it.
/// Returns how many events the bot has handled then.
async fn load(cluster: &Cluster, name: &str, stop: &AtomicBool, before: u64) -> u64 {
    let mut handled = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let said = tell(cluster, &format!("{name}-{}", handled.len()), json!({"do": "nothing"})).await;
        handled.push(said["handled"].as_u64().expect("the bot counts"));
    }
    let expected: Vec<u64> = (before + 1..=before + handled.len() as u64).collect();
    assert_eq!(handled, expected, "each event is applied once, in order");
    before + handled.len() as u64
}

async fn applied(cluster: &Cluster) -> u64 {
    cluster.state(TARGET).await.expect("the target exists").applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_of_all_sizes_move_under_load() {
    // A move that freezes for too long is aborted; how long that takes is not judged here.
    let mut cluster = setup().with("BERTH_MOVE_FREEZE", "40s").start().await;
    let mut handled = 0;
    for (size, name) in [(10 << 10, "10 KB"), (1 << 20, "1 MB"), (50 << 20, "50 MB")] {
        handled += fill(&cluster, size).await;
        let counted = tell(&cluster, &format!("count-{size}-a"), json!({"do": "count"})).await["counted"].clone();
        handled += 1;
        let peaks: Vec<u64> = peaks(&mut cluster);
        let stop = AtomicBool::new(false);
        let moving = async {
            let (id, _, to) = begin(&cluster).await;
            let of = ended(&cluster, id).await;
            stop.store(true, Ordering::Relaxed);
            (of, to)
        };
        let (now, (of, to)) = tokio::join!(load(&cluster, name, &stop, handled), moving);
        handled = now;
        assert_eq!(of.state, MoveState::Cleaned, "{of:?}");
        assert_eq!(owner(&cluster).await, to);
        println!("{name}: pause {:?} ms, {} rows, {} bytes", of.pause_ms, of.rows, of.bytes);
        assert_eq!(applied(&cluster).await, handled);
        // What the handler had in memory has come along.
        let now = tell(&cluster, &format!("count-{size}-b"), json!({"do": "count"})).await["counted"].clone();
        handled += 1;
        assert_eq!(now.as_u64(), counted.as_u64().map(|count| count + 1));
        for (before, after) in peaks.into_iter().zip(self::peaks(&mut cluster)) {
            let grown = after.saturating_sub(before) >> 20;
            println!("{name}: memory grew by {grown} MB");
            assert!(grown < 40, "the rows are not held in memory");
        }
    }
}

fn peaks(cluster: &mut Cluster) -> Vec<u64> {
    cluster.gateways.iter_mut().map(|gateway| gateway.process().memory_peak()).collect()
}

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Who {
    Source,
    Destination,
    Leader,
}

/// Kills somebody as soon as a move is seen in a state, and starts it again. Whatever becomes of the move, nothing is lost.
async fn kill_at(size: usize, cases: &[(MoveState, Who)]) {
    let mut cluster = setup().start().await;
    let mut handled = fill(&cluster, size).await;
    for (i, (state, who)) in cases.iter().enumerate() {
        let (id, from, to) = begin(&cluster).await;
        eventually("the move comes that far", MOST, async || {
            stands(&cluster, id).await.filter(|of| of.state >= *state || of.state.is_over())
        })
        .await;
        let role = match who {
            Who::Source => cluster.gateway(&from),
            Who::Destination => cluster.gateway(&to),
            Who::Leader => &mut cluster.config,
        };
        role.kill().await;
        role.start_again();
        role.ready().await;
        let said = tell(&cluster, &format!("after-{i}"), json!({"do": "nothing"})).await;
        handled += 1;
        assert_eq!(said["handled"].as_u64(), Some(handled), "{state:?} {who:?}");
        let of = ended(&cluster, id).await;
        println!("{who:?} killed while {}: {} ({:?})", state.as_str(), of.state.as_str(), of.detail);
        let expected = if of.state == MoveState::Cleaned { to } else { from };
        assert_eq!(owner(&cluster).await, expected, "{of:?}");
        let said = tell(&cluster, &format!("later-{i}"), json!({"do": "nothing"})).await;
        handled += 1;
        assert_eq!(said["handled"].as_u64(), Some(handled), "{of:?}");
        assert_eq!(applied(&cluster).await, handled);
    }
}

const MANY: usize = 60;

/// Sends an event to one of many targets until it is taken. Returns how many the bot has handled of that target's.
async fn tell_one(cluster: &Cluster, i: usize, id: &str) -> u64 {
    let body = json!({"target": format!("many{i}"), "do": "nothing"}).to_string();
    let delivery = standard::signed(&cluster.keys, &format!("{id}-{i}"), body.as_bytes());
    let said = cluster.post_until_taken(&delivery, MINUTE).await.json();
    said["handled"].as_u64().expect("the bot counts")
}

/// A pod with many small targets is drained while events come in; who is killed meanwhile comes back. Every event is handled
/// once, and in the end all targets are elsewhere.
async fn drained(kill: Option<&str>) {
    let mut cluster = setup().start().await;
    for i in 0..MANY {
        assert_eq!(tell_one(&cluster, i, "first").await, 1);
    }
    let body = json!({"reason": "a story"});
    let path = "/v1/pods/gateway-0/drain";
    assert_eq!(cluster.admin_post(path, &body).await.expect("an answer").status, 200);
    if let Some(killed) = kill {
        let committed = eventually("some are committed", MOST, async || {
            let reply = cluster.admin("/v1/moves?state=cleaned&limit=1").await.ok()?.json();
            reply["moves"].as_array().filter(|moves| !moves.is_empty()).map(|_| ())
        });
        committed.await;
        let role = cluster.gateway(killed);
        role.kill().await;
        role.start_again();
        role.ready().await;
    }
    for round in 2..4 {
        for i in 0..MANY {
            assert_eq!(tell_one(&cluster, i, &format!("r{round}")).await, round, "target {i}");
        }
    }
    eventually("it is drained", MOST, async || {
        let pod = cluster.admin("/v1/pods/gateway-0").await.ok()?.json();
        (pod["state"] == "drained").then_some(())
    })
    .await;
    for i in 0..MANY {
        assert_eq!(tell_one(&cluster, i, "last").await, 4, "target {i}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_pod_gives_many_small_targets_away_while_events_come_in() {
    drained(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_goes_on_when_source_or_destination_is_killed_in_the_middle() {
    drained(Some("gateway-0")).await;
    drained(Some("gateway-1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_source_loses_nothing_wherever_the_move_is() {
    kill_at(
        4 << 20,
        &[
            (MoveState::Copying, Who::Source),
            (MoveState::Frozen, Who::Source),
            (MoveState::Committed, Who::Source),
            (MoveState::Cleaned, Who::Source),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_destination_loses_nothing_wherever_the_move_is() {
    kill_at(
        4 << 20,
        &[
            (MoveState::Copying, Who::Destination),
            (MoveState::Frozen, Who::Destination),
            (MoveState::Committed, Who::Destination),
            (MoveState::Cleaned, Who::Destination),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_loses_nothing_wherever_the_move_is() {
    kill_at(
        4 << 20,
        &[(MoveState::Copying, Who::Leader), (MoveState::Frozen, Who::Leader), (MoveState::Committed, Who::Leader)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_stalls_costs_a_pause_and_nothing_else() {
    let mut cluster = setup().start().await;
    let mut handled = fill(&cluster, 10 << 10).await;
    let from = owner(&cluster).await;
    let to = if from == "gateway-0" { "gateway-1" } else { "gateway-0" };
    cluster.gateway(to).pause();
    let body = json!({"to": to, "reason": "a story"});
    let reply = cluster.admin_post(&format!("/v1/targets/{TARGET}/move"), &body).await.expect("an answer");
    if reply.status == 202 {
        let id = reply.json()["id"].as_u64().expect("a number");
        let of = ended(&cluster, id).await;
        assert_eq!(of.state, MoveState::Aborted, "{of:?}");
    }
    assert_eq!(owner(&cluster).await, from);
    let said = tell(&cluster, "after", json!({"do": "nothing"})).await;
    handled += 1;
    assert_eq!(said["handled"].as_u64(), Some(handled));
    cluster.gateway(to).resume();
    let said = tell(&cluster, "later", json!({"do": "nothing"})).await;
    assert_eq!(said["handled"].as_u64(), Some(handled + 1));
}
