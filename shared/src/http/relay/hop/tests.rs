use super::*;
use crate::telemetry::trace::recorder;

const THEIRS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn request() -> Request<()> {
    let request = Request::get("http://pod.example:3002/g/discord:guild:1/invite/hunter2?key=hunter2");
    request.header(PARENT, THEIRS).header(STATE, "rum=1").body(()).expect("valid")
}

#[test]
fn a_hop_that_is_traced_tells_the_next_one_of_its_own_span() {
    let (tracer, mut ended_spans) = recorder();
    let mut request = request();
    let mut span = begin(&tracer, &mut request);
    let own = span.context().expect("a span").traceparent();
    assert_eq!(request.headers().get(PARENT).and_then(|own| own.to_str().ok()), Some(own.as_str()));
    assert!(!own.contains(&THEIRS[3..35]) && request.headers().get(STATE).is_none());
    ended(&mut span, &Ok(Response::builder().status(404).body(()).expect("valid")));
    drop(span);
    let seen = ended_spans.try_recv().expect("ended");
    let has = |key: &str| seen.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string());
    for (key, value) in [
        ("http.request.method", "GET"),
        ("server.address", "pod.example"),
        ("server.port", "3002"),
        ("http.response.status_code", "404"),
        ("error.type", "404"),
    ] {
        assert_eq!(has(key).as_deref(), Some(value), "{key}");
    }
    assert!(!format!("{seen:?}").contains("hunter2"));
}

#[test]
fn a_hop_that_is_not_traced_changes_nothing() {
    let mut request = request();
    assert!(begin(&Tracer::off(), &mut request).context().is_none());
    assert_eq!(
        (request.headers()[PARENT].as_bytes(), request.headers()[STATE].as_bytes()),
        (THEIRS.as_bytes(), &b"rum=1"[..])
    );
}

#[test]
fn an_answer_that_did_not_come_fails_the_span_in_a_word() {
    let (tracer, mut ended_spans) = recorder();
    let mut span = begin(&tracer, &mut request());
    ended::<()>(&mut span, &Err(Unanswered::Unreached("hunter2".to_owned())));
    drop(span);
    let seen = ended_spans.try_recv().expect("ended");
    assert!(seen.attributes.iter().any(|kv| kv.key.as_str() == "error.type" && kv.value.as_str() == "unreached"));
    assert!(!format!("{seen:?}").contains("hunter2"));
}
