//! What nobody should send, over real sockets: refused with the right status, counted by its reason, nothing stored, no
//! target made.

use berth_tests::{
    Cluster, Delivery, Setup, eventually,
    raw::{exchange, status},
    senders::{self, Keys, discord, github, slack, standard, telegram},
    wait::within,
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);
/// The machine may be busy with much else: nothing here is about how long something takes.
const LONG: Duration = Duration::from_secs(60);

/// A delivery that must be refused: what it is, its platform, the reason it is counted under, the status.
struct Bad(&'static str, &'static str, &'static str, u16, Delivery);

fn unsigned_and_wrongly_signed(keys: &Keys) -> Vec<Bad> {
    let command = discord::command("1", "2", "stats", &json!([])).to_string();
    let good = discord::signed(keys, discord::INTERACTIONS, command.as_bytes());
    let event = slack::message("T1", "Ev1", "hello").to_string();
    let good_slack = slack::signed(keys, event.as_bytes());
    let body = json!({"target": "k"}).to_string();
    let good_shop = standard::signed(keys, "m1", body.as_bytes());
    let repository = json!({"repository": {"id": 1}}).to_string();
    let good_github = github::signed(keys, "push", "d1", repository.as_bytes());
    let update = telegram::message(-1, 1, "hello").to_string();
    let good_telegram = telegram::signed(keys, update.as_bytes());
    let (old, future) = ((senders::now() - 301).to_string(), (senders::now() + 310).to_string());
    let other = Keys { slack: "another".into(), shop: vec![1; 24], github: "another".into(), ..keys.clone() };
    let other = Keys { discord: keys.bank.clone(), bank: keys.discord.clone(), telegram: "another".into(), ..other };
    let interactions = |keys: &Keys, at: &str| discord::signed_at(keys, discord::INTERACTIONS, command.as_bytes(), at);
    let slack_at = |at: &str| slack::signed_at(keys, event.as_bytes(), at, "application/json");
    let shop_at = |at: &str| standard::signed_at(keys, "m1", body.as_bytes(), at);
    let now = senders::now().to_string();
    vec![
        Bad("no signature", "discord", "missing_signature", 401, good.clone().without("x-signature-ed25519")),
        Bad("no timestamp", "discord", "missing_signature", 401, good.clone().without("x-signature-timestamp")),
        Bad("another key", "discord", "wrong_signature", 401, interactions(&other, &now)),
        Bad(
            "another body",
            "discord",
            "wrong_signature",
            401,
            good.clone().with_body(command.replace("stats", "warn!")),
        ),
        Bad("re-serialised", "discord", "wrong_signature", 401, good.clone().with_body(format!(" {command}"))),
        Bad("no hex", "discord", "malformed_signature", 401, good.clone().with("x-signature-ed25519", "zz".repeat(64))),
        Bad("half a signature", "discord", "malformed_signature", 401, good.clone().with("x-signature-ed25519", "00")),
        Bad("stale", "discord", "stale", 401, interactions(keys, &old)),
        Bad("future", "discord", "future", 401, interactions(keys, &future)),
        Bad("a timestamp with a sign", "discord", "malformed_timestamp", 401, interactions(keys, "+170000000")),
        Bad("a timestamp of 9 digits", "discord", "malformed_timestamp", 401, interactions(keys, &now[..9])),
        Bad("events, another key", "discord", "wrong_signature", 401, discord::signed(&other, discord::EVENTS, b"{}")),
        Bad("no signature", "slack", "missing_signature", 401, good_slack.clone().without("x-slack-signature")),
        Bad("another secret", "slack", "wrong_signature", 401, slack::signed(&other, event.as_bytes())),
        Bad("re-serialised", "slack", "wrong_signature", 401, good_slack.clone().with_body(event.replace(':', ": "))),
        Bad(
            "another scheme",
            "slack",
            "malformed_signature",
            401,
            good_slack.clone().with("x-slack-signature", "v1=00"),
        ),
        Bad("stale", "slack", "stale", 401, slack_at(&old)),
        Bad("future", "slack", "future", 401, slack_at(&future)),
        Bad("a timestamp in words", "slack", "malformed_timestamp", 401, slack_at("yesterday")),
        Bad("no signature", "webhook", "missing_signature", 401, good_shop.clone().without("webhook-signature")),
        Bad("no id", "webhook", "missing_signature", 401, good_shop.clone().without("webhook-id")),
        Bad("another id", "webhook", "wrong_signature", 401, good_shop.clone().with("webhook-id", "m2")),
        Bad("another secret", "webhook", "wrong_signature", 401, standard::signed(&other, "m1", body.as_bytes())),
        Bad("another key", "webhook", "wrong_signature", 401, standard::signed_v1a(&other, "m1", body.as_bytes())),
        Bad(
            "unknown schemes",
            "webhook",
            "malformed_signature",
            401,
            good_shop.clone().with("webhook-signature", "v9,AA"),
        ),
        Bad("stale", "webhook", "stale", 401, shop_at(&old)),
        Bad("future", "webhook", "future", 401, shop_at(&future)),
        Bad("no signature", "github", "missing_signature", 401, good_github.clone().without("x-hub-signature-256")),
        Bad(
            "another secret",
            "github",
            "wrong_signature",
            401,
            github::signed(&other, "push", "d1", repository.as_bytes()),
        ),
        Bad("sha1", "github", "malformed_signature", 401, good_github.clone().with("x-hub-signature-256", "sha1=00")),
        Bad("re-serialised", "github", "wrong_signature", 401, good_github.with_body(repository.replace(':', ": "))),
        Bad(
            "no token",
            "telegram",
            "missing_signature",
            401,
            good_telegram.clone().without("x-telegram-bot-api-secret-token"),
        ),
        Bad("another token", "telegram", "wrong_signature", 401, telegram::signed(&other, update.as_bytes())),
    ]
}

fn signed_nonsense(keys: &Keys) -> Vec<Bad> {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_update = format!(r#"{{"update_id":1,"message":{{"chat":{{"id":-1}},"x":{deep}}}}}"#);
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let update = |text: &str| telegram::signed(keys, text.as_bytes());
    let interaction = |text: &str| discord::signed(keys, discord::INTERACTIONS, text.as_bytes());
    let two_guilds = r#"{"type":2,"id":"1","guild_id":"1","guild_id":"2","data":{"name":"stats"}}"#;
    vec![
        Bad("no JSON", "discord", "malformed_body", 400, interaction("hello")),
        Bad("nothing", "discord", "malformed_body", 400, interaction("")),
        Bad("a list", "telegram", "malformed_body", 400, update("[]")),
        Bad("half of it", "telegram", "malformed_body", 400, update(r#"{"update_id":1,"mess"#)),
        Bad(
            "no UTF-8",
            "github",
            "not_utf8",
            400,
            github::signed(keys, "push", "d1", b"{\"repository\":{\"id\":1},\"x\":\"\xff\"}"),
        ),
        Bad("no UTF-8", "slack", "not_utf8", 400, slack::signed(keys, b"{\"team_id\":\"T1\",\"x\":\"\xff\"}")),
        Bad("no UTF-8", "telegram", "not_utf8", 400, telegram::signed(keys, b"{\"update_id\":1,\"x\":\"\xff\"}")),
        Bad("10,000 lists deep", "telegram", "too_deep", 400, update(&deep_update)),
        Bad(
            "10,000 objects deep",
            "github",
            "too_deep",
            400,
            github::signed(keys, "push", "d1", deep_objects.as_bytes()),
        ),
        Bad("10,000 deep", "discord", "too_deep", 400, interaction(&deep)),
        Bad("two guilds", "discord", "malformed_body", 400, interaction(two_guilds)),
        Bad(
            "two chats",
            "telegram",
            "malformed_body",
            400,
            update(r#"{"update_id":1,"message":{"chat":{"id":-1},"chat":{"id":-2}}}"#),
        ),
        Bad(
            "two ids",
            "telegram",
            "malformed_body",
            400,
            update(r#"{"update_id":1,"update_id":2,"message":{"chat":{"id":-1}}}"#),
        ),
        Bad(
            "two teams",
            "slack",
            "malformed_body",
            400,
            slack::signed_form(keys, b"team_id=T1&command=%2Fx&team_id=T2&trigger_id=1"),
        ),
        Bad("two payloads", "slack", "malformed_body", 400, slack::signed_form(keys, b"payload=%7B%7D&payload=%7B%7D")),
        Bad("no id", "telegram", "missing_id", 400, update(r#"{"message":{"chat":{"id":-1}}}"#)),
        Bad("no id", "discord", "missing_id", 400, interaction(r#"{"type":2,"guild_id":"1","data":{"name":"stats"}}"#)),
    ]
}

async fn refused(cluster: &Cluster, all: Vec<Bad>) {
    for Bad(what, platform, reason, wanted, delivery) in all {
        let labels = [("platform", platform), ("verdict", reason)];
        let before = cluster.routers[0].metric("berth_webhook_requests_total", &labels).await;
        let reply = cluster.post(&delivery).await.unwrap_or_else(|why| panic!("{platform}, {what}: {why}"));
        assert_eq!(reply.status, wanted, "{platform}, {what}: {}", reply.text());
        let sent = String::from_utf8_lossy(&delivery.body).into_owned();
        assert!(sent.len() < 3 || !reply.text().contains(&sent), "{platform}, {what}: the body is repeated");
        let after = cluster.routers[0].metric("berth_webhook_requests_total", &labels).await;
        assert_eq!(after, before + 1.0, "{platform}, {what}: not counted as {reason}");
    }
    assert!(cluster.targets().await.is_empty(), "bad input made a target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_is_refused_counted_and_leaves_no_trace() {
    let cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    let all = unsigned_and_wrongly_signed(&cluster.keys);
    refused(&cluster, all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_nonsense_is_refused_counted_and_leaves_no_trace() {
    let cluster = Setup { gateways: 1, ..Setup::default() }.start().await;
    let all = signed_nonsense(&cluster.keys);
    refused(&cluster, all).await;
    // It still works, and a key twice where routing does not look confuses nobody.
    let harmless =
        r#"{"update_id":7,"message":{"message_id":1,"date":1,"chat":{"id":-9,"type":"group"},"text":"a","text":"b"}}"#;
    cluster.post_until_taken(&telegram::signed(&cluster.keys, harmless.as_bytes()), LONG).await;
    assert_eq!(cluster.targets().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_http_are_kept() {
    let cluster = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_MAX_BODY", "4096")
        .with("BERTH_MAX_BODY_GITHUB", "8192")
        .start()
        .await;
    let port = cluster.routers[0].port();
    let long = format!("\"{}\"", "x".repeat(5_000));
    let update = format!(r#"{{"update_id":1,"message":{{"chat":{{"id":-1}},"text":{long}}}}}"#);
    let reply = cluster.post(&telegram::signed(&cluster.keys, update.as_bytes())).await.expect("an answer");
    assert_eq!(reply.status, 413);
    let delivery = format!(r#"{{"zen":{long}}}"#);
    let reply =
        cluster.post(&github::signed(&cluster.keys, "ping", "d1", delivery.as_bytes())).await.expect("an answer");
    assert_eq!(reply.status, 200, "GitHub has a limit of its own");
    // A body that does not say how long it is, and one that only says so.
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
    let head = "POST /webhooks/slack HTTP/1.1\r\nHost: a\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(status(&exchange(port, chunked.as_bytes(), LONG).await), 413);
    let announced = format!("{head}Content-Length: 99999999\r\n\r\n");
    assert_eq!(status(&exchange(port, announced.as_bytes(), LONG).await), 413);

    let many = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "x-a: b\r\n".repeat(200));
    assert_eq!(status(&exchange(port, many.as_bytes(), LONG).await), 431);
    let large = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nx-a: {}\r\n\r\n", "b".repeat(40_000));
    assert_eq!(status(&exchange(port, large.as_bytes(), LONG).await), 431);

    let two = b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&exchange(port, two, LONG).await), 400);
    assert_eq!(status(&exchange(port, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", LONG).await), 400);
    assert_eq!(status(&exchange(port, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", LONG).await), 400);

    for (method, path, wanted) in [
        ("GET", "/nothing", 404),
        ("POST", "/webhooks", 404),
        ("POST", "/webhooks/discord/other", 404),
        ("POST", "/webhooks/telegram/stranger", 404),
        ("POST", "/webhooks/standard/stranger", 404),
        ("GET", "/webhooks/slack", 405),
        ("PUT", "/webhooks/github", 405),
        ("DELETE", "/healthz", 405),
    ] {
        let url = cluster.routers[0].url(path);
        let method = method.parse().expect("a method");
        let reply = cluster.client.call(method, &url, &[], "").await.expect("an answer");
        assert_eq!(reply.status, wanted, "{path}: {}", reply.text());
    }
    assert!(cluster.targets().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_is_closed_in_time_on_every_role() {
    let cluster = Setup { gateways: 1, ..Setup::default() }.with("BERTH_HEAD_TIMEOUT", "3s").start().await;
    for role in [&cluster.config, &cluster.gateways[0], &cluster.routers[0]] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", role.port())).await.expect("the port accepts connections");
        stream.write_all(b"POST /webhooks/slack HTTP/1.1\r\nHost: a\r\nX-Half").await.expect("half a head is sent");
        let mut answer = Vec::new();
        let closed = stream.read_to_end(&mut answer);
        // Sooner than it gives up a connection without any request.
        let _ = within(&format!("{} closes half a head", role.name()), LONG, closed).await;
        assert!(begun.elapsed() >= 2 * SECOND, "{} did not wait for the rest", role.name());
        eventually(&format!("{} goes on", role.name()), LONG, async || role.is_ready().await.then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_without_a_secret_is_off() {
    let keys = Keys::default();
    let cluster = Setup { gateways: 1, ..Setup::default() }
        .with("BERTH_SLACK_SIGNING_SECRET", "")
        .with("BERTH_GITHUB_SECRET", "")
        .start()
        .await;
    for delivery in [slack::signed(&keys, b"{}"), github::signed(&keys, "ping", "d1", b"{}")] {
        let reply = cluster.post(&delivery).await.expect("an answer");
        assert_eq!(reply.status, 404, "{}: {}", delivery.path, reply.text());
    }
    let ping = discord::signed(&keys, discord::INTERACTIONS, br#"{"type":1,"id":"1"}"#);
    assert_eq!(cluster.post(&ping).await.expect("an answer").status, 200, "the others are on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_wait_for_a_config_service_that_is_down_and_say_so() {
    let mut cluster = Setup { gateways: 1, ..Setup::default() }.prepare();
    cluster.config.ready().await;
    cluster.config.kill().await;
    cluster.launch_rest();
    let update = telegram::message(-1, 1, "hello").to_string();
    let delivery = telegram::signed(&cluster.keys, update.as_bytes());
    for role in cluster.gateways.iter_mut().chain(&mut cluster.routers) {
        eventually(&format!("{} says that it waits", role.name()), LONG, async || {
            assert!(role.process().ended().is_none(), "{} gave up", role.name());
            (role.logged("config-service") && !role.is_ready().await).then_some(())
        })
        .await;
    }
    cluster.config.start_again();
    cluster.all_ready().await;
    cluster.post_until_taken(&delivery, LONG).await;
    cluster.applied("telegram:channel:-1", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_the_services_token_says_what_to_set_and_does_not_start() {
    for (role, settings) in [
        ("config-service", vec![("BERTH_CONFIG_STORE", "sqlite:nowhere/config.db")]),
        ("gateway", vec![("BERTH_POD", "gateway-0"), ("BERTH_GATEWAY_DATA", "nowhere"), ("BERTH_REPLICATION", "off")]),
        ("http-service", vec![]),
    ] {
        let mut command = berth_tests::process::command();
        command.arg(role).envs(settings);
        let mut process = berth_tests::process::Process::start(role, command);
        assert!(!process.end(LONG).await.success(), "{role}");
        assert!(process.stderr.contains("BERTH_SERVICE_TOKENS"), "{role}: {}", process.stderr.tail(5));
    }
}
