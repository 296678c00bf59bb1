use super::*;
use proptest::prelude::*;

fn request(body: Vec<u8>, headers: Vec<(String, String)>) -> Request {
    let event = Event {
        target: "discord:channel:7".parse().expect("valid"),
        parent: Some("discord:guild:1".parse().expect("valid")),
        platform: crate::Platform::Discord,
        kind: EventKind::DiscordCommand,
        source: "discord".into(),
        id: "e".into(),
        received_at: 1_700_000_000_123,
        headers,
        body: body.into(),
    };
    Request { event, epoch: Epoch::first(3), revision: Revision(9), deadline_ms: 2_500, trace: None }
}

fn traced(state: Option<&str>) -> Request {
    let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
    Request { trace: Some(trace.with_state(state.unwrap_or_default())), ..request(vec![], vec![]) }
}

fn frames(body: Vec<u8>, headers: Vec<(String, String)>) -> Vec<Frame> {
    let answer = Answer { status: 200, headers: headers.clone(), body: body.clone().into() };
    let outcomes = [
        Outcome::Committed { answer, duplicate: true },
        Outcome::NotOwner { owner: Some("gateway-1".parse().expect("valid")), epoch: Epoch(5) },
        Outcome::NotOwner { owner: None, epoch: Epoch(0) },
        Outcome::NotServing { detail: "lease over".into() },
        Outcome::Busy { retry_after_ms: 40 },
        Outcome::NotCommitted { detail: "disk full".into() },
        Outcome::Late,
    ];
    let window = Window { requests: 7, bytes: 8 };
    let mut all = vec![
        Frame::Hello { hello: Hello { min: 1, max: 2 }, name: "gateway-0".into(), window },
        Frame::Request { stream: 1, request: Box::new(request(body, headers)) },
        Frame::Request { stream: 2, request: Box::new(traced(None)) },
        Frame::Request { stream: 3, request: Box::new(traced(Some("vendor=1"))) },
        Frame::Cancel { stream: 1 },
        Frame::Ping,
        Frame::Pong,
        Frame::Goaway,
    ];
    all.extend(
        outcomes.into_iter().zip(2_u32..).map(|(outcome, stream)| Frame::Reply { stream, outcome: Box::new(outcome) }),
    );
    all
}

proptest! {
    #[test]
    fn every_frame_reads_back_however_it_is_cut(
        body in prop::collection::vec(any::<u8>(), 0..300),
        value in "[^\u{0}]{0,20}",
        cut in 1_usize..50,
    ) {
        let sent = frames(body, vec![("x-a".into(), value)]);
        let mut wire = BytesMut::new();
        sent.iter().for_each(|frame| {
            let before = wire.len();
            encode(frame, &mut wire);
            if let Frame::Request { request, .. } = frame {
                assert_eq!(wire.len() - before, HEAD + request_len(request));
            }
        });
        let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
        for piece in wire.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = decode(&mut buffer, 10_000).expect("well formed") {
                got.push(frame);
            }
        }
        prop_assert_eq!(got, sent);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn no_bytes_crash_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(&mut buffer, 1_000) {}
    }
}

#[test]
fn a_field_of_a_newer_peer_is_skipped() {
    let mut wire = BytesMut::new();
    encode(&Frame::Reply { stream: 4, outcome: Box::new(Outcome::Late) }, &mut wire);
    field(&mut wire, 200, b"from the future");
    let length = u32::try_from(wire.len() - HEAD).expect("small");
    wire[..4].copy_from_slice(&length.to_le_bytes());
    let frame = decode(&mut wire, 1_000).expect("well formed");
    assert_eq!(frame, Some(Frame::Reply { stream: 4, outcome: Box::new(Outcome::Late) }));
}

#[test]
fn a_frame_over_the_limit_is_refused_before_its_bytes_arrive() {
    let mut wire = BytesMut::new();
    encode(&Frame::Request { stream: 1, request: Box::new(request(vec![0; 500], vec![])) }, &mut wire);
    let mut head = BytesMut::from(&wire[..HEAD]);
    assert!(matches!(decode(&mut head, 100), Err(LinkError::TooLong { limit: 100, .. })));
}
