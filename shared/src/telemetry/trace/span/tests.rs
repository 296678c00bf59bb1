use super::*;
use crate::telemetry::trace::{batches::Queue, meters::Meters};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use tokio::sync::mpsc::Receiver;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Makes a tracer, and where its spans arrive.
pub(crate) fn recorder() -> (Tracer, Receiver<SpanData>) {
    let (queue, ended) = Queue::new(100, Meters::default());
    let sampler = Sampler::parent_based(Sampler::AlwaysOn);
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(queue).build();
    (Tracer::new(provider.tracer("test")), ended)
}

#[test]
fn a_tracer_that_is_off_hands_the_context_on_and_computes_nothing() {
    let parent: TraceContext = PARENT.parse().expect("valid");
    let mut span = Tracer::off().start("work", SpanKind::Server, Some(&parent));
    assert_eq!(span.context(), Some(&parent));
    span.describe(|_| panic!("nobody records this"));
    assert_eq!(Tracer::off().start("work", SpanKind::Server, None).context(), None);
}

#[test]
fn a_child_belongs_to_its_parents_trace_and_keeps_the_state() {
    let (tracer, mut ended) = recorder();
    let parent = PARENT.parse::<TraceContext>().expect("valid").with_state("vendor=1");
    let mut span = tracer.start("work", SpanKind::Server, Some(&parent));
    let own = span.context().expect("traced").clone();
    assert_eq!((own.trace(), own.sampled(), own.state()), (parent.trace(), true, Some("vendor=1")));
    assert_ne!(own.span(), parent.span());
    span.describe(|live| {
        live.set("berth.pod", "gateway-0").rename("work on it".to_owned()).fail("no luck");
    });
    drop(span);
    let data = ended.try_recv().expect("ended");
    assert_eq!(data.parent_span_id.to_bytes(), parent.span().bytes());
    assert_eq!((data.name.as_ref(), &data.status), ("work on it", &Status::error("no luck")));
    assert!(data.parent_span_is_remote && data.attributes == [KeyValue::new("berth.pod", "gateway-0")]);
}

#[test]
fn a_trace_that_is_not_recorded_stays_one_and_is_carried_on() {
    let (tracer, mut ended) = recorder();
    let parent: TraceContext = PARENT.replace("-01", "-00").parse().expect("valid");
    let mut span = tracer.start("work", SpanKind::Server, Some(&parent));
    span.describe(|_| panic!("nobody records this"));
    let own = span.context().expect("carried on").clone();
    assert_eq!((own.trace(), own.sampled()), (parent.trace(), false));
    drop(span);
    assert!(ended.try_recv().is_err());
}

#[test]
fn a_linked_span_begins_a_trace_of_its_own() {
    let (tracer, mut ended) = recorder();
    let other: TraceContext = PARENT.parse().expect("valid");
    drop(tracer.start_linked("work", SpanKind::Server, None, [&other]));
    let data = ended.try_recv().expect("ended");
    assert_ne!(data.span_context.trace_id().to_bytes(), other.trace().bytes());
    assert_eq!(data.links.links[0].span_context.span_id().to_bytes(), other.span().bytes());
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    let meters = Meters::default();
    let (queue, mut ended) = Queue::new(2, meters.clone());
    let provider = SdkTracerProvider::builder().with_span_processor(queue).build();
    let tracer = Tracer::new(provider.tracer("test"));
    for _ in 0..5 {
        drop(tracer.start("work", SpanKind::Internal, None));
    }
    assert_eq!(meters.of("queue_full"), 3);
    assert!(ended.try_recv().is_ok());
}

#[test]
fn whoever_is_nearest_to_a_failure_says_what_kind_it_was() {
    let (tracer, mut ended) = recorder();
    let mut span = tracer.start("work", SpanKind::Client, None);
    span.describe(|live| {
        live.fail_as("503").fail_as("retry");
    });
    drop(span);
    let data = ended.try_recv().expect("ended");
    assert_eq!((&data.status, &data.attributes), (&Status::error("503"), &vec![KeyValue::new("error.type", "503")]));
}
