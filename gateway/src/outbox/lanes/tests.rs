use super::*;
use std::time::Duration;

const T0: Mono = Mono::from_nanos(1_000_000_000);

fn target(id: u32) -> TargetId {
    format!("slack:guild:T{id}").parse().expect("valid")
}

fn call(seq: u64, host: &str) -> Queued {
    let (host, mode) = (host.into(), Acknowledge::Local);
    Queued { seq, host, not_before: T0, interrupted: false, idempotent: true, mode, discord: None, kept: false }
}

fn take(lanes: &mut Lanes, now: Mono) -> Option<u64> {
    lanes.next(now).map(|(_, call)| call.seq)
}

#[test]
fn a_target_has_one_call_out_at_a_time_and_targets_go_beside_each_other() {
    let mut lanes = Lanes::default();
    lanes.push(&target(1), [call(1, "a"), call(2, "a")]);
    lanes.push(&target(2), [call(1, "a")]);
    assert!(lanes.next(T0).is_some() && lanes.next(T0).is_some());
    assert_eq!(take(&mut lanes, T0), None);
    lanes.over(&target(1), 1);
    assert_eq!(take(&mut lanes, T0), Some(2));
    assert_eq!(lanes.waiting(), 2);
}

#[test]
fn a_host_that_has_to_wait_holds_up_only_its_own_calls() {
    let mut lanes = Lanes::default();
    lanes.push(&target(1), [call(1, "a"), call(2, "a"), call(3, "b")]);
    assert_eq!(take(&mut lanes, T0), Some(1));
    let later = T0.after(Duration::from_secs(5));
    lanes.again(&target(1), 1, later);
    assert_eq!(take(&mut lanes, T0), Some(3));
    lanes.over(&target(1), 3);
    assert_eq!((take(&mut lanes, T0), lanes.next_at()), (None, Some(later)));
    assert_eq!(take(&mut lanes, later), Some(1));
    lanes.over(&target(1), 1);
    assert_eq!(take(&mut lanes, later), Some(2));
}

#[test]
fn a_call_that_could_not_begin_is_still_one_that_was_interrupted() {
    let mut lanes = Lanes::default();
    lanes.push(&target(1), [Queued { interrupted: true, ..call(1, "a") }]);
    let later = T0.after(Duration::from_secs(1));
    assert_eq!(take(&mut lanes, T0), Some(1));
    lanes.waits(&target(1), 1, later);
    assert!(lanes.next(later).is_some_and(|(_, call)| call.interrupted));
    lanes.again(&target(1), 1, later);
    assert!(lanes.next(later).is_some_and(|(_, call)| !call.interrupted));
}

#[test]
fn a_call_put_off_by_a_wall_clock_that_was_wrong_waits_an_hour_at_most() {
    let put_off = |next_ms| {
        let (id, method, url) = ("1".to_owned(), "POST".to_owned(), "https://a.example/".to_owned());
        let call = shared::event::OutboxCall { id, method, url, headers: vec![], body: String::new() };
        let open = OpenCall { next_ms, ..OpenCall::new(1, &call, false) };
        Queued::new(open, None, Acknowledge::Local, T0, 1_000).not_before
    };
    assert_eq!(put_off(0), T0);
    assert_eq!(put_off(3_000), T0.after(Duration::from_secs(2)));
    assert_eq!(put_off(u64::MAX), T0.after(Duration::from_secs(3_600)));
}

#[test]
fn a_target_that_is_gone_sends_nothing_more() {
    let mut lanes = Lanes::default();
    lanes.push(&target(1), [call(1, "a"), call(2, "a")]);
    assert_eq!(take(&mut lanes, T0), Some(1));
    lanes.drop_target(&target(1));
    lanes.over(&target(1), 1);
    assert_eq!((take(&mut lanes, T0), lanes.waiting(), lanes.next_at()), (None, 0, None));
}

#[test]
fn a_call_whose_turn_is_later_keeps_its_place_and_holds_up_no_other_host() {
    let mut lanes = Lanes::default();
    lanes.push(&target(1), [call(1, "a"), call(2, "a"), call(3, "b")]);
    assert_eq!(take(&mut lanes, T0), Some(1));
    let at = T0.after(Duration::from_secs(1));
    lanes.waits_for(&target(1), 1, Turn { at, kept: true });
    assert_eq!(take(&mut lanes, T0), Some(3));
    lanes.over(&target(1), 3);
    let turn = lanes.next(at).map(|(_, call)| (call.seq, call.kept));
    assert_eq!(turn, Some((1, true)));
    lanes.again(&target(1), 1, at);
    assert_eq!(lanes.next(at).map(|(_, call)| (call.seq, call.kept)), Some((1, false)), "it was made, and is behind");
}
