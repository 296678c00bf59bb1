use super::*;

fn event(seq: u64, kind: EventKind, at_ms: u64, body: Option<&str>) -> TailEvent {
    TailEvent {
        seq,
        kind,
        source: "slack".into(),
        id: format!("e{seq}"),
        parent: None,
        received_at: at_ms,
        at_ms,
        headers: vec![("x".into(), "y".into())],
        body: body.map(|body| body.as_bytes().to_vec()),
    }
}

#[test]
fn timers_old_events_and_those_without_payload_stay_and_the_rest_keeps_its_order() {
    let tail = vec![
        event(4, EventKind::SlackEvent, 1_000, Some("a")),
        event(5, EventKind::Timer, 1_000, Some("b")),
        event(6, EventKind::SlackEvent, 999, Some("c")),
        event(7, EventKind::SlackEvent, 1_001, None),
        event(8, EventKind::SlackEvent, 1_001, Some("")),
    ];
    let steps = sorted(tail, 1_000);
    let words: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Send(event) => format!("{} {}", event.seq, event.body),
            Step::Skip(seq, why) => format!("{seq} {why:?}"),
        })
        .collect();
    assert_eq!(words, ["4 YQ==", "5 Timer", "6 TooOld", "7 NoPayload", "8 "]);
}
