//! Work that outlives what began it: an event that was only accepted when its pod died, and a timer. And what the
//! environment says of the collector.

use super::*;
use http::Method;
use std::sync::atomic::{AtomicBool, Ordering};

fn with_handler(collector: &CollectorDouble, handler: &HandlerDouble) -> Setup {
    Setup { bot: Program::Berth, ..traced(collector) }.with("BERTH_HANDLER", &handler.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_only_accepted_goes_on_in_its_trace_after_its_pod_was_killed() {
    let (collector, outside) = (CollectorDouble::start(Mood::Takes).await, PlatformDouble::start().await);
    let (open, first) = (Arc::<AtomicBool>::default(), Arc::new(Mutex::new(None)));
    let (gate, kept) = (Arc::clone(&open), Arc::clone(&first));
    let handler = HandlerDouble::start(move |asked: &Asked| match asked.route.as_str() {
        "GET /v1/describe" => Says::Json(200, json!({"api": ["1"]})),
        _ if gate.load(Ordering::SeqCst) => Says::Json(200, json!({"reply": {"text": "at last"}})),
        _ => {
            let parent = asked.headers.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.clone());
            *kept.lock().expect("whole") = Some((parent.expect("told"), asked.body["local"].clone()));
            Says::Nothing
        }
    });
    let mut cluster = with_handler(&collector, &handler)
        .with("BERTH_HANDLER_TIMEOUT_FAST", "60s")
        .with("BERTH_DISCORD_API", &format!("http://{}", outside.host()))
        .with("BERTH_OUTBOX_HOSTS", &outside.host())
        .start()
        .await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let receive = span(&collector, "the owner's span", |span| span.name == "receive discord_command").await;

    // What the handler reads meanwhile belongs to the question it was asked.
    let (parent, local) = first.lock().expect("whole").clone().expect("asked");
    let url = format!("{}/v1/local/targets/discord:guild:77/kv/key-secret", local["url"].as_str().expect("a URL"));
    let token = format!("Bearer {}", local["token"].as_str().expect("a token"));
    let headers = [("authorization".to_owned(), token), ("traceparent".to_owned(), parent.clone())];
    assert_eq!(cluster.client.call(Method::GET, &url, &headers, "").await.expect("an answer").status, 404);
    let read =
        span(&collector, "the read's span", |span| span.name == "GET /v1/local/targets/{target}/kv/{*key}").await;
    assert_eq!(
        (read.kind, read.trace.as_str(), read.parent.as_str()),
        (SpanKind::Server, &parent[3..35], &parent[36..52])
    );
    assert_eq!((read.get("url.path"), collector.contains("key-secret")), ("", false));

    cluster.gateways[0].kill().await;
    open.store(true, Ordering::SeqCst);
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    let handle = span(&collector, "the handler's span", |span| span.name == "handle discord_command").await;
    assert_eq!((&handle.trace, &handle.parent), (&receive.trace, &receive.id));
    let reply = span(&collector, "the late reply's span", |span| span.name == "PATCH").await;
    assert_eq!((&reply.trace, &reply.parent, reply.failed), (&receive.trace, &handle.id, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_begins_a_trace_of_its_own() {
    let (collector, outside) = (CollectorDouble::start(Mood::Takes).await, PlatformDouble::start().await);
    let call = call(&outside.host())["call"].clone();
    let handler = HandlerDouble::start(move |asked: &Asked| match asked.route.as_str() {
        "GET /v1/describe" => Says::Json(200, json!({"api": ["1"]})),
        _ if asked.body["event"]["kind"] == "timer" => {
            Says::Json(200, json!({"outbox": [{"id": "c1", "method": "POST", "url": call["url"], "idempotent": true}]}))
        }
        _ => {
            let at = asked.body["event"]["received_at"].clone();
            Says::Json(200, json!({"timers": [{"id": "soon", "at": at, "payload": "payload-secret"}]}))
        }
    });
    let cluster = with_handler(&collector, &handler).with("BERTH_OUTBOX_HOSTS", &outside.host()).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let command = span(&collector, "the command's span", |span| span.name == "handle discord_command").await;
    let timer = span(&collector, "the timer's span", |span| span.name == "handle timer").await;
    assert_eq!((timer.parent.as_str(), timer.failed, timer.get("berth.target")), ("", false, "discord:guild:77"));
    assert_ne!(timer.trace, command.trace);
    let commit = span(&collector, "its commit", |span| span.name == "commit" && span.trace == timer.trace).await;
    let sent = span(&collector, "its call", |span| {
        span.name == "POST" && span.kind == SpanKind::Client && span.trace == timer.trace
    })
    .await;
    assert_eq!((&commit.parent, &sent.parent), (&timer.id, &timer.id));
    assert!(!collector.contains("payload-secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ratio_records_nothing_or_everything_at_its_ends_and_the_collector_gets_its_headers() {
    for (ratio, recorded) in [("0", 0), ("1", 5)] {
        let collector = CollectorDouble::start(Mood::Takes).await;
        let mut cluster = traced(&collector)
            .with("OTEL_TRACES_SAMPLER", "traceidratio")
            .with("OTEL_TRACES_SAMPLER_ARG", ratio)
            .with("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20header-secret,x-tenant=seven")
            .start()
            .await;
        for id in 1..=5 {
            assert_eq!(tell(&cluster, &id.to_string(), json!({}), &[("traceparent", THEIRS)]).await, 200);
        }
        // Whoever stops delivers its last spans.
        cluster.routers[0].stop().await;
        cluster.gateways[0].stop().await;
        for name in ["POST /webhooks/discord", "receive discord_command", "handle discord_command"] {
            let found = collector.spans().iter().filter(|span| span.name == name).count();
            assert_eq!(found, recorded, "{name} at {ratio}");
        }
        if recorded == 0 {
            assert_eq!(collector.asked(), 0);
        } else {
            assert_eq!(
                (collector.header("authorization").as_str(), collector.header("x-tenant").as_str()),
                ("Bearer header-secret", "seven")
            );
            let roles = std::iter::once(&cluster.config).chain(&cluster.gateways).chain(&cluster.routers);
            assert!(roles.into_iter().all(|role| !role.logged("header-secret")), "a secret stays out of the logs");
        }
    }
}
