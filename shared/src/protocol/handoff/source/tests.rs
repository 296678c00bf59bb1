use super::*;

const EPOCH: Epoch = Epoch(7);

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

/// A move that has come to the freeze.
fn frozen() -> Source {
    let (mut source, first) = Source::begin(EPOCH, 1);
    assert_eq!(first, [Output::AwaitCopy]);
    assert_eq!(source.handle(at(0), Input::Turn), [Output::Copy { attempt: 1 }]);
    assert_eq!(source.handle(at(1), Input::Copied(Rest::Changes)), [Output::AwaitFreeze]);
    assert_eq!(source.handle(at(2), Input::Turn), [Output::Freeze]);
    assert_eq!(source.handle(at(3), Input::Froze), [Output::SendRest { rest: Rest::Changes, attempt: 1 }]);
    source
}

#[test]
fn a_move_goes_from_copy_to_drop() {
    let mut source = frozen();
    assert_eq!(source.handle(at(4), Input::Sent), []);
    assert!(source.is_frozen());
    assert_eq!(source.handle(at(5), Input::Told(MoveState::Imported)), []);
    assert_eq!(source.handle(at(6), Input::Told(MoveState::Committed)), [Output::Stop, Output::Release]);
    assert!(!source.is_frozen());
    assert_eq!(source.handle(at(7), Input::Told(MoveState::Committed)), []);
    assert_eq!(source.handle(at(8), Input::Told(MoveState::Cleaned)), [Output::Drop]);
    assert_eq!(source.handle(at(9), Input::Dropped), [Output::Over]);
    assert!(source.is_over());
}

#[test]
fn time_alone_never_unfreezes() {
    let mut source = frozen();
    for hour in 1..1_000 {
        let outputs = source.handle(at(hour * 3_600_000), Input::Tick);
        assert_eq!(outputs, [Output::Report(Said::Frozen { epoch: EPOCH })]);
        assert!(source.is_frozen());
    }
    for input in
        [Input::Lost, Input::Failed("the disk is full".to_owned()), Input::Turn, Input::Unfrozen, Input::Dropped]
    {
        let outputs = source.handle(at(1), input);
        assert!(!outputs.contains(&Output::Unfreeze) && source.is_frozen());
    }
    assert_eq!(source.handle(at(2), Input::Told(MoveState::Aborted)), [Output::Stop, Output::Unfreeze]);
    assert_eq!(source.handle(at(3), Input::Unfrozen), [Output::Over]);
}

#[test]
fn a_quick_freeze_needs_no_report() {
    let mut source = frozen();
    assert_eq!(source.handle(at(100), Input::Tick), []);
    assert_eq!(source.wake_at(), Some(at(203)));
    assert_eq!(source.handle(at(203), Input::Tick), [Output::Report(Said::Frozen { epoch: EPOCH })]);
    assert_eq!(source.wake_at(), Some(at(1_203)));
}

#[test]
fn a_restart_goes_on_from_what_was_recorded() {
    let (mut source, outputs) = Source::resume(at(0), EPOCH, 9, Kept::Frozen);
    assert_eq!(outputs, [Output::SendRest { rest: Rest::Whole, attempt: 9 }]);
    assert!(source.is_frozen());
    assert_eq!(source.handle(at(1), Input::Told(MoveState::Cleaned)), [Output::Stop, Output::Release, Output::Drop]);
    let (mut source, outputs) = Source::resume(at(0), EPOCH, 9, Kept::Released);
    assert_eq!((outputs, source.is_frozen()), (vec![], false));
    assert_eq!(source.handle(at(1), Input::Told(MoveState::Cleaned)), [Output::Drop]);
    assert_eq!(Source::resume(at(0), EPOCH, 9, Kept::Dropping).1, [Output::Drop]);
}

#[test]
fn a_destination_that_lost_everything_gets_everything_again() {
    let (mut source, _) = Source::begin(EPOCH, 1);
    source.handle(at(0), Input::Turn);
    assert_eq!(source.handle(at(1), Input::Lost), [Output::Stop]);
    let again = source.wake_at().expect("it tries again");
    assert_eq!(source.handle(again, Input::Tick), [Output::AwaitCopy]);
    assert_eq!(source.handle(at(900), Input::Turn), [Output::Copy { attempt: 2 }]);
    let mut source = frozen();
    assert_eq!(source.handle(at(4), Input::Lost), [Output::SendRest { rest: Rest::Whole, attempt: 2 }]);
    let mut source = frozen();
    source.stage = Stage::Freezing(Rest::Changes);
    assert_eq!(source.handle(at(4), Input::Lost), []);
    assert_eq!(source.handle(at(5), Input::Froze), [Output::SendRest { rest: Rest::Whole, attempt: 2 }]);
}

#[test]
fn an_aborted_copy_leaves_nothing_behind() {
    let (mut source, _) = Source::begin(EPOCH, 1);
    source.handle(at(0), Input::Turn);
    assert_eq!(source.handle(at(1), Input::Told(MoveState::Aborted)), [Output::Stop, Output::Over]);
    let (mut source, _) = Source::begin(EPOCH, 1);
    source.handle(at(0), Input::Turn);
    let failed = Said::Failed { detail: "it is being erased".to_owned() };
    let failure = Input::Failed("it is being erased".to_owned());
    assert_eq!(source.handle(at(1), failure), [Output::Stop, Output::Report(failed.clone())]);
    assert_eq!(source.handle(at(2_000), Input::Tick), [Output::Report(failed)]);
    assert_eq!(source.handle(at(2_001), Input::Told(MoveState::Aborted)), [Output::Stop, Output::Over]);
}

#[test]
fn nothing_is_let_go_of_that_was_not_frozen_here() {
    let (mut source, _) = Source::begin(EPOCH, 1);
    source.handle(at(0), Input::Turn);
    let outputs = source.handle(at(1), Input::Told(MoveState::Committed));
    assert_eq!(outputs, [Output::Stop, Output::Over]);
}

#[test]
fn a_release_whose_end_was_missed_is_asked_for_until_the_leader_answers() {
    let (mut source, _) = Source::resume(at(0), EPOCH, 9, Kept::Released);
    let asks = [Output::Report(Said::Frozen { epoch: EPOCH })];
    assert_eq!(source.wake_at(), None, "a move that may run is told of");
    assert_eq!(source.handle(at(1), Input::Missed), asks);
    // The first question is lost, and so is the second.
    assert_eq!(source.handle(at(500), Input::Tick), []);
    assert_eq!(source.handle(at(1_001), Input::Tick), asks);
    assert_eq!(source.handle(at(3_001), Input::Tick), asks);
    assert_eq!(source.handle(at(3_002), Input::Told(MoveState::Cleaned)), [Output::Drop]);
    assert_eq!(source.wake_at(), None);
    let (mut source, _) = Source::resume(at(0), EPOCH, 9, Kept::Released);
    assert_eq!(source.handle(at(1), Input::Missed), asks);
    assert_eq!(source.handle(at(2), Input::Told(MoveState::Committed)), []);
    assert_eq!(source.wake_at(), None, "it runs still: nothing is asked any more");
}

#[test]
fn rows_that_were_released_are_kept_when_the_target_is_given_back() {
    let (mut source, _) = Source::resume(at(0), EPOCH, 9, Kept::Released);
    assert_eq!(source.handle(at(1), Input::Told(MoveState::Aborted)), [Output::Over], "nothing is dropped");
    assert_eq!(source.handle(at(2), Input::Told(MoveState::Cleaned)), []);
}

#[test]
fn a_leader_that_knows_the_move_no_more_is_asked_less_and_less_often() {
    let (mut source, _) = Source::resume(at(0), EPOCH, 9, Kept::Released);
    let asks = [Output::Report(Said::Frozen { epoch: EPOCH })];
    assert_eq!(source.handle(at(0), Input::Missed), asks);
    let mut waits = Vec::new();
    let mut now = at(0);
    for _ in 0..9 {
        let next = source.wake_at().expect("it asks for ever");
        waits.push(next.since(now).as_secs());
        now = next;
        assert_eq!(source.handle(now, Input::Tick), asks);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    // A new snapshot of the moves may come from another leader: it is asked at once, and then as before.
    assert_eq!(source.handle(now, Input::Missed), asks);
    assert_eq!(source.wake_at(), Some(now.after(AGAIN)));
}

#[test]
fn a_frozen_target_is_told_of_every_second() {
    let mut source = frozen();
    source.handle(at(203), Input::Tick);
    for asked in 1..100 {
        assert_eq!(
            source.handle(at(203 + asked * 1_000), Input::Tick),
            [Output::Report(Said::Frozen { epoch: EPOCH })]
        );
    }
}

#[test]
fn a_missed_end_ends_only_what_is_not_frozen() {
    let (mut source, _) = Source::begin(EPOCH, 1);
    source.handle(at(0), Input::Turn);
    assert_eq!(source.handle(at(1), Input::Missed), [Output::Stop, Output::Over]);
    let mut source = frozen();
    assert_eq!(source.handle(at(4), Input::Missed), [Output::Report(Said::Frozen { epoch: EPOCH })]);
    assert!(source.is_frozen());
}
