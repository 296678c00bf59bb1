use super::*;
use crate::{Epoch, Revision};
use proptest::prelude::*;

const BUDGET: Duration = Duration::from_millis(2_500);

fn there(epoch: u64) -> Whereabouts {
    let pod = "gateway-0".parse().expect("a pod");
    Whereabouts::At(Located { pod, epoch: Epoch(epoch), revision: Revision(epoch) })
}

fn not_owner() -> Input {
    Input::Outcome(Outcome::NotOwner { owner: None, epoch: Epoch(9) })
}

fn committed(duplicate: bool) -> Input {
    Input::Outcome(Outcome::Committed { answer: Answer::empty(204), duplicate })
}

fn lost(sent: bool) -> Input {
    Input::Lost { sent, pod: "gateway-0".parse().expect("a pod") }
}

/// Feeds inputs, one each 10 ms, and returns what was done.
fn steps(inputs: Vec<Input>) -> Vec<&'static str> {
    let mut journey = Journey::new(BUDGET);
    inputs
        .into_iter()
        .zip(0_u64..)
        .map(|(input, at)| match journey.next(input, Duration::from_millis(at * 10)) {
            Step::Forward(_) => "forward",
            Step::Place => "place",
            Step::Wait { .. } => "wait",
            Step::Answer { duplicate: false, .. } => "answer",
            Step::Answer { duplicate: true, .. } => "answer again",
            Step::GiveUp { unsure: false, .. } => "refuse",
            Step::GiveUp { unsure: true, .. } => "unsure",
        })
        .collect()
}

#[test]
fn a_known_target_goes_straight_to_its_owner() {
    assert_eq!(steps(vec![Input::Located(there(1)), committed(false)]), ["forward", "answer"]);
    assert_eq!(steps(vec![Input::Located(there(1)), committed(true)]), ["forward", "answer again"]);
}

#[test]
fn an_unknown_target_is_placed_first() {
    let first = vec![Input::Located(Whereabouts::Unknown), Input::Placed(there(1)), committed(false)];
    assert_eq!(steps(first), ["place", "forward", "answer"]);
}

#[test]
fn before_the_first_table_nothing_is_placed() {
    assert_eq!(steps(vec![Input::Located(Whereabouts::NotLoaded), Input::Located(there(1))]), ["wait", "forward"]);
}

#[test]
fn not_owner_is_refreshed_and_tried_once_and_then_parked() {
    let inputs = vec![
        Input::Located(there(1)),
        not_owner(),
        Input::Placed(there(2)),
        not_owner(),
        Input::Located(there(2)),
        not_owner(),
        Input::Placed(there(3)),
        committed(false),
    ];
    assert_eq!(steps(inputs), ["forward", "place", "forward", "wait", "forward", "place", "forward", "answer"]);
}

#[test]
fn an_owner_that_cannot_act_just_now_is_waited_for() {
    for outcome in [
        Outcome::NotServing { detail: String::new() },
        Outcome::Busy { retry_after_ms: 40 },
        Outcome::NotCommitted { detail: String::new() },
        Outcome::Late,
    ] {
        assert_eq!(steps(vec![Input::Located(there(1)), Input::Outcome(outcome)]), ["forward", "wait"]);
    }
    assert_eq!(
        steps(vec![Input::Located(there(1)), lost(true), Input::Located(there(1))]),
        ["forward", "wait", "forward"]
    );
    let refused = Input::Unplaced(PlaceFailed::Refused { code: "no-ready-pod".to_owned() });
    assert_eq!(steps(vec![Input::Located(Whereabouts::Unknown), refused]), ["place", "wait"]);
}

#[test]
fn a_lost_link_is_waited_for_by_name() {
    let mut journey = Journey::new(BUDGET);
    let Step::Wait { link, .. } = journey.next(lost(false), Duration::ZERO) else { panic!("waits") };
    assert_eq!(link, Some("gateway-0".parse().expect("a pod")));
}

#[test]
fn busy_is_asked_again_when_it_said() {
    let mut journey = Journey::new(BUDGET);
    for (said, waited) in [(40, 40), (0, 5), (60_000, 2_000)] {
        let busy = Input::Outcome(Outcome::Busy { retry_after_ms: said });
        let expected = Step::Wait { most: Duration::from_millis(waited), link: None };
        assert_eq!(journey.next(busy, Duration::ZERO), expected, "{said}");
    }
}

#[test]
fn a_failing_disk_is_asked_less_and_less() {
    let mut journey = Journey::new(Duration::from_secs(60));
    let pauses: Vec<_> = (0..8)
        .map(|_| match journey.next(Input::Outcome(Outcome::NotCommitted { detail: String::new() }), Duration::ZERO) {
            Step::Wait { most, .. } => most.as_millis(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
}

#[test]
fn what_was_sent_and_not_answered_is_not_called_unchanged() {
    assert_eq!(steps(vec![Input::Located(there(1)), Input::Expired { sent: true }]), ["forward", "unsure"]);
    assert_eq!(steps(vec![Input::Located(there(1)), Input::Expired { sent: false }]), ["forward", "refuse"]);
    for doubt in [lost(true), Input::Outcome(Outcome::Late)] {
        // A later "I did nothing" says nothing about the first attempt.
        let inputs = vec![doubt, Input::Located(there(1)), not_owner(), Input::Expired { sent: false }];
        assert_eq!(steps(inputs).last(), Some(&"unsure"));
    }
}

#[test]
fn over_the_bounds_it_is_refused_at_once() {
    assert_eq!(steps(vec![Input::NoRoom]), ["refuse"]);
    assert_eq!(steps(vec![Input::TooLarge]), ["refuse"]);
    assert_eq!(steps(vec![Input::Unplaced(PlaceFailed::Full)]), ["refuse"]);
}

fn any_input() -> impl Strategy<Value = (bool, u8)> {
    (any::<bool>(), 0_u8..14)
}

fn input((flag, kind): (bool, u8)) -> Input {
    match kind {
        0 => Input::Located(there(1)),
        1 => Input::Located(Whereabouts::Unknown),
        2 => Input::Located(Whereabouts::NotLoaded),
        3 => Input::Placed(there(2)),
        4 => Input::Placed(Whereabouts::Unknown),
        5 => Input::Unplaced(PlaceFailed::Unreachable),
        6 => not_owner(),
        7 => Input::Outcome(Outcome::NotServing { detail: String::new() }),
        8 => Input::Outcome(Outcome::Busy { retry_after_ms: 3 }),
        9 => Input::Outcome(Outcome::NotCommitted { detail: String::new() }),
        10 => Input::Outcome(Outcome::Late),
        11 => Input::NoRoom,
        12 => Input::Expired { sent: flag },
        _ => lost(flag),
    }
}

proptest! {
    #[test]
    fn there_is_never_a_success_without_committed(
        inputs in prop::collection::vec(any_input(), 1..40),
        pace_ms in 0_u64..200,
    ) {
        let mut journey = Journey::new(BUDGET);
        for (given, at) in inputs.into_iter().zip(0_u64..) {
            let elapsed = Duration::from_millis(at * pace_ms);
            let step = journey.next(input(given), elapsed);
            let (answered, gave_up) = (matches!(step, Step::Answer { .. }), matches!(step, Step::GiveUp { .. }));
            prop_assert!(!answered);
            // When the time is over there is nothing left to do but to say so.
            prop_assert!(elapsed < BUDGET || gave_up);
        }
        let committed = journey.next(committed(false), BUDGET * 2);
        let answered = matches!(committed, Step::Answer { .. });
        prop_assert!(answered, "committed is committed, however late");
    }
}
