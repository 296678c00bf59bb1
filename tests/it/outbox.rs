//! What happens after the answer: calls to the outside leave after the commit, at least once and in order; timers fire
//! once; a handler that fails is tried again in its place. With a bot of its own where the moderation bot is too well
//! behaved. The platform's API is a double that records.

use berth_tests::{
    Cluster, Setup,
    double::PlatformDouble,
    eventually, pod_data,
    role::Program,
    senders::{discord, now, standard},
};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const TARGET: &str = "webhook:key:shop.k";

pub(super) fn with_story_bot() -> Setup {
    Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() }
        .with("BERTH_HANDLER_RETRY", "50ms")
        .with("BERTH_HANDLER_ATTEMPTS", "3")
}

/// Tells the story bot what to do; returns status and answer.
pub(super) async fn tell(cluster: &Cluster, id: &str, mut told: Value) -> (u16, Value) {
    told["target"] = json!("k");
    let delivery = standard::signed(&cluster.keys, id, told.to_string().as_bytes());
    let reply = cluster.post(&delivery).await.expect("an answer");
    (reply.status, reply.json())
}

fn call(host: &str, id: &str) -> Value {
    json!({"do": "call", "call": {"id": id, "method": "POST", "url": format!("http://{host}/{id}"), "body": id}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_outlives_kill_9_and_leaves_in_order_with_its_key() {
    let outside = PlatformDouble::start().await;
    outside.answer_with(503);
    let mut cluster =
        with_story_bot().with("BERTH_OUTBOX_HOSTS", &outside.host()).with("BERTH_OUTBOX_PRIVATE", "true").start().await;
    for id in ["first", "second", "third"] {
        assert_eq!(tell(&cluster, id, call(&outside.host(), id)).await.0, 200);
    }
    // A duplicate asks for nothing again.
    assert_eq!(tell(&cluster, "first", call(&outside.host(), "first")).await, (200, json!({"handled": 1})));
    eventually("the first call is tried", PATIENCE, async || (!outside.calls().is_empty()).then_some(())).await;
    assert!(outside.calls().iter().all(|call| call.path == "/first"), "one at a time, in order");
    cluster.gateways[0].kill().await;
    // What it had sent when it was killed has arrived by then.
    outside.left().await;
    let tried = outside.calls().len();
    outside.answer_with(200);
    cluster.gateways[0].start_again();
    eventually("all calls have left", PATIENCE, async || (outside.calls().len() >= tried + 3).then_some(())).await;
    let calls = outside.calls().split_off(tried);
    let seen: Vec<_> = calls.iter().map(|call| (call.path.as_str(), call.body.as_str())).collect();
    assert_eq!(seen, [("/first", "first"), ("/second", "second"), ("/third", "third")]);
    for call in &calls {
        let key = call.headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.as_str());
        assert_eq!(key, Some(format!("{TARGET}{}", call.path).as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_a_host_that_is_not_allowed_keeps_nothing_and_never_leaves() {
    let outside = PlatformDouble::start().await;
    let cluster = with_story_bot().start().await;
    assert_eq!(tell(&cluster, "1", call(&outside.host(), "x")).await.0, 200, "refused for good, acknowledged");
    assert_eq!(tell(&cluster, "2", json!({"do": "nothing"})).await, (200, json!({"handled": 1})), "nothing was kept");
    assert!(outside.calls().is_empty());
    assert_eq!(cluster.state(TARGET).await.map(|state| state.applied), Some(1), "the other one is put aside as dead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_fails_is_tried_again_in_its_place_and_keeps_nothing_of_its_failures() {
    let mut cluster = with_story_bot().with("BERTH_HANDLER_ATTEMPTS", "100").start().await;
    // It has its home when the time begins in which it fails.
    assert_eq!(tell(&cluster, "0", json!({"do": "nothing"})).await, (200, json!({"handled": 1})));
    let until_ms = (now() + 6) * 1_000;
    let (failing, next) = tokio::join!(tell(&cluster, "1", json!({"do": "retry", "until_ms": until_ms})), async {
        eventually("the failing event has been tried twice", PATIENCE, async || {
            let runs = cluster.gateways[0].metric("berth_handler_duration_seconds_count", &[]).await;
            (runs >= 3.0).then_some(())
        })
        .await;
        tell(&cluster, "2", json!({"do": "nothing"})).await
    });
    assert_eq!(failing, (200, json!({"handled": 2})), "each failure kept nothing");
    assert_eq!(next, (200, json!({"handled": 3})), "the next one waited for its turn");
    cluster.gateways[0].stop().await;
    let journal = pod_data::journal(&cluster.pod_folder("gateway-0"));
    assert_eq!(journal[TARGET], ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_takes_nobody_with_it() {
    let mut cluster = with_story_bot().start().await;
    let (status, _) = tell(&cluster, "1", json!({"do": "panic"})).await;
    assert!(matches!(status, 200 | 500 | 503), "{status}");
    let (status, answer) = tell(&cluster, "2", json!({"do": "nothing"})).await;
    assert_eq!((status, answer), (200, json!({"handled": 1})), "nothing of the panic was kept");
    assert!(cluster.gateways[0].process().ended().is_none(), "the pod lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_is_lifted_by_its_timer_once_although_its_pod_was_killed_meanwhile() {
    let mut cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    let command = async |cluster: &Cluster, id: &str, name: &str, options: Value| {
        let body = discord::command("77", id, name, &options).to_string();
        let delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, body.as_bytes());
        let reply = cluster.post_until_taken(&delivery, PATIENCE).await;
        reply.json()["data"]["content"].as_str().unwrap_or_default().to_owned()
    };
    // It has its home when somebody waits for an answer.
    command(&cluster, "1000", "stats", json!([])).await;
    let whom = json!([{"name": "user", "type": 3, "value": "bob"}, {"name": "minutes", "type": 4, "value": 5}]);
    let said = command(&cluster, "1001", "mute", whom).await;
    assert!(said.contains("bob is muted for 5 minutes"), "{said}");
    cluster.gateways[0].kill().await;
    // Five minutes pass while the pod is down.
    let database = pod_data::open(&cluster.pod_folder("gateway-0"));
    let moved = database.execute("UPDATE timer SET due_ms = due_ms - 300000", []).expect("the timer's row");
    assert_eq!(moved, 1, "the timer was committed with the command");
    drop(database);
    // What is asked again under its id is answered again as it was: each question is a new one.
    let mut id = 2_000;
    for _ in 0..2 {
        cluster.gateways[0].start_again();
        cluster.gateways[0].ready().await;
        eventually("the mute is lifted", PATIENCE, async || {
            id += 1;
            let said = command(&cluster, &id.to_string(), "stats", json!([])).await;
            said.contains("1 mute (1 lifted)").then_some(())
        })
        .await;
        cluster.gateways[0].kill().await;
    }
}
