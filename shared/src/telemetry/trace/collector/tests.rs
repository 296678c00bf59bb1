use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

fn answer(status: u16, body: Vec<u8>) -> http::Response<Bytes> {
    http::Response::builder().status(status).header("retry-after", "7").body(body.into()).expect("valid")
}

#[test]
fn answers_mean_what_the_protocol_says() {
    assert_eq!(judge(&answer(200, Vec::new())), Sent::Taken { rejected: 0 });
    assert_eq!(judge(&answer(200, b"not protobuf".to_vec())), Sent::Taken { rejected: 0 });
    let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
    let said = ExportTraceServiceResponse { partial_success: Some(partial) };
    assert_eq!(judge(&answer(200, said.encode_to_vec())), Sent::Taken { rejected: 3 });
    for later in [429, 502, 503, 504] {
        let Sent::Later { after, .. } = judge(&answer(later, Vec::new())) else { panic!("{later} may be tried again") };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }
    for never in [400, 401, 413, 500, 302] {
        assert!(matches!(judge(&answer(never, Vec::new())), Sent::Refused(_)), "{never}");
    }
}
