use super::*;
use crate::LeaseId;
use std::time::Duration;

fn target(n: u32) -> TargetId {
    format!("discord:guild:{n}").parse().expect("valid")
}

fn pod(n: u32) -> PodId {
    format!("gateway-{n}").parse().expect("valid")
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn assigned(n: u32, epoch: u64) -> What {
    What::Assigned { target: target(1), pod: pod(n), epoch: Epoch(epoch) }
}

fn acquired(n: u32, epoch: u64) -> What {
    What::Acquired { target: target(1), pod: pod(n), epoch: Epoch(epoch) }
}

fn held(n: u32, until: u64) -> What {
    What::Held { pod: pod(n), until: at(until) }
}

fn applied(n: u32, epoch: u64, event: u64) -> What {
    What::Applied { pod: pod(n), target: target(1), epoch: Epoch(epoch), event }
}

fn acknowledged(event: u64) -> What {
    What::Acknowledged { pod: pod(0), target: target(1), epoch: Epoch(1), event }
}

fn accepted(event: u64) -> What {
    What::Accepted { pod: pod(0), target: target(1), event }
}

fn well(n: u32, yes: bool) -> What {
    What::Well { pod: pod(n), yes }
}

fn buried(n: u32, proven: bool) -> What {
    What::Buried { mark: Mark { pod: pod(n), lease_id: LeaseId(1) }, proven }
}

/// Feeds a history and returns the invariants it breaks, in order.
fn broken(history: &[(u64, What)]) -> Vec<Invariant> {
    let mut checker = Checker::new(Bounds::default());
    history.iter().flat_map(|(ms, what)| checker.handle(at(*ms), what)).map(|violation| violation.invariant).collect()
}

#[test]
fn an_owner_that_is_followed_after_its_lease_breaks_nothing() {
    let history = [
        (0, assigned(0, 1)),
        (0, held(0, 6_000)),
        (10, acquired(0, 1)),
        (20, accepted(7)),
        (30, applied(0, 1, 7)),
        (40, acknowledged(7)),
        (7_000, assigned(1, 2)),
        (7_000, held(1, 13_000)),
        (7_010, acquired(1, 2)),
        (7_020, applied(1, 2, 8)),
    ];
    assert_eq!(broken(&history), []);
}

#[test]
fn two_pods_whose_leases_overlap_are_two_owners() {
    let begin = [(0, assigned(0, 1)), (0, held(0, 6_000)), (0, acquired(0, 1)), (100, assigned(1, 2))];
    let by_acquiring = [(5_000, held(1, 9_000)), (5_999, acquired(1, 2))];
    let by_lease = [(5_000, acquired(1, 2)), (5_999, held(1, 9_000))];
    for end in [by_acquiring, by_lease] {
        assert_eq!(broken(&[&begin[..], &end[..]].concat()), [Invariant::OneOwner]);
    }
    let released = What::Released { pod: pod(0), target: target(1) };
    for gone in [What::Stopped { pod: pod(0) }, What::Restarted { pod: pod(0) }, released] {
        let end = [(5_000, held(1, 9_000)), (5_500, gone), (5_999, acquired(1, 2))];
        assert_eq!(broken(&[&begin[..], &end[..]].concat()), []);
    }
}

#[test]
fn acting_under_an_old_epoch_after_a_newer_one_shows_two_owners() {
    let began = |n, epoch| What::Effect { pod: pod(n), target: target(1), epoch: Epoch(epoch) };
    let history = [(0, assigned(0, 1)), (1, assigned(1, 2)), (2, began(1, 2)), (3, began(0, 1))];
    assert_eq!(broken(&history), [Invariant::OneOwner]);
}

#[test]
fn a_pod_that_may_act_is_not_failed_over_and_does_not_act_for_what_another_was_given() {
    let others: Vec<_> = (0..5).map(|n| (0, well(n, true))).collect();
    let begin = [&others[..], &[(0, assigned(0, 1)), (0, held(0, 6_000)), (0, acquired(0, 1))]].concat();
    let bury = |ms| broken(&[&begin[..], &[(ms, buried(0, false))]].concat());
    assert_eq!(bury(5_999), [Invariant::OneOwner]);
    assert_eq!(bury(6_000), []);
    let began = What::Effect { pod: pod(0), target: target(1), epoch: Epoch(1) };
    assert_eq!(broken(&[&begin[..], &[(1, assigned(1, 2)), (2, began)]].concat()), [Invariant::OneOwner]);
}

#[test]
fn what_does_not_hold_for_broken_clocks_can_be_left_out() {
    let mut checker = Checker::new(Bounds::default());
    checker.ignore(Invariant::OneOwner);
    let began = |n, epoch| What::Effect { pod: pod(n), target: target(1), epoch: Epoch(epoch) };
    for what in [assigned(0, 1), assigned(1, 2), began(1, 2)] {
        checker.handle(at(0), &what);
    }
    assert_eq!(checker.handle(at(1), &began(0, 1)), []);
}

#[test]
fn an_acknowledged_event_that_is_not_there_is_lost() {
    let mut checker = Checker::new(Bounds::default());
    for event in [1, 2] {
        checker.handle(at(0), &acknowledged(event));
    }
    assert_eq!(checker.acknowledged(), 2);
    assert_eq!(checker.holds(at(9), &target(1), |_| 1), []);
    let lost = checker.holds(at(9), &target(1), |event| u64::from(event == 1));
    assert_eq!(lost.iter().map(|violation| violation.invariant).collect::<Vec<_>>(), [Invariant::NothingLost]);
    checker.handle(at(10), &What::Wiped { target: target(1) });
    assert_eq!(checker.holds(at(11), &target(1), |_| 0), []);
}

#[test]
fn an_event_changes_state_once() {
    assert_eq!(broken(&[(0, applied(0, 1, 5)), (1, applied(0, 1, 5))]), [Invariant::NothingTwice]);
    let mut checker = Checker::new(Bounds::default());
    checker.handle(at(0), &acknowledged(1));
    let twice = checker.holds(at(9), &target(1), |_| 2);
    assert_eq!(twice.iter().map(|violation| violation.invariant).collect::<Vec<_>>(), [Invariant::NothingTwice]);
}

#[test]
fn a_copy_that_was_given_up_may_still_be_written() {
    let given_up = vec![
        (0, assigned(1, 1)),
        (10, What::Wiped { target: target(1) }),
        (10, assigned(2, 2)),
        (20, applied(2, 2, 7)),
        // Its disk was slow: the transaction began before it was failed over.
        (30, applied(1, 1, 7)),
    ];
    let said = broken(&given_up);
    assert!(!said.contains(&Invariant::NothingTwice), "{said:?}");
    let twice = [given_up, vec![(40, applied(2, 2, 7))]].concat();
    assert!(broken(&twice).contains(&Invariant::NothingTwice), "in the copy that counts");
    let moved = [(0, assigned(1, 1)), (10, applied(1, 1, 7)), (20, assigned(2, 2)), (30, applied(2, 2, 7))];
    assert!(broken(&moved).contains(&Invariant::NothingTwice), "nobody has given anything up");
}

#[test]
fn what_a_copy_lacks_may_be_applied_again_unless_it_was_acknowledged() {
    let taken = |epoch, holds: &[u64]| What::TakenUp { target: target(1), epoch: Epoch(epoch), holds: holds.to_vec() };
    let before = [(0, assigned(0, 1)), (10, applied(0, 1, 7)), (11, applied(0, 1, 8))];
    let after = [
        (20, assigned(1, 2)),
        (30, taken(2, &[7])),
        // It was not acknowledged, and its sender sends it again.
        (40, applied(1, 2, 8)),
        // The one whose copy was left behind goes on for a moment.
        (50, applied(0, 1, 9)),
        (60, applied(1, 2, 9)),
    ];
    assert_eq!(broken(&[&before[..], &after[..]].concat()), []);
    let again = [&before[..], &after[..], &[(70, applied(1, 2, 7))]].concat();
    assert_eq!(broken(&again), [Invariant::NothingTwice], "it is in the copy");
    let mut checker = Checker::new(Bounds::default());
    for what in [acknowledged(8), taken(2, &[7])] {
        checker.handle(at(0), &what);
    }
    let lost = checker.holds(at(1), &target(1), |event| u64::from(event == 7));
    assert_eq!(lost.first().map(|violation| violation.invariant), Some(Invariant::NothingLost));
}

fn life(n: u32, incarnation: u32) -> Life {
    Life { pod: pod(n), incarnation: format!("00000000-0000-0000-0000-{incarnation:012}").parse().expect("valid") }
}

#[test]
fn what_is_committed_after_the_seal_is_not_acknowledged() {
    let begin = [(0, assigned(0, 1)), (0, What::LineageBegan { life: life(0, 1) }), (1, applied(0, 1, 7))];
    let sealed = [(5, What::Sealed { life: life(0, 1) })];
    let before = [&begin[..], &sealed[..], &[(6, acknowledged(7))]].concat();
    assert_eq!(broken(&before), [], "it was uploaded before");
    let after = [&begin[..], &sealed[..], &[(6, applied(0, 1, 8)), (7, acknowledged(8))]].concat();
    assert_eq!(broken(&after), [Invariant::SealedIsSilent]);
    let next = [(8, What::LineageBegan { life: life(0, 2) }), (9, applied(0, 1, 9)), (10, acknowledged(9))];
    assert_eq!(broken(&[&begin[..], &sealed[..], &next[..]].concat()), [], "another life of it");
}

#[test]
fn a_replica_is_restored_once_by_whoever_keeps_it() {
    let fetched = |n| What::Fetched { by: pod(n), from: life(0, 1) };
    assert_eq!(broken(&[(0, fetched(1)), (1, fetched(2))]), [], "each heir for itself");
    assert_eq!(broken(&[(0, fetched(1)), (1, fetched(1))]), [Invariant::RestoredOnce]);
    for gone in [What::Restarted { pod: pod(1) }, What::Forgotten { by: pod(1), from: life(0, 1) }] {
        assert_eq!(broken(&[(0, fetched(1)), (1, gone), (2, fetched(1))]), []);
    }
}

#[test]
fn epochs_strictly_increase() {
    for epoch in [1, 2] {
        assert_eq!(broken(&[(0, assigned(0, 2)), (1, assigned(1, epoch))])[..1], [Invariant::EpochsIncrease]);
    }
}

#[test]
fn a_pod_acts_under_epochs_that_were_issued_to_it() {
    for act in [applied(1, 1, 1), acquired(1, 1)] {
        assert_eq!(broken(&[(0, assigned(0, 1)), (1, act)]), [Invariant::OwnEpochOnly]);
    }
}

#[test]
fn events_are_applied_in_the_order_of_acceptance() {
    let begin = [(0, accepted(1)), (0, accepted(2)), (0, accepted(3))];
    let right = [(1, applied(0, 1, 1)), (1, applied(0, 1, 2)), (2, accepted(4)), (3, applied(0, 1, 3))];
    assert_eq!(broken(&[&begin[..], &right[..]].concat()), []);
    assert_eq!(broken(&[&begin[..], &[(1, applied(0, 1, 2))]].concat()), [Invariant::OrderKept]);
    // What was refused has no place, what was lost with a process neither unless it had been acknowledged.
    let refused = What::Refused { pod: pod(0), target: target(1), event: 1 };
    assert_eq!(broken(&[&begin[..], &[(1, refused), (2, applied(0, 1, 2))]].concat()), []);
    let restarted = [(1, acknowledged(2)), (1, What::Restarted { pod: pod(0) }), (2, accepted(1))];
    assert_eq!(broken(&[&begin[..], &restarted[..], &[(3, applied(0, 1, 1))]].concat()), [Invariant::OrderKept]);
    assert_eq!(broken(&[&begin[..], &restarted[..], &[(3, applied(0, 1, 2))]].concat()), []);
}

#[test]
fn a_duplicate_that_waits_to_be_answered_loses_its_place_with_its_pod() {
    let done = [(0, accepted(1)), (1, applied(0, 1, 1)), (2, acknowledged(1))];
    let again = [(3, accepted(1)), (3, accepted(2)), (4, What::Restarted { pod: pod(0) })];
    let end = [(5, accepted(2)), (6, applied(0, 1, 2))];
    assert_eq!(broken(&[&done[..], &again[..], &end[..]].concat()), []);
}

#[test]
fn a_target_does_not_stay_with_a_pod_that_is_gone() {
    let begin: Vec<_> = (0..5).map(|n| (0, well(n, true))).chain([(0, What::Plane { yes: true })]).collect();
    let gone = [(1, assigned(0, 1)), (1_000, well(0, false))];
    let late = |ms, more: &[(u64, What)]| broken(&[&begin[..], &gone[..], more, &[(ms, What::Tick)]].concat());
    assert_eq!(late(30_000, &[]), []);
    assert_eq!(late(31_500, &[]), [Invariant::NobodyLeft]);
    assert_eq!(late(31_500, &[(9_000, assigned(1, 2))]), []);
    assert_eq!(late(31_500, &[(2_000, What::Plane { yes: false })]), []);
    // Most are gone: nobody may be failed over at all.
    let most: Vec<_> = (1..2).map(|n| (2_000, well(n, false))).collect();
    assert_eq!(late(600_000, &most), [Invariant::NobodyLeft]);
    let most: Vec<_> = (1..3).map(|n| (2_000, well(n, false))).collect();
    assert_eq!(late(600_000, &most), []);
}

#[test]
fn a_healthy_pod_goes_on_without_a_control_plane() {
    let begin: Vec<_> = (0..3).map(|n| (0, well(n, true))).chain([(0, What::Plane { yes: true })]).collect();
    let alone = [(15_000, held(0, 21_000)), (16_000, What::Plane { yes: false })];
    let over = |more: &[(u64, What)]| broken(&[&begin[..], &alone[..], more, &[(22_000, What::Tick)]].concat());
    assert_eq!(over(&[]), [Invariant::ServesAlone]);
    assert_eq!(over(&[(20_000, held(0, 24_000))]), []);
    assert_eq!(over(&[(17_000, well(1, false))]), []);
}

#[test]
fn most_pods_silent_is_no_reason_to_fail_anybody_over() {
    let begin: Vec<_> = (0..5).map(|n| (0, well(n, true))).collect();
    let gone = |most: u32| (0..most).map(|n| (1_000, well(n, false))).collect::<Vec<_>>();
    let bury = |most, proven| broken(&[&begin[..], &gone(most)[..], &[(20_000, buried(0, proven))]].concat());
    assert_eq!(bury(2, false), []);
    assert_eq!(bury(3, false), [Invariant::NoMassFailover]);
    assert_eq!(bury(3, true), []);
    // Not well, and still there to say that it has fenced the lease.
    let reached = [(2_000, What::Reached { pod: pod(1), yes: true })];
    let history = [&begin[..], &gone(3)[..], &reached[..], &[(20_000, buried(0, false))]].concat();
    assert_eq!(broken(&history), []);
}

#[test]
fn a_witness_that_has_fenced_the_lease_counts_while_it_is_heard() {
    let begin: Vec<_> = (0..5).map(|n| (0, well(n, n > 2))).collect();
    let What::Buried { mark, .. } = buried(0, false) else { unreachable!("it is one") };
    let fenced = (1_000, What::Fenced { by: pod(1), mark });
    let heard = |ms| (ms, What::Heard { pod: pod(1) });
    let end = |more: &[(u64, What)]| broken(&[&begin[..], more, &[(20_000, buried(0, false))]].concat());
    assert_eq!(end(&[fenced.clone(), heard(15_000)]), []);
    assert_eq!(end(&[fenced.clone(), heard(9_000)]), [Invariant::NoMassFailover], "it has been silent since");
    assert_eq!(end(&[heard(15_000)]), [Invariant::NoMassFailover], "it never agreed");
    // Failed over itself, and back as far as answering goes: still a witness.
    let dead = (2_000, buried(1, true));
    assert_eq!(end(&[fenced, dead, heard(15_000)]), []);
}

#[test]
fn a_pod_that_is_back_is_heard_before_it_has_a_lease() {
    let begin: Vec<_> = (0..4).map(|n| (0, well(n, n != 3))).collect();
    let gone = [(1, buried(2, true)), (2, well(1, false))];
    let end = |back: &[(u64, What)]| broken(&[&begin[..], &gone, back, &[(20_000, buried(3, false))]].concat());
    assert_eq!(end(&[]), [Invariant::NoMassFailover], "one of two");
    assert_eq!(end(&[(19_000, What::Returned { pod: pod(2) })]), [], "two of three");
}

#[test]
fn unforced_moves_stay_within_their_budget() {
    let began = |n, forced| What::MoveBegan { target: target(n), forced };
    assert_eq!(broken(&[(0, began(1, false)), (59_000, began(1, false))]), [Invariant::MovesBounded]);
    assert_eq!(broken(&[(0, began(1, false)), (61_000, began(1, false))]), []);
    assert_eq!(broken(&[(0, began(1, true)), (1_000, began(1, true))]), []);
    let many: Vec<_> = (0..61).map(|n| (u64::from(n), began(n, false))).collect();
    assert_eq!(broken(&many), [Invariant::MovesBounded]);
}

#[test]
fn only_the_owner_answers_and_soon() {
    let answered = |n, hops| What::Answered { target: target(1), pod: pod(n), epoch: Epoch(1), hops };
    assert_eq!(broken(&[(0, assigned(0, 1)), (1, answered(0, 3))]), []);
    for wrong in [answered(1, 2), answered(0, 4), What::Parked { requests: 10_001 }] {
        assert_eq!(broken(&[(0, assigned(0, 1)), (1, wrong)]), [Invariant::AnsweredByOwner]);
    }
}

#[test]
fn after_the_last_fault_everybody_agrees() {
    let owned = |n: u32, epoch| Owned { target: target(1), pod: pod(n), epoch: Epoch(epoch) };
    let serves = |n: u32, epoch| View { name: pod(n).to_string(), owned: vec![owned(n, epoch)], serves: true };
    let router = |n: u32, epoch| View { name: "router-0".into(), owned: vec![owned(n, epoch)], serves: false };
    let kinds = |views: &[View]| {
        let broken = disagreements(at(60_000), &[owned(0, 2)], &[], views);
        broken.iter().map(|violation| violation.invariant).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[serves(0, 2), router(0, 2)]), []);
    assert_eq!(kinds(&[serves(0, 2), router(1, 1)]), [Invariant::Converges]);
    assert_eq!(kinds(&[router(0, 2)]), [Invariant::Converges]);
    assert_eq!(kinds(&[serves(0, 2), serves(1, 1)]), [Invariant::Converges, Invariant::OneOwner]);
    assert_eq!(disagreements(at(0), &[owned(0, 2)], &[target(1)], &[]), []);
}

#[test]
fn a_violation_says_what_when_and_by_whom() {
    let mut checker = Checker::new(Bounds { left: Duration::from_secs(1), ..Bounds::default() });
    checker.handle(at(0), &assigned(0, 2));
    let broken = checker.handle(at(1_500), &assigned(1, 2));
    let said = broken.first().expect("broken").to_string();
    assert_eq!(
        said,
        "I4 (EpochsIncrease) at 1.500 s: discord:guild:1 was given to gateway-1 under epoch 2, after epoch 2"
    );
}
