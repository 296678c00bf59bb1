use super::*;
use crate::ingress::tests::{NOW_S, signed, verifiers};
use shared::Revision;
use shared::clock::ManualClock;
use shared::http::{Probes, ServeLimits, bind, serve};
use shared::router::routes::{Placer, Routes};
use shared::router::testing::*;
use shared::router::{Parking, RouteMeters, Router, Snapshot};
use shared::shutdown::Shutdown;
use shared::telemetry::Metrics;
use shared::telemetry::trace::Tracer;
use shared::wire::control::Watch;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a body may take: longer than a busy machine takes to write one.
const SLOW: Duration = Duration::from_secs(3);

/// The service's URLs on a real port, with a pod behind them.
struct Story {
    address: SocketAddr,
    pod: FakePod,
    _config: FakeConfig,
    stop: Shutdown,
}

impl Drop for Story {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn story() -> Story {
    story_with(Memories::new(1 << 20)).await
}

async fn story_with(memory: Memories) -> Story {
    let (config, pod, metrics, stop) =
        (FakeConfig::start().await, FakePod::bind().await, Metrics::new(), Shutdown::new());
    let (routes, (links, _)) = (Routes::new(), links(Duration::from_secs(3)));
    let (counters, meters) = (Counters::register(&metrics), RouteMeters::register(&metrics));
    let snapshot = Watch::Snapshot {
        revision: Revision(5),
        first: true,
        more: false,
        pods: vec![pod_info("gateway-0", &pod.address, 1)],
        assignments: vec![assignment("discord:guild:9", "gateway-0", 3, 5)],
        moves: vec![],
    };
    routes.apply(snapshot, Instant::now());
    links.follow(&routes.pods());
    Snapshot { routes: routes.clone(), links: links.clone() }.register(&metrics);
    let (placer, _task) = Placer::new(config.client(), routes.clone(), 1);
    let parking = Parking::new(10, 1 << 20, meters.parked.clone());
    let park_telegram = Duration::from_millis(200);
    let tracer = Tracer::off();
    let core = Router { routes, placer, upstream: links, parking, meters, park_telegram, tracer };
    let bodies = BodyLimits { most: 1_000, most_github: 2_000, timeout: SLOW };
    let clock = Arc::new(ManualClock::new(NOW_S * 1_000));
    let door = Arc::new(Door { verifiers: verifiers(), core, counters, clock, bodies, memory });
    let bound = bind(([127, 0, 0, 1], 0).into(), "--listen").await.expect("a port");
    let address = bound.address;
    let router = super::routes(door).merge(Probes::new().routes(metrics));
    shared::shutdown::spawn(serve(bound, router, ServeLimits::default(), stop.clone()));
    Story { address, pod, _config: config, stop }
}

/// Sends bytes and returns everything until the server closes.
async fn raw(story: &Story, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(story.address).await.expect("connects");
    stream.write_all(bytes).await.expect("writes");
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server closes").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, source: &Source, body: &str) -> Vec<u8> {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in &signed(source, body.as_bytes()) {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("ascii")));
    }
    format!("{head}\r\n{body}").into_bytes()
}

async fn metric(story: &Story, line: &str) -> bool {
    let text = raw(story, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let found = text.lines().any(|found| found == line);
    if !found {
        println!("{text}");
    }
    found
}

#[tokio::test]
async fn an_interaction_goes_the_whole_way_and_the_owners_answer_comes_back() {
    let story = story().await;
    let sent = post("/webhooks/discord", &Source::Discord, r#"{"id":"1","type":2,"guild_id":"9"}"#);
    let (answer, _end) = tokio::join!(raw(&story, &sent), async {
        let mut end = story.pod.accept(WIDE).await;
        let (stream, request) = end.request().await;
        assert_eq!(request.event.received_at, NOW_S * 1_000);
        end.reply(stream, committed("owner's words")).await;
        end
    });
    assert!(answer.starts_with("HTTP/1.1 202") && answer.ends_with("\r\n\r\nowner's words"), "{answer}");
    assert!(answer.contains("\r\nx-berth: 1\r\n"), "{answer}");
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="discord",verdict="committed"} 1"#).await);
    assert!(metric(&story, r#"berth_route_lookups_total{result="hit"} 1"#).await);
    assert!(metric(&story, "berth_route_table_targets 1").await && metric(&story, "berth_parked_requests 0").await);
    assert!(metric(&story, "berth_links_up 1").await && metric(&story, "berth_forward_duration_seconds_count 1").await);
}

#[tokio::test]
async fn pings_and_challenges_need_no_owner() {
    let story = story().await;
    let ping = raw(&story, &post("/webhooks/discord", &Source::Discord, r#"{"type":1}"#)).await;
    assert!(ping.starts_with("HTTP/1.1 200") && ping.ends_with("\r\n\r\n{\"type\":1}"), "{ping}");
    let event = raw(&story, &post("/webhooks/discord/events", &Source::DiscordEvents, r#"{"type":0}"#)).await;
    assert!(event.starts_with("HTTP/1.1 204") && event.ends_with("\r\n\r\n"), "{event}");
    let challenge = r#"{"type":"url_verification","challenge":"c-1"}"#;
    let challenge = raw(&story, &post("/webhooks/slack", &Source::Slack, challenge)).await;
    assert!(challenge.starts_with("HTTP/1.1 200") && challenge.ends_with("{\"challenge\":\"c-1\"}"), "{challenge}");
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="slack",verdict="ignored_challenge"} 1"#).await);
}

#[tokio::test]
async fn a_refusal_says_why_and_repeats_nothing() {
    let story = story().await;
    let mut forged = post("/webhooks/github", &Source::Github, r#"{"repository":{"id":"hunter2"}}"#);
    let at = forged.len() - 3;
    forged[at] = b'3';
    let refused = raw(&story, &forged).await;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("wrong_signature"), "{refused}");
    assert!(!refused.contains("hunter"), "{refused}");
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="github",verdict="wrong_signature"} 1"#).await);
    let broken = raw(&story, &post("/webhooks/github", &Source::Github, "{\"repository\":")).await;
    assert!(broken.starts_with("HTTP/1.1 400") && broken.contains("malformed_body"), "{broken}");
}

#[tokio::test]
async fn unknown_urls_are_not_found_and_wrong_methods_not_allowed() {
    let story = story().await;
    for path in [
        "/",
        "/webhooks",
        "/webhooks/discord/",
        "/webhooks/telegram",
        "/webhooks/telegram/stranger",
        "/webhooks/telegram/guard/x",
        "/webhooks/standard/stranger",
        "/webhooks/standard/..",
    ] {
        let answer = raw(&story, &post(path, &Source::Telegram("guard".to_owned()), "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "PATCH"] {
        let sent = format!("{method} /webhooks/discord HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = raw(&story, sent.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let story = story().await;
    let big = "x".repeat(1_001);
    let said = raw(&story, b"POST /webhooks/slack HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 413"), "before a byte of it came: {said}");
    let chunked =
        format!("POST /webhooks/slack HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{big}\r\n");
    let unsaid = raw(&story, chunked.as_bytes()).await;
    assert!(unsaid.starts_with("HTTP/1.1 413"), "{unsaid}");
    // Who writes all of it before reading is not cut off before the answer.
    let mut stream = TcpStream::connect(story.address).await.expect("connects");
    let megabytes = vec![b'x'; 8 << 20];
    let head = format!("POST /webhooks/slack HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", megabytes.len());
    stream.write_all(head.as_bytes()).await.expect("writes");
    stream.write_all(&megabytes).await.expect("is not reset");
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("soon").expect("is not reset");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // GitHub has a limit of its own.
    let github = raw(&story, &post("/webhooks/github", &Source::Github, &big)).await;
    assert!(github.starts_with("HTTP/1.1 400"), "{github}");
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="slack",verdict="too_large"} 3"#).await);
}

#[tokio::test]
async fn all_bodies_together_hold_only_so_much_and_give_it_back() {
    let story = story_with(Memories::new(1_800)).await;
    let hooked = raw(&story, &post("/webhooks/github", &Source::Github, &"x".repeat(901))).await;
    assert!(hooked.starts_with("HTTP/1.1 503"), "{hooked}");
    let head = |length: usize| format!("POST /webhooks/slack HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let full = raw(&story, format!("{}{}", head(901), "x".repeat(901)).as_bytes()).await;
    assert!(full.starts_with("HTTP/1.1 503") && full.contains("retry-after: 1"), "{full}");
    for _ in 0..3 {
        let unsigned = format!("{}{}", head(899).replace("host: a", "host: a\r\nconnection: close"), "x".repeat(899));
        let said = raw(&story, unsigned.as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 401"), "what one held the next may hold: {said}");
    }
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="slack",verdict="no_memory"} 1"#).await);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let story = story().await;
    let begun = Instant::now();
    let slow = raw(&story, b"POST /webhooks/slack HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    assert!(begun.elapsed() >= SLOW);
    assert!(metric(&story, r#"berth_webhook_requests_total{platform="slack",verdict="slow_body"} 1"#).await);
}

#[tokio::test]
async fn a_body_in_many_pieces_is_verified_as_one() {
    let story = story().await;
    let body = r#"{"type":1}"#;
    let mut stream = TcpStream::connect(story.address).await.expect("connects");
    for piece in post("/webhooks/discord", &Source::Discord, body).chunks(7) {
        stream.write_all(piece).await.expect("writes");
        stream.flush().await.expect("flushes");
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("soon").expect("text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_update_without_an_owner_is_a_503_that_telegram_retries() {
    let story = story().await;
    let bot = Source::Telegram("guard".to_owned());
    let sent = post("/webhooks/telegram/guard", &bot, r#"{"update_id":7,"message":{"chat":{"id":5}}}"#);
    let answer = raw(&story, &sent).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
}

#[test]
fn an_answer_that_http_cannot_carry_loses_only_what_it_cannot_carry() {
    let answer = Answer { status: 200, headers: vec![], body: "x".into() }
        .with_header("x-good", "1")
        .with_header("x-bad", "a\r\nset-cookie: b")
        .with_header("bad name", "1")
        .with_header("content-length", "99")
        .with_header("transfer-encoding", "chunked");
    let response = response(answer);
    let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-good"]);
    assert_eq!(super::response(Answer::empty(101)).status(), StatusCode::OK);
}
