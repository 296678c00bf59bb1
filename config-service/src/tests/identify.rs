//! The IDENTIFY budget as shards ask for it over HTTP, with a Discord that answers one question.

use super::{harness::*, stores::Flaky};
use axum::{Router, extract::State, http::HeaderMap, routing::get};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::shutdown::Shutdown;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What Discord says, and how often it was asked.
#[derive(Clone, Default)]
struct Discord(Arc<Mutex<Said>>);

struct Said {
    status: u16,
    remaining: u32,
    reset_after: u64,
    asked: u32,
    by: Vec<String>,
}

impl Default for Said {
    fn default() -> Self {
        Self { status: 200, remaining: 1_000, reset_after: 86_400_000, asked: 0, by: Vec::new() }
    }
}

impl Discord {
    async fn start() -> (Self, SocketAddr) {
        let double = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/api/v10/gateway/bot", get(answer)).with_state(double.clone());
        shared::shutdown::spawn(async move { axum::serve(listener, router).await });
        (double, address)
    }

    fn says(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.0.lock().expect("no panic"));
    }

    fn asked(&self) -> u32 {
        self.0.lock().expect("no panic").asked
    }
}

async fn answer(State(double): State<Discord>, headers: HeaderMap) -> (StatusCode, String) {
    let mut said = double.0.lock().expect("no panic");
    said.asked += 1;
    let by = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let by = format!("{} {}", by("authorization"), by("user-agent"));
    said.by.push(by);
    let limit = json!({
        "total": 1_000, "remaining": said.remaining, "reset_after": said.reset_after, "max_concurrency": 2,
    });
    let body = json!({ "url": "wss://gateway.discord.gg", "shards": 4, "session_start_limit": limit });
    (StatusCode::from_u16(said.status).expect("a status"), body.to_string())
}

/// The flags that lead to it; nothing here takes long.
fn flags(address: SocketAddr) -> Vec<String> {
    let api = format!("--discord-api=http://{address}/api/v10/");
    ["--discord-token=ODEzODQ3.x.y", &api, "--discord-refresh=100ms"].map(str::to_owned).to_vec()
}

async fn node(folder: &tempfile::TempDir, address: SocketAddr) -> Node {
    node_with(folder, address, &[]).await
}

async fn node_with(folder: &tempfile::TempDir, address: SocketAddr, more: &[&str]) -> Node {
    let flags = flags(address);
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let node = Node::start_with(folder, &flags).await;
    eventually("Discord has answered", async || {
        matches!(budget(&node).await["state"].as_str(), Some("ok" | "old" | "refused"))
    })
    .await;
    node
}

async fn budget(node: &Node) -> Value {
    node.call(Some("service"), Method::GET, "/v1/discord/budget", &Value::Null).await.json
}

async fn permit(node: &Node, shard: u32, more: Value) -> Answer {
    let mut ask = json!({ "shard": shard, "shards": 4, "wait_ms": 0 });
    ask.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    node.call(Some("service"), Method::POST, "/v1/discord/permits", &ask).await
}

fn after(answer: &Answer) -> Option<u64> {
    answer.headers.get("retry-after")?.to_str().ok()?.parse().ok()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn a_shard_waits_for_its_turn_and_is_told_when_it_is_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let (discord, address) = Discord::start().await;
    let node = node(&folder, address).await;
    let first = permit(&node, 0, json!({})).await;
    assert_eq!(first.status, 200, "{}", first.json);
    assert_eq!(first.json, json!({ "shard": 0, "shards": 4, "bucket": 0, "remaining": 999 }));
    assert_eq!(permit(&node, 1, json!({})).await.json["bucket"], 1, "the other bucket is free");
    let later = permit(&node, 2, json!({})).await;
    assert_eq!((later.status, later.code(), after(&later)), (429, "identify-later", Some(6)), "{}", later.json);
    let waits = permit(&node, 2, json!({ "wait_ms": 60_000 }));
    let moves = async {
        eventually("it waits", async || budget(&node).await["waiting"] == 1).await;
        // Whoever comes behind it has the turn after.
        let behind = permit(&node, 0, json!({ "wait_ms": 6_000 })).await;
        assert_eq!((behind.code(), after(&behind)), ("identify-later", Some(11)));
        node.clock.advance(Duration::from_millis(5_250));
    };
    let (answer, ()) = tokio::join!(waits, moves);
    assert_eq!((answer.status, answer.json["remaining"].as_u64()), (200, Some(997)), "{}", answer.json);
    let shown = budget(&node).await;
    assert_eq!((shown["state"].as_str(), shown["bot"].as_str()), (Some("ok"), Some("813847")));
    assert_eq!((&shown["budget"]["permits"], &shown["budget"]["reserve"]), (&json!(3), &json!(200)));
    discord.says(|said| assert!(said.by[0].starts_with("Bot ODEzODQ3.x.y DiscordBot ("), "{:?}", said.by));
    node.stop().await;
}

#[tokio::test]
async fn a_permit_that_nobody_waits_for_any_more_is_not_spent() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_discord, address) = Discord::start().await;
    let node = node(&folder, address).await;
    assert_eq!(permit(&node, 0, json!({})).await.status, 200);
    {
        let gone = permit(&node, 0, json!({ "wait_ms": 60_000 }));
        let waits = eventually("it waits", async || budget(&node).await["waiting"] == 1);
        tokio::select! {
            _ = gone => panic!("its turn has not come"),
            () = waits => {}
        }
    }
    eventually("it is seen to have gone", async || budget(&node).await["waiting"] == 0).await;
    node.clock.advance(seconds(9));
    assert_eq!(permit(&node, 2, json!({})).await.json["remaining"], 998);
    node.stop().await;
}

#[tokio::test]
async fn what_was_handed_out_is_spent_for_the_next_leader_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (discord, address) = Discord::start().await;
    let first = node(&folder, address).await;
    for shard in [0, 1] {
        assert_eq!(permit(&first, shard, json!({})).await.status, 200);
    }
    first.stop().await;
    // It cannot be asked: what it said last counts.
    discord.says(|said| said.status = 503);
    let node = node(&folder, address).await;
    assert_eq!(permit(&node, 2, json!({})).await.code(), "identify-later", "the last permits may be a moment old");
    node.clock.advance(seconds(6));
    let next = permit(&node, 2, json!({})).await;
    assert_eq!((next.status, next.json["remaining"].as_u64()), (200, Some(997)), "{}", next.json);
    eventually("it is said", async || budget(&node).await["state"] == "old").await;
    let why = budget(&node).await["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("503")), "{why}");
    discord.says(|said| said.status = 200);
    eventually("it is asked again", async || budget(&node).await["state"] == "ok").await;
    assert_eq!(budget(&node).await["budget"]["remaining"], 997, "Discord has counted fewer");
    node.stop().await;
}

#[tokio::test]
async fn a_permit_that_cannot_be_written_is_not_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_discord, address) = Discord::start().await;
    let store = Flaky::open(&folder);
    let flags = flags(address);
    // It is asked once: nothing else is to be written.
    let flags: Vec<_> = flags.iter().map(String::as_str).take(2).collect();
    let node = Node::on(store.clone(), &flags).await;
    eventually("the budget is known", async || budget(&node).await["state"] == "ok").await;
    store.refuse_spending(true);
    let refused = permit(&node, 0, json!({})).await;
    assert_eq!(refused.code(), "store-unavailable", "{}", refused.json);
    store.refuse_spending(false);
    eventually("it is read anew", async || budget(&node).await["state"] == "ok").await;
    assert_eq!(budget(&node).await["budget"]["remaining"], 1_000, "nobody has it");
    let given = permit(&node, 0, json!({ "wait_ms": 60_000 })).await;
    assert_eq!((given.status, given.json["remaining"].as_u64()), (200, Some(999)), "{}", given.json);
    node.stop().await;
}

#[tokio::test]
async fn the_last_of_the_budget_is_for_sessions_that_were_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (discord, address) = Discord::start().await;
    discord.says(|said| (said.remaining, said.reset_after) = (200, 3_600_000));
    let node = node(&folder, address).await;
    let spent = permit(&node, 0, json!({ "wait_ms": 60_000 })).await;
    assert_eq!((spent.status, spent.code()), (429, "identify-spent"), "{}", spent.json);
    assert!(after(&spent).is_some_and(|after| (3_590..=3_600).contains(&after)), "{:?}", after(&spent));
    let recovery = json!({ "refused_session": "abc" });
    assert_eq!(permit(&node, 0, recovery.clone()).await.json["remaining"], 199);
    node.clock.advance(seconds(9));
    assert_eq!(permit(&node, 0, recovery).await.code(), "identify-spent", "it was never ready since");
    // A new day, as soon as Discord says so.
    discord.says(|said| (said.remaining, said.reset_after) = (1_000, 86_400_000));
    node.clock.advance(seconds(3_600));
    eventually("it is whole", async || budget(&node).await["budget"]["remaining"].as_u64() >= Some(999)).await;
    assert_eq!(permit(&node, 1, json!({})).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_shard_in_a_crash_loop_has_to_wait_and_others_have_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_discord, address) = Discord::start().await;
    let node = node(&folder, address).await;
    for _ in 0..3 {
        assert_eq!(permit(&node, 0, json!({})).await.status, 200);
        node.clock.advance(seconds(6));
    }
    let braked = permit(&node, 0, json!({})).await;
    assert_eq!((braked.status, braked.code(), after(&braked)), (429, "identify-braked", Some(54)), "{}", braked.json);
    assert_eq!(permit(&node, 2, json!({})).await.status, 200);
    let shown = budget(&node).await["braked"][0].clone();
    assert_eq!((&shown["shard"], &shown["identified"]), (&json!(0), &json!(3)), "{shown}");
    let text = node.page("/metrics").await;
    let sample = "berth_identify_refused_total{reason=\"braked\"} 1";
    for line in [sample, "berth_identify_permits_total{kind=\"start\"} 4"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    eventually("the gauges are up to date", async || {
        let text = node.page("/metrics").await;
        let lines = ["remaining\"} 996", "total\"} 1000", "reserve\"} 200"];
        lines.iter().all(|line| text.contains(&format!("berth_identify_budget{{kind=\"{line}")))
            && text.contains("berth_identify_braked 1")
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn a_token_that_discord_refuses_is_said_and_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (discord, address) = Discord::start().await;
    discord.says(|said| said.status = 401);
    let node = node(&folder, address).await;
    let shown = budget(&node).await;
    assert_eq!(shown["state"], "refused");
    assert!(shown["why"].as_str().is_some_and(|why| why.contains("BERTH_DISCORD_TOKEN")), "{shown}");
    let refused = permit(&node, 0, json!({ "wait_ms": 60_000 })).await;
    assert_eq!((refused.status, refused.code()), (409, "token-refused"), "{}", refused.json);
    node.clock.advance(seconds(86_400));
    let (other, address) = Discord::start().await;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let beside = self::node(&elsewhere, address).await;
    eventually("one that is taken is asked again and again", async || other.asked() > 10).await;
    beside.stop().await;
    assert_eq!(discord.asked(), 1);
    node.stop().await;
}

#[tokio::test]
async fn without_a_token_or_an_answer_it_is_said_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = Node::start(&folder).await;
    eventually("it is said", async || budget(&plain).await["state"] == "no-token").await;
    let none = permit(&plain, 0, json!({})).await;
    assert_eq!((none.status, none.code()), (409, "no-bot"), "{}", none.json);
    plain.stop().await;
    let (discord, address) = Discord::start().await;
    discord.says(|said| said.status = 500);
    let flags = flags(address);
    let node = Node::start_with(&folder, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let unknown = permit(&node, 0, json!({})).await;
    assert_eq!((unknown.status, unknown.code(), after(&unknown)), (503, "budget-unknown", Some(5)));
    for (ask, expected) in [
        (json!({ "shard": 4 }), "invalid"),
        (json!({ "shards": 0 }), "invalid"),
        (json!({ "shards": 99_999 }), "invalid"),
        (json!({ "refused_session": "" }), "invalid"),
        (json!({ "refused_session": "x".repeat(201) }), "invalid"),
        (json!({ "shard": -1 }), "bad-request"),
        (json!({ "colour": 1 }), "bad-request"),
    ] {
        assert_eq!(permit(&node, 0, ask.clone()).await.code(), expected, "{ask}");
    }
    // It waits for the first answer.
    discord.says(|said| said.status = 200);
    assert_eq!(permit(&node, 0, json!({ "wait_ms": 60_000 })).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn sessions_are_kept_for_programs_with_connections_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(&folder).await;
    let ask = async |method, path: &str, body: Value| {
        node.call(Some("service"), method, &format!("/v1/discord/sessions{path}"), &body).await
    };
    assert_eq!(ask(Method::GET, "/3", Value::Null).await.code(), "not-found");
    let session = json!({
        "shardId": 3, "shardCount": 4, "sessionId": "0f1e", "resumeURL": "wss://us-east1-b.discord.gg", "sequence": 1_207,
    });
    let kept = ask(Method::POST, "", json!({ "sessions": [session] })).await;
    assert_eq!((kept.status, &kept.json), (200, &json!({ "kept": 1 })));
    assert_eq!(ask(Method::GET, "/3", Value::Null).await.json, session);
    assert_eq!(ask(Method::GET, "/3?shards=4", Value::Null).await.json, session);
    assert_eq!(ask(Method::GET, "/3?shards=8", Value::Null).await.code(), "not-found");
    for (field, value) in [("shardId", json!(4)), ("sessionId", json!("")), ("resumeURL", json!("a\nb"))] {
        let mut wrong = session.clone();
        wrong[field] = value;
        assert_eq!(ask(Method::POST, "", json!({ "sessions": [session, wrong] })).await.code(), "invalid", "{field}");
    }
    for wrong in ["/x", "/3?shards=x", "/3?count=4"] {
        assert_eq!(ask(Method::GET, wrong, Value::Null).await.code(), "bad-request", "{wrong}");
    }
    assert_eq!(ask(Method::DELETE, "/3", Value::Null).await.json, json!({ "dropped": 1 }));
    assert_eq!(ask(Method::GET, "/3", Value::Null).await.code(), "not-found");
    node.stop().await;
}

#[tokio::test]
async fn an_address_of_discord_that_is_none_keeps_it_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = options(&["--discord-token=x", "--discord-api=discord.com"]);
    options.store = format!("sqlite:{}", folder.path().join("config.db").display());
    let refused = crate::run(options, Shutdown::new()).await.expect_err("refused");
    assert!(format!("{refused:#}").contains("BERTH_DISCORD_API"), "{refused:#}");
}
