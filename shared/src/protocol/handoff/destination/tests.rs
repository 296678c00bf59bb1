use super::*;

const EPOCH: Epoch = Epoch(7);
const ALL: Imported = Imported { epoch: EPOCH, rows: 3, bytes: 90 };

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn imported() -> Output {
    Output::Report(Said::Imported { epoch: EPOCH, rows: 3, bytes: 90 })
}

fn whole() -> Destination {
    let mut destination = Destination::begin(EPOCH);
    assert_eq!(destination.handle(at(0), Input::Offered { attempt: 1 }), [Output::Import { attempt: 1 }]);
    assert_eq!(destination.handle(at(1), Input::Whole(ALL)), [imported()]);
    destination
}

#[test]
fn a_move_goes_from_offer_to_service() {
    let mut destination = whole();
    assert_eq!(destination.handle(at(2), Input::Told(MoveState::Committed)), [Output::Switch]);
    let serving = Output::Report(Said::Serving { pause_ms: 12 });
    let pause = Duration::from_millis(12);
    assert_eq!(destination.handle(at(3), Input::Switched { pause }), std::slice::from_ref(&serving));
    assert_eq!(destination.handle(at(503), Input::Tick), [serving]);
    assert_eq!(destination.handle(at(504), Input::Told(MoveState::Cleaned)), [Output::Over]);
    assert!(destination.is_over());
}

#[test]
fn nothing_is_switched_before_the_leader_has_committed() {
    let mut destination = whole();
    for input in [
        Input::Tick,
        Input::Told(MoveState::Copying),
        Input::Told(MoveState::Frozen),
        Input::Told(MoveState::Imported),
        Input::Offered { attempt: 5 },
        Input::Whole(ALL),
    ] {
        assert!(!destination.handle(at(900), input).contains(&Output::Switch));
    }
    let mut coming = Destination::begin(EPOCH);
    coming.handle(at(0), Input::Offered { attempt: 1 });
    assert_eq!(coming.handle(at(1), Input::Told(MoveState::Committed)), [], "what is not whole is never switched");
}

#[test]
fn a_later_attempt_takes_the_place_of_an_earlier_one() {
    let mut destination = Destination::begin(EPOCH);
    destination.handle(at(0), Input::Offered { attempt: 2 });
    assert_eq!(destination.handle(at(1), Input::Offered { attempt: 1 }), [Output::Refuse(Refusal::Older)]);
    assert_eq!(destination.handle(at(1), Input::Offered { attempt: 2 }), [Output::Import { attempt: 2 }]);
    assert_eq!(destination.handle(at(2), Input::Offered { attempt: 3 }), [Output::Import { attempt: 3 }]);
    destination.handle(at(3), Input::Whole(ALL));
    assert_eq!(destination.handle(at(4), Input::Offered { attempt: 4 }), [Output::Refuse(Refusal::Whole)]);
}

#[test]
fn what_is_spoiled_or_of_another_release_is_never_said_to_be_imported() {
    let mut destination = Destination::begin(EPOCH);
    destination.handle(at(0), Input::Offered { attempt: 1 });
    let detail = "the checksum differs".to_owned();
    let failed = Output::Report(Said::Failed { detail: detail.clone() });
    assert_eq!(destination.handle(at(1), Input::Spoiled(detail)), std::slice::from_ref(&failed));
    assert_eq!(destination.handle(at(1_000), Input::Tick), [failed]);
    assert_eq!(destination.handle(at(1_001), Input::Offered { attempt: 2 }), [Output::Refuse(Refusal::Over)]);
    assert_eq!(destination.handle(at(1_002), Input::Told(MoveState::Aborted)), [Output::Drop]);
    assert_eq!(destination.handle(at(1_003), Input::Dropped), [Output::Over]);
    let mut other = Destination::begin(EPOCH);
    other.handle(at(0), Input::Offered { attempt: 1 });
    let said = other.handle(at(1), Input::Whole(Imported { epoch: Epoch(6), ..ALL }));
    assert!(matches!(&said[..], [Output::Report(Said::Failed { .. })]), "{said:?}");
}

#[test]
fn a_restart_goes_on_from_what_was_recorded() {
    let (mut destination, outputs) = Destination::resume(at(0), ALL);
    assert_eq!(outputs, [imported()]);
    assert_eq!(destination.handle(at(1), Input::Told(MoveState::Committed)), [Output::Switch]);
    let (mut destination, outputs) = Destination::resume_serving(at(0), EPOCH, Duration::ZERO);
    assert_eq!(outputs, [Output::Report(Said::Serving { pause_ms: 0 })]);
    assert_eq!(destination.handle(at(1), Input::Told(MoveState::Cleaned)), [Output::Over]);
    let mut lost = Destination::begin(EPOCH);
    lost.handle(at(0), Input::Offered { attempt: 1 });
    lost.handle(at(1), Input::Lost);
    assert_eq!(lost.handle(at(2), Input::Offered { attempt: 2 }), [Output::Import { attempt: 2 }]);
}

#[test]
fn an_abort_drops_whatever_came() {
    let mut destination = whole();
    assert_eq!(destination.handle(at(2), Input::Told(MoveState::Aborted)), [Output::Drop]);
    assert_eq!(destination.handle(at(3), Input::Dropped), [Output::Over]);
    assert_eq!(Destination::begin(EPOCH).handle(at(0), Input::Told(MoveState::Aborted)), [Output::Over]);
}

#[test]
fn a_pod_that_is_back_lets_go_of_a_move_whose_target_went_back_to_its_source() {
    let (mut serving, _) = Destination::resume_serving(at(0), EPOCH, Duration::ZERO);
    assert_eq!(serving.handle(at(1), Input::Told(MoveState::Aborted)), [Output::Over]);
    let (mut whole, _) = Destination::resume(at(0), ALL);
    assert_eq!(whole.handle(at(1), Input::Told(MoveState::Aborted)), [Output::Drop]);
}

#[test]
fn a_move_that_was_closed_after_its_commit_leaves_nothing_behind() {
    let mut told_late = whole();
    assert_eq!(told_late.handle(at(2), Input::Told(MoveState::Cleaned)), [Output::Drop]);
    assert_eq!(told_late.handle(at(3), Input::Dropped), [Output::Over]);
    let mut switching = whole();
    switching.handle(at(2), Input::Told(MoveState::Committed));
    assert_eq!(switching.handle(at(3), Input::Told(MoveState::Cleaned)), [Output::Drop]);
    assert_eq!(switching.handle(at(4), Input::Switched { pause: Duration::ZERO }), [], "its target is another's");
    assert_eq!(switching.handle(at(5), Input::Dropped), [Output::Over]);
}
