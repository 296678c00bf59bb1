use super::*;
use crate::telemetry::trace::recorder;
use axum::{body::Body, response::IntoResponse, routing::post};
use opentelemetry::trace::{SpanKind as Kind, Status};
use tower::ServiceExt;

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn router(tracer: &Tracer, trust: Trust) -> Router {
    let handler = async |request: Request| {
        let own = TraceContext::current().expect("current while it is handled").to_string();
        let mut response = own.into_response();
        if request.headers().contains_key("x-fail") {
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        }
        response.extensions_mut().insert(Facts(vec![("berth.target", "discord:guild:1".into())]));
        response
    };
    traced(Router::new().route("/webhooks/{source}", post(handler)), tracer, trust)
}

fn request(headers: &[(&str, &str)]) -> Request {
    let mut request = Request::post("/webhooks/discord?token=hunter2").header("host", "berth.example:3000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from("hunter2")).expect("valid")
}

#[tokio::test]
async fn a_request_becomes_a_server_span_that_holds_no_query_and_no_body() {
    let (tracer, mut ended) = recorder();
    let answer = router(&tracer, Trust::Nobody).oneshot(request(&[])).await.expect("infallible");
    assert_eq!(answer.status(), 200);
    let span = ended.try_recv().expect("ended");
    assert_eq!((span.name.as_ref(), &span.span_kind), ("POST /webhooks/{source}", &Kind::Server));
    assert_eq!(span.status, Status::Unset);
    let has = |key: &str| span.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string());
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/webhooks/{source}"),
        ("url.path", "/webhooks/discord"),
        ("url.scheme", "http"),
        ("server.address", "berth.example"),
        ("server.port", "3000"),
        ("http.response.status_code", "200"),
        ("berth.target", "discord:guild:1"),
    ] {
        assert_eq!(has(key).as_deref(), Some(value), "{key}");
    }
    assert!(!format!("{span:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_a_path_holds_is_recorded_only_where_a_route_knows_all_of_it() {
    let (tracer, mut ended) = recorder();
    let whatever = || Router::new().route("/g/{*rest}", post(async || ()));
    let pages = || traced_as("/g/{target}/{*rest}", whatever(), &tracer, Trust::Nobody);
    let plain = || traced(whatever(), &tracer, Trust::Nobody);
    for (router, path, name) in [
        (pages(), "/g/discord:guild:1/hunter2", "POST /g/{target}/{*rest}"),
        (plain(), "/g/discord:guild:1/hunter2", "POST /g/{*rest}"),
        (plain(), "//g/hunter2", "POST"),
    ] {
        let request = Request::post(path).body(Body::empty()).expect("valid");
        let _ = router.oneshot(request).await.expect("infallible");
        let span = ended.try_recv().expect("ended");
        assert_eq!(span.name, name);
        assert!(!format!("{span:?}").contains("hunter2"), "{path}");
    }
}

#[tokio::test]
async fn a_route_that_is_left_out_is_served_without_a_span() {
    let (tracer, mut ended) = recorder();
    let both = Router::new().route("/beat/{pod}", post(async || "heard")).route("/place", post(async || ()));
    let router = traced_without(&["/beat/{pod}"], both, &tracer, Trust::Caller);
    let ask = |path: &str| Request::post(path).header("traceparent", THEIRS).body(Body::empty()).expect("valid");
    let heard = router.clone().oneshot(ask("/beat/gateway-0")).await.expect("infallible");
    assert_eq!(heard.status(), 200);
    let _ = router.oneshot(ask("/place")).await.expect("infallible");
    assert_eq!(ended.try_recv().expect("ended").name, "POST /place");
    assert!(ended.try_recv().is_err(), "the other one has none");
}

#[tokio::test]
async fn a_strangers_trace_is_named_and_not_joined() {
    let (tracer, mut ended) = recorder();
    for trust in [Trust::Nobody, Trust::Caller] {
        let _ = router(&tracer, trust).oneshot(request(&[("traceparent", THEIRS)])).await.expect("infallible");
        let span = ended.try_recv().expect("ended");
        let joined = THEIRS.contains(&span.span_context.trace_id().to_string());
        assert_eq!((joined, span.links.links.len()), if trust == Trust::Caller { (true, 0) } else { (false, 1) });
    }
}

#[tokio::test]
async fn a_failure_of_the_server_fails_the_span() {
    let (tracer, mut ended) = recorder();
    let _ = router(&tracer, Trust::Nobody).oneshot(request(&[("x-fail", "1")])).await.expect("infallible");
    assert_eq!(ended.try_recv().expect("ended").status, Status::error("Bad Gateway"));
}

#[tokio::test]
async fn a_strange_method_does_not_become_a_name() {
    assert_eq!(known(&http::Method::from_bytes(b"HUNT").expect("valid")), "_OTHER");
    assert_eq!(known(&http::Method::PATCH), "PATCH");
}
