//! What a collector sees of an event: one trace from the webhook to the calls it led to, whatever happens in between; and
//! that a collector, however bad, is nobody's trouble.

mod hops;
mod lasting;

use berth_tests::{
    Cluster, Setup,
    collector_double::{CollectorDouble, Mood, Seen},
    double::PlatformDouble,
    eventually,
    handler_double::{Asked, HandlerDouble, Says},
    role::Program,
    senders::discord,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);
const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traced(collector: &CollectorDouble) -> Setup {
    Setup { gateways: 1, bot: Program::StoryBot, ..Setup::default() }
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .with("OTEL_BSP_SCHEDULE_DELAY", "20")
        .with("BERTH_HANDLER_RETRY", "50ms")
        .with("BERTH_OUTBOX_PRIVATE", "true")
}

fn owned((address, port): (&str, &str)) -> (String, String) {
    (address.to_owned(), port.to_owned())
}

/// Sends a command that tells the story bot what to do, until it is acknowledged: on a busy machine somebody who waits may be told
/// to try again.
async fn tell(cluster: &Cluster, id: &str, told: Value, headers: &[(&str, &str)]) -> u16 {
    let mut body = discord::command("77", id, "do", &json!([]));
    body.as_object_mut().expect("an object").extend(told.as_object().expect("an object").clone());
    let mut delivery = discord::signed(&cluster.keys, discord::INTERACTIONS, body.to_string().as_bytes());
    delivery.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    cluster.post_until_taken(&delivery, PATIENCE).await.status
}

/// Returns whether this is the webhook's span of a command that was acknowledged.
fn taken(span: &Seen) -> bool {
    span.name == "POST /webhooks/discord" && matches!(span.get("berth.verdict"), "committed" | "duplicate")
}

fn call(host: &str) -> Value {
    json!({"do": "call", "call": {"id": "c1", "method": "POST", "url": format!("http://{host}/hook/path-secret?q=query-secret"),
        "headers": [["authorization", "header-secret"]], "body": "body-secret"}})
}

async fn span(collector: &CollectorDouble, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
    eventually(what, PATIENCE, async || collector.spans().into_iter().find(|span| wanted(span))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_one_trace_from_the_webhook_to_the_call_it_led_to() {
    let (collector, outside) = (CollectorDouble::start(Mood::Takes).await, PlatformDouble::start().await);
    let mut cluster =
        traced(&collector).with("BERTH_OUTBOX_HOSTS", &outside.host()).with("BERTH_OUTBOX_TRACE", "true").start().await;
    assert_eq!(tell(&cluster, "1001", call(&outside.host()), &[]).await, 200);
    eventually("the call has left", PATIENCE, async || (!outside.calls().is_empty()).then_some(())).await;
    // Whoever stops delivers its last spans.
    cluster.routers[0].stop().await;
    cluster.gateways[0].stop().await;
    cluster.config.stop().await;

    let webhook = span(&collector, "the webhook's span", taken).await;
    assert_eq!((webhook.kind, webhook.parent.as_str(), webhook.failed), (SpanKind::Server, "", false));
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/webhooks/discord"),
        ("url.path", "/webhooks/discord"),
        ("http.response.status_code", "200"),
        ("server.address", "127.0.0.1"),
        ("berth.target", "discord:guild:77"),
        ("berth.event.kind", "discord_command"),
        ("berth.event.id", "1001"),
        ("berth.verdict", "committed"),
    ] {
        assert_eq!(webhook.get(key), value, "{key}");
    }
    let all: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == webhook.trace).collect();
    let one = |service: &str, name: &str, kind| {
        let found: Vec<_> = all.iter().filter(|span| span.service() == service && span.name == name).collect();
        assert_eq!(found.len(), 1, "{service} {name} in {all:#?}");
        assert_eq!((found[0].kind, found[0].failed), (kind, false), "{name}");
        found[0]
    };
    let place = one("berth-http-service", "POST /v1/targets/place", SpanKind::Client);
    let placed = one("berth-config-service", "POST /v1/targets/place", SpanKind::Server);
    let forward = one("berth-http-service", "forward", SpanKind::Client);
    let receive = one("berth-gateway", "receive discord_command", SpanKind::Server);
    let queue = one("berth-gateway", "queue", SpanKind::Internal);
    let handle = one("berth-gateway", "handle discord_command", SpanKind::Internal);
    let commit = one("berth-gateway", "commit", SpanKind::Internal);
    let sent = one("berth-gateway", "POST", SpanKind::Client);
    for (child, parent) in [
        (place, &webhook),
        (placed, place),
        (forward, &webhook),
        (receive, forward),
        (queue, receive),
        (handle, receive),
        (commit, receive),
        (sent, handle),
    ] {
        assert_eq!(child.parent, parent.id, "{} below {}", child.name, parent.name);
        assert!(
            child.time.0 >= parent.time.0 && child.time.1 >= child.time.0,
            "{} begins after {}",
            child.name,
            parent.name
        );
    }
    let steady = |span: &Seen| span.name.contains("heartbeat") || span.name.contains("/v1/watch");
    assert!(!collector.spans().iter().any(steady), "what goes on in an idle cluster too is in no trace");
    assert_eq!(receive.resource["service.instance.id"], "gateway-0");
    assert_eq!((receive.get("berth.outcome"), handle.get("berth.attempt")), ("committed", "1"));
    assert_eq!((sent.get("http.request.method"), sent.get("http.response.status_code")), ("POST", "200"));
    assert_eq!(format!("{}:{}", sent.get("server.address"), sent.get("server.port")), outside.host());
    let told =
        outside.calls()[0].headers.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.clone());
    assert_eq!(told, Some(format!("00-{}-{}-01", sent.trace, sent.id)));
    for secret in ["path-secret", "query-secret", "header-secret", "body-secret", "token-1001", "mara"] {
        assert!(!collector.contains(secret), "{secret} is nobody's business");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_asked_over_http_learns_the_span_it_is_asked_in() {
    let collector = CollectorDouble::start(Mood::Takes).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let handler = HandlerDouble::start(move |asked: &Asked| match asked.route.as_str() {
        "GET /v1/describe" => Says::Json(200, json!({"api": ["1"]})),
        _ => {
            let parent = asked.headers.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.clone());
            heard.lock().expect("whole").push(parent);
            Says::Json(200, json!({"reply": {"text": "done"}}))
        }
    });
    let setup = Setup { bot: Program::Berth, ..traced(&collector) };
    // Whoever it is signed in as is nobody's business.
    let url = handler.url().replace("http://", "http://user:url-secret@");
    let cluster = setup.with("BERTH_HANDLER", &url).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[]).await, 200);
    let webhook = span(&collector, "the webhook's span", taken).await;
    let receive = span(&collector, "the owner's span", |span| span.name == "receive discord_command").await;
    let asked = span(&collector, "the question's span", |span| span.name == "handle discord_command").await;
    assert_eq!((asked.kind, &asked.parent, &asked.trace), (SpanKind::Client, &receive.id, &webhook.trace));
    let (address, port) =
        handler.url().trim_start_matches("http://").split_once(':').map(owned).expect("host and port");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("url.full", &format!("{}/v1/events", handler.url())),
        ("server.address", &address),
        ("server.port", &port),
        ("http.response.status_code", "200"),
        ("error.type", ""),
    ] {
        assert_eq!(asked.get(key), value, "{key}");
    }
    assert_eq!(*told.lock().expect("whole"), [Some(format!("00-{}-{}-01", asked.trace, asked.id))]);
    assert!(!collector.contains("url-secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_decide_neither_what_is_recorded_nor_where_unless_they_are_trusted() {
    let collector = CollectorDouble::start(Mood::Takes).await;
    let mut cluster = traced(&collector).start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[("traceparent", THEIRS)]).await, 200);
    let own = span(&collector, "the webhook's span", taken).await;
    assert_ne!(own.trace, THEIRS[3..35]);
    assert_eq!(own.links, [(THEIRS[3..35].to_owned(), THEIRS[36..52].to_owned())]);

    cluster.routers[0].stop().await;
    cluster.routers[0].set("BERTH_TRACE_TRUST", "true");
    cluster.routers[0].start_again();
    cluster.routers[0].ready().await;
    assert_eq!(tell(&cluster, "2", json!({}), &[("traceparent", THEIRS)]).await, 200);
    let joined = span(&collector, "a span of their trace", |span| span.get("berth.event.id") == "2").await;
    assert_eq!((joined.trace.as_str(), joined.links.len()), (&THEIRS[3..35], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_over_and_what_came_twice_lead_back_to_where_it_began() {
    let (collector, outside) = (CollectorDouble::start(Mood::Takes).await, PlatformDouble::start().await);
    outside.answer_with(503);
    let mut cluster = traced(&collector).with("BERTH_OUTBOX_HOSTS", &outside.host()).start().await;
    assert_eq!(tell(&cluster, "1", call(&outside.host()), &[]).await, 200);
    let handle = span(&collector, "the handler's span", |span| span.name == "handle discord_command").await;
    let failed = span(&collector, "the failed call", |span| span.name == "POST" && span.failed).await;
    assert_eq!((failed.get("error.type"), &failed.parent), ("503", &handle.id));
    cluster.gateways[0].kill().await;
    outside.answer_with(200);
    cluster.gateways[0].start_again();
    cluster.gateways[0].ready().await;
    let made = span(&collector, "the call that was made", |span| span.name == "POST" && !span.failed).await;
    assert_eq!((&made.trace, &made.parent), (&handle.trace, &handle.id));
    assert!(made.get("http.request.resend_count").parse::<u32>().is_ok_and(|again| again >= 1), "{made:?}");
    assert!(outside.calls().iter().all(|call| call.headers.iter().all(|(name, _)| name != "traceparent")), "not told");

    assert_eq!(tell(&cluster, "1", call(&outside.host()), &[]).await, 200);
    let again = span(&collector, "the duplicate's span", |span| span.name == "duplicate").await;
    let first = span(&collector, "the first one's span", |span| span.id == handle.parent).await;
    assert_ne!(again.trace, first.trace);
    assert_eq!(again.links, [(first.trace, first.id)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_tried_again_stays_in_its_trace_and_names_its_first_attempt() {
    let collector = CollectorDouble::start(Mood::Takes).await;
    let cluster = traced(&collector).with("BERTH_HANDLER_ATTEMPTS", "2").start().await;
    assert_eq!(tell(&cluster, "1", json!({"do": "retry", "until_ms": u64::MAX}), &[]).await, 200);
    let attempt = |number: &'static str| {
        move |span: &Seen| span.name == "handle discord_command" && span.get("berth.attempt") == number
    };
    let first = span(&collector, "the first attempt", attempt("1")).await;
    let second = span(&collector, "the second attempt", attempt("2")).await;
    assert!(first.failed && second.failed && first.links.is_empty());
    assert_eq!((second.get("error.type"), &second.parent), ("retry", &first.parent));
    assert_eq!(second.links, [(first.trace.clone(), first.id)]);
    assert!(!collector.contains("told to fail"), "the reason stays in the log and the journal");
    // The log leads to the trace.
    eventually("the log says that the event is put aside", PATIENCE, async || {
        let line = cluster.gateways[0].line("event put aside")?;
        let line: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(line["trace_id"], *first.trace);
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_leaves_nothing_and_is_done_all_the_same() {
    let collector = CollectorDouble::start(Mood::Takes).await;
    let mut cluster = traced(&collector).with("OTEL_TRACES_SAMPLER", "always_off").start().await;
    assert_eq!(tell(&cluster, "1", json!({}), &[("traceparent", THEIRS)]).await, 200);
    cluster.routers[0].stop().await;
    cluster.gateways[0].stop().await;
    assert_eq!(collector.asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_collector_costs_spans_and_never_an_event() {
    let collector = CollectorDouble::start(Mood::Hangs).await;
    let mut cluster = traced(&collector)
        .with("OTEL_BSP_MAX_QUEUE_SIZE", "16")
        .with("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
        .with("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
        .with("BERTH_TRACE_FLUSH", "500ms")
        .start()
        .await;
    let mut id = 0;
    for mood in [Mood::Hangs, Mood::Answers(503), Mood::Answers(500), Mood::Answers(302)] {
        collector.becomes(mood);
        for _ in 0..15 {
            id += 1;
            assert_eq!(tell(&cluster, &id.to_string(), json!({}), &[]).await, 200, "{mood:?}");
        }
    }
    let state = cluster.state("discord:guild:77").await.expect("a target");
    assert_eq!(state.applied, id);
    eventually("what was dropped is counted", PATIENCE, async || {
        let dropped = cluster.gateways[0].metric("berth_trace_spans_total", &[("result", "queue_full")]).await;
        (dropped > 0.0).then_some(())
    })
    .await;
    collector.becomes(Mood::Hangs);
    let stopping = Instant::now();
    assert!(cluster.gateways[0].stop().await.success() && cluster.routers[0].stop().await.success());
    assert!(stopping.elapsed() < 20 * SECOND, "stopped after {:?}", stopping.elapsed());
    assert!(collector.spans().is_empty());
}
