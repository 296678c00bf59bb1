use super::*;
use clap::Parser;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SamplingDecision;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: TraceArgs,
}

fn plan(flags: &[&str]) -> Result<Option<Plan>, String> {
    let line = Line::try_parse_from(["test"].iter().chain(flags)).map_err(|why| why.to_string())?;
    line.args.plan().map_err(|why| why.to_string())
}

fn on(flags: &[&str]) -> Plan {
    let all: Vec<_> = ["--otlp-endpoint", "http://collector:4318"].iter().chain(flags).copied().collect();
    plan(&all).expect("valid").expect("on")
}

#[test]
fn nothing_is_traced_unless_somebody_says_where_to() {
    assert!(plan(&[]).expect("valid").is_none());
    assert!(plan(&["--otlp-endpoint", " "]).expect("valid").is_none());
    for off in [["--traces-exporter", "none"].as_slice(), &["--otel-disabled"]] {
        let flags: Vec<_> = ["--otlp-endpoint", "http://c:4318"].iter().chain(off).copied().collect();
        assert!(plan(&flags).expect("valid").is_none(), "{off:?}");
    }
}

#[test]
fn an_endpoint_for_all_signals_gets_the_path_and_one_for_traces_is_taken_as_it_is() {
    let both = on(&[]);
    assert_eq!((both.base.as_str(), both.path.as_str()), ("http://collector:4318", "/v1/traces"));
    let below = plan(&["--otlp-endpoint", "http://c:1/otel/"]).expect("valid").expect("on");
    assert_eq!((below.base.as_str(), below.path.as_str()), ("http://c:1", "/otel/v1/traces"));
    let own = on(&["--otlp-traces-endpoint", "http://d:2/x?y=1"]);
    assert_eq!((own.base.as_str(), own.path.as_str()), ("http://d:2", "/x?y=1"));
    let bare = on(&["--otlp-traces-endpoint", "http://d:2"]);
    assert_eq!((bare.base.as_str(), bare.path.as_str()), ("http://d:2", "/"));
}

#[test]
fn what_is_not_spoken_is_refused_with_a_remedy() {
    for (flags, says) in [
        (["--otlp-endpoint", "https://c:4318"].as_slice(), "TLS"),
        (&["--otlp-endpoint", "c"], "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (&["--otlp-endpoint", "http://user:hunter2@c"], "without a user"),
        (&["--otlp-endpoint", "http://c", "--otlp-protocol", "grpc"], "only http/protobuf"),
        (&["--otlp-endpoint", "http://c", "--traces-exporter", "zipkin"], "otlp or none"),
        (&["--otlp-endpoint", "http://c", "--traces-sampler", "jaeger_remote"], "expected always_on"),
        (
            &["--otlp-endpoint", "http://c", "--traces-sampler", "traceidratio", "--traces-sampler-arg", "1.1"],
            "from 0 to 1",
        ),
        (&["--otlp-endpoint", "http://c", "--otlp-headers", "a=%zz"], "percent-encoded"),
        (&["--otlp-endpoint", "http://c", "--otlp-headers", "a b=1"], "header"),
    ] {
        let why = plan(flags).expect_err("refused");
        assert!(why.contains(says) && !why.contains("hunter2"), "{flags:?}: {why}");
    }
}

#[test]
fn headers_and_the_description_are_percent_decoded() {
    let plan = on(&[
        "--otlp-headers",
        "authorization=Bearer%20s3cret, x-scope = a%2Cb",
        "--otel-resource-attributes",
        "deployment.environment.name=pr%C3%BCfstand,service.name=mine",
        "--otel-service-name",
        "given",
    ]);
    let headers: Vec<_> = plan.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "Bearer s3cret"), ("x-scope", "a,b")]);
    assert!(!format!("{plan:?}").contains("s3cret"));
    let resource: Vec<_> = plan.resource.iter().map(|kv| (kv.key.as_str(), kv.value.as_str())).collect();
    assert_eq!(resource, [("deployment.environment.name", "prüfstand".into()), ("service.name", "given".into())]);
}

#[test]
fn times_are_read_with_a_unit_and_as_plain_milliseconds() {
    assert_eq!(milliseconds("1500"), Ok(Duration::from_millis(1_500)));
    assert_eq!(milliseconds("2s"), Ok(Duration::from_secs(2)));
    assert!(milliseconds("soon").is_err());
}

#[test]
fn samplers_decide_as_their_names_say() {
    let decides = |flags: &[&str]| {
        let trace = opentelemetry::TraceId::from_bytes([0xff; 16]);
        on(flags).sampler.should_sample(None, trace, "x", &SpanKind::Server, &[], &[]).decision
    };
    assert_eq!(decides(&[]), SamplingDecision::RecordAndSample);
    assert_eq!(decides(&["--traces-sampler", "always_on"]), SamplingDecision::RecordAndSample);
    assert_eq!(decides(&["--traces-sampler", "always_off"]), SamplingDecision::Drop);
    assert_eq!(decides(&["--traces-sampler", "parentbased_always_off"]), SamplingDecision::Drop);
    for name in ["traceidratio", "parentbased_traceidratio"] {
        assert_eq!(decides(&["--traces-sampler", name]), SamplingDecision::RecordAndSample);
        assert_eq!(decides(&["--traces-sampler", name, "--traces-sampler-arg", "0"]), SamplingDecision::Drop);
    }
}
