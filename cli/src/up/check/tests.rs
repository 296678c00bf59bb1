use super::*;

fn case() -> Case {
    let made = Made::fresh().expect("made");
    let moment = Moment::now(None, None).expect("a moment");
    cases(&made, &moment).expect("cases").swap_remove(0)
}

fn state(case: &Case, applied: u64, duplicates: u64) -> TargetState {
    TargetState {
        target: case.target.clone(),
        pod: "gateway-0".parse().expect("a name"),
        epoch: shared::Epoch(1),
        applied,
        duplicates,
        last_event_id: case.event_id.clone(),
        journal_seq: 1,
    }
}

#[test]
fn a_duplicate_that_was_applied_fails_the_check() {
    let case = case();
    assert!(state_is_right(&case, &state(&case, 1, 1), 2).is_ok());
    for (applied, duplicates) in [(2, 0), (1, 0), (0, 2), (1, 2)] {
        assert!(state_is_right(&case, &state(&case, applied, duplicates), 2).is_err(), "{applied} {duplicates}");
    }
    let other = TargetState { last_event_id: Some("another".into()), ..state(&case, 1, 1) };
    assert!(state_is_right(&case, &other, 2).is_err());
    // Sent once more since nobody answered in time: it may have been committed all the same.
    for duplicates in [1, 2] {
        assert!(state_is_right(&case, &state(&case, 1, duplicates), 3).is_ok(), "{duplicates}");
    }
    assert!(state_is_right(&case, &state(&case, 2, 1), 3).is_err());
}

#[test]
fn only_who_is_told_so_comes_again() {
    let answer = |status: u16, body: &str| {
        Response::builder().status(status).body(Bytes::copy_from_slice(body.as_bytes())).expect("an answer")
    };
    assert!(is_to_come_again(&answer(503, "")));
    for text in [REFUSAL_TEXT, UNSURE_TEXT] {
        assert!(is_to_come_again(&answer(200, &format!(r#"{{"data":{{"content":"{text}"}}}}"#))));
    }
    assert!(
        !is_to_come_again(&answer(200, r#"{"data":{"content":"3 messages"}}"#)) && !is_to_come_again(&answer(500, ""))
    );
}

#[test]
fn an_answer_without_the_handlers_words_fails_the_check() {
    let answer = |status: u16, body: &'static str| {
        Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).expect("an answer")
    };
    let wanted = Expected::Text("/data/content");
    assert!(expected(wanted, &answer(200, r#"{"type":4,"data":{"content":"3 messages"}}"#)).is_ok());
    for (status, body) in [(503, r#"{"data":{"content":"x"}}"#), (200, r#"{"type":5}"#), (200, "not JSON")] {
        assert!(expected(wanted, &answer(status, body)).is_err(), "{status} {body}");
    }
    assert!(expected(Expected::Status(204), &answer(200, "")).is_err());
}

#[test]
fn every_platform_is_checked_with_a_target_of_its_own() {
    let made = Made::fresh().expect("made");
    let cases = cases(&made, &Moment::now(None, None).expect("a moment")).expect("cases");
    let mut targets: Vec<_> = cases.iter().map(|case| case.target.clone()).collect();
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), cases.len());
}
