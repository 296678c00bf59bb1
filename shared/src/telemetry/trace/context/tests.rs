use super::*;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn the_example_of_the_standard_reads_back() {
    let context: TraceContext = PARENT.parse().expect("valid");
    assert_eq!(context.trace().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(context.span().to_string(), "00f067aa0ba902b7");
    assert!(context.sampled());
    assert_eq!(context.traceparent(), PARENT);
}

#[test]
fn a_later_version_is_read_by_its_first_fields_and_answered_in_ours() {
    let context: TraceContext = PARENT.replacen("00", "cc", 1).parse().expect("valid");
    assert_eq!(context.to_string(), PARENT);
    assert!(format!("cc{}-what-the-future-adds", &PARENT[2..]).parse::<TraceContext>().is_ok());
}

#[test]
fn what_is_no_context_is_refused() {
    for bad in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
    ] {
        assert_eq!(bad.parse::<TraceContext>(), Err(NotAContext), "{bad:?}");
    }
}

#[test]
fn two_parents_are_none() {
    let mut headers = HeaderMap::new();
    headers.append("traceparent", HeaderValue::from_static(PARENT));
    headers.append("tracestate", HeaderValue::from_static("a=1"));
    headers.append("tracestate", HeaderValue::from_static("b=2"));
    let context = TraceContext::from_headers(&headers).expect("one");
    assert_eq!(context.state(), Some("a=1,b=2"));
    headers.append("traceparent", HeaderValue::from_static(PARENT));
    assert_eq!(TraceContext::from_headers(&headers), None);
}

#[test]
fn a_state_that_is_too_long_is_left_out_and_the_parent_stays() {
    let context: TraceContext = PARENT.parse().expect("valid");
    assert_eq!(context.clone().with_state(&"a".repeat(513)).state(), None);
    assert_eq!(context.clone().with_state("a=\n1").state(), None);
    assert_eq!(context.with_state(" a=1 ").state(), Some("a=1"));
}

proptest! {
    #[test]
    fn contexts_read_back_from_text_and_bytes(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), sampled in any::<bool>()) {
        prop_assume!(trace != [0; 16] && span != [0; 8]);
        let context = TraceContext::new(
            TraceId::new(trace).expect("not zero"),
            SpanId::new(span).expect("not zero"),
            sampled,
        );
        prop_assert_eq!(context.to_string().parse(), Ok(context.clone()));
        prop_assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
    }

    #[test]
    fn no_text_crashes_the_reader(text in "\\PC{0,80}") {
        let _ = text.parse::<TraceContext>();
    }
}
