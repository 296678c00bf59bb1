use super::*;
use shared::event::OutboxCall;

fn claimed(idempotent: bool, attempts: u32) -> Claimed {
    let call = OutboxCall {
        id: "1".into(),
        method: "POST".into(),
        url: "https://x".into(),
        headers: vec![],
        body: String::new(),
    };
    Claimed { call, idempotent, attempts, created_ms: 1_000_000, trace: None }
}

fn after(attempt: Attempt, idempotent: bool, attempts: u32, age_s: u64) -> Settled {
    verdict(attempt, &claimed(idempotent, attempts), 1_000_000 + age_s * 1_000, Duration::from_secs(86_400))
}

fn answered(status: u16) -> Attempt {
    Attempt::Answered { status, retry_after: None }
}

#[test]
fn what_cannot_get_better_is_put_aside_and_what_can_is_tried_again() {
    assert_eq!(after(answered(204), false, 1, 0), Settled::Sent);
    for status in [301, 400, 401, 403, 404, 410, 422] {
        assert!(matches!(after(answered(status), true, 1, 0), Settled::Dead { .. }), "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503] {
        assert!(matches!(after(answered(status), false, 1, 0), Settled::Again { .. }), "{status}");
        assert!(matches!(after(answered(status), false, 1, 90_000), Settled::Dead { .. }), "{status}");
    }
}

#[test]
fn a_call_whose_outcome_is_unknown_is_made_twice_only_when_that_does_no_harm() {
    let unknown = || Attempt::Unknown("cut".into());
    assert!(matches!(after(unknown(), true, 1, 0), Settled::Again { .. }));
    assert!(matches!(after(unknown(), false, 1, 0), Settled::Uncertain { .. }));
    assert!(matches!(after(Attempt::NotSent("refused".into()), false, 1, 0), Settled::Again { .. }));
}

#[test]
fn waits_double_and_the_receiver_may_ask_for_its_own() {
    let next = |settled| match settled {
        Settled::Again { next_ms, .. } => next_ms - 1_000_000,
        other => panic!("{other:?}"),
    };
    assert_eq!([1, 2, 3, 40].map(|n| next(after(answered(500), true, n, 0))), [1_000, 2_000, 4_000, 600_000]);
    let asked = |s| Attempt::Answered { status: 429, retry_after: Some(Duration::from_secs(s)) };
    assert_eq!(next(after(asked(30), true, 1, 0)), 30_000);
    assert_eq!(next(after(asked(999_999), true, 1, 0)), 3_600_000);
}
