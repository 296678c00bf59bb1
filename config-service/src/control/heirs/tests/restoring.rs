//! What dead pods had, restored from their replicas by those who got their targets.

use super::*;
use crate::domain::RestoreWhen;
use shared::Mono;
use shared::wire::control::{MAX_RESTORED, Restored, RestoredTaken};
use shared::wire::handoff::{Move, MoveState};
use std::time::Duration;
use tokio::sync::oneshot;

const PLACE: &str = "s3://replicas/berth";

fn with_replica(record: PodRecord) -> PodRecord {
    PodRecord { replica: Some(PLACE.to_owned()), ..record }
}

fn at_once(seconds: u64) -> Terms {
    Terms { when: RestoreWhen::AtOnce, now: Mono::ZERO.after(Duration::from_secs(seconds)), wall_ms: 0 }
}

/// Pod 0 is dead with targets 1 to 3, which it served under those epochs; pods 1 and 2 have the same place for replicas.
fn dead_with_three() -> Model {
    let pods = vec![with_replica(dead(0)), with_replica(record(1)), with_replica(record(2))];
    model(1, pods, (1..=3).map(|n| at(target(n), 0, n)).collect())
}

/// Lets everything happen that is due under these terms.
fn pass(model: &mut Model, heirs: &mut Heirs, terms: Terms, ready: &[u64], room: usize) -> usize {
    let (mut rows, policy) = (0, Policy::default());
    for _ in 0..100 {
        let mut batch = Batch::default();
        let fleet = || Fleet { candidates: candidates(ready), policy: &policy };
        heirs.board(model, &Census::default(), terms, fleet, room, &mut batch);
        assert!(batch.writes.len() <= room, "{} rows", batch.writes.len());
        if batch.is_empty() {
            heirs.settled(model);
            return rows;
        }
        rows += batch.writes.len();
        commit(model, &batch);
        heirs.settled(model);
    }
    panic!("it never ends");
}

fn said(by: u64, from: u64, targets: Vec<Holding>, absent: Vec<TargetId>) -> Restored {
    let from = Life { pod: name(from), incarnation: life(from) };
    Restored { incarnation: life(by), lease_id: LeaseId(1), from, targets, absent, failed: None }
}

/// A pod reports; returns what it is answered.
fn reports(model: &mut Model, heirs: &mut Heirs, by: u64, said: Restored) -> Result<RestoredTaken, ControlError> {
    let (reply, mut answer) = oneshot::channel();
    heirs.restored(model, name(by), said, reply);
    pass(model, heirs, Terms::default(), &[], 5_000);
    answer.try_recv().expect("it is answered with the transaction")
}

fn copy(model: &Model, n: u64) -> DataAt {
    model.assignment(&target(n)).and_then(|one| one.data.clone()).expect("its data is somewhere")
}

fn restores(model: &Model, n: u64) -> bool {
    let one = model.assignment(&target(n)).expect("known");
    one.state == Quarantined && copy(model, n).restoring
}

#[test]
fn whoever_gets_a_dead_pods_targets_is_to_restore_them_at_once() {
    let mut model = dead_with_three();
    pass(&mut model, &mut Heirs::default(), at_once(0), &[1, 2], 10);
    assert!((1..=3).all(|n| restores(&model, n) && copy(&model, n).pod == name(0)));
    let restoring: u64 = [1, 2].iter().map(|pod| model.restoring_at(&name(*pod))).sum();
    assert_eq!(restoring, 3, "and it is counted");
}

#[test]
fn nobody_is_to_restore_who_has_no_replica_or_another_place_for_it() {
    let elsewhere = PodRecord { replica: Some("file:///elsewhere".to_owned()), ..record(1) };
    for pods in [
        vec![with_replica(dead(0)), record(1)],
        vec![with_replica(dead(0)), elsewhere],
        vec![dead(0), with_replica(record(1))],
    ] {
        let mut model = model(1, pods, vec![at(target(1), 0, 1)]);
        pass(&mut model, &mut Heirs::default(), at_once(0), &[1], 10);
        assert_eq!(found(&model, &target(1)), ("gateway-1".into(), Quarantined, unheard(0, 1)));
    }
}

#[test]
fn an_operator_may_have_it_wait_or_say_it_by_hand() {
    let mut model = dead_with_three();
    let mut heirs = Heirs::default();
    pass(&mut model, &mut heirs, Terms { when: RestoreWhen::ByHand, ..at_once(0) }, &[1], 10);
    assert!((1..=3).all(|n| found(&model, &target(n)).1 == Quarantined && !restores(&model, n)));
    let after = RestoreWhen::After(Duration::from_secs(30));
    pass(&mut model, &mut heirs, Terms { when: after, ..at_once(5) }, &[1], 10);
    pass(&mut model, &mut heirs, Terms { when: after, ..at_once(34) }, &[1], 10);
    assert!((1..=3).all(|n| !restores(&model, n)), "30 s from when the leader first saw it");
    pass(&mut model, &mut heirs, Terms { when: after, ..at_once(36) }, &[1], 2);
    assert!((1..=2).all(|n| restores(&model, n)) && !restores(&model, 3), "as many as there is room for");
    pass(&mut model, &mut heirs, Terms { when: after, ..at_once(38) }, &[1], 2);
    assert!(restores(&model, 3));
}

#[test]
fn the_wait_counts_from_the_failover_whoever_leads_since() {
    let after = Terms { when: RestoreWhen::After(Duration::from_secs(30)), ..at_once(5) };
    let mut model = dead_with_three();
    pass(&mut model, &mut Heirs::default(), Terms { when: RestoreWhen::ByHand, ..at_once(0) }, &[1], 10);
    let since_ms = model.assignment(&target(1)).expect("known").since_ms;
    // Each of these is another leader's, which has not waited at all.
    pass(&mut model, &mut Heirs::default(), Terms { wall_ms: since_ms + 29_999, ..after }, &[1], 10);
    assert!((1..=3).all(|n| !restores(&model, n)));
    pass(&mut model, &mut Heirs::default(), Terms { wall_ms: since_ms + 30_000, ..after }, &[1], 10);
    assert!((1..=3).all(|n| restores(&model, n)));
}

#[test]
fn what_was_restored_is_served_with_exactly_that_copy_and_says_where_it_is_from() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    let whole = said(1, 0, vec![held(target(1), 1, true), held(target(2), 2, true)], vec![target(3)]);
    let taken = reports(&mut model, &mut heirs, 1, whole.clone()).expect("counts");
    assert_eq!(taken.serving, [target(1), target(2), target(3)]);
    let origin = Some(Life { pod: name(0), incarnation: life(0) });
    let restored = data(1, 2).map(|copy| DataAt { origin: origin.clone(), ..copy });
    assert_eq!(found(&model, &target(2)), ("gateway-1".into(), Serving, restored));
    assert_eq!(found(&model, &target(3)), ("gateway-1".into(), Serving, empty(1)), "it had never begun");
    let epochs: Vec<_> = (1..=3).map(|n| model.assignment(&target(n)).expect("known").epoch).collect();
    let again = reports(&mut model, &mut heirs, 1, whole).expect("counts");
    assert_eq!(again.serving.len(), 3, "asked again, it is answered again");
    assert!((1..=3).all(|n| model.assignment(&target(n)).expect("known").epoch == epochs[n as usize - 1]));
}

#[test]
fn a_replica_without_the_newest_copy_serves_nothing_and_says_why() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    model.apply(crate::domain::Change::Assignment {
        assignment: Assignment { reason: "manual".into(), ..at(target(2), 0, 2) },
        from: None,
    });
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    let older = said(1, 0, vec![held(target(1), 0, true)], vec![target(2)]);
    assert_eq!(reports(&mut model, &mut heirs, 1, older).expect("counts").serving, []);
    for (n, word) in [(1, "the copy of epoch"), (2, "nothing of the target")] {
        let data = copy(&model, n);
        assert!(!data.restoring && data.trouble.as_deref().is_some_and(|why| why.contains(word)), "{data:?}");
    }
    assert_eq!(pass(&mut model, &mut heirs, at_once(60), &[1], 10), 0, "it is not tried again by itself");
    assert!(restores(&model, 3), "the others go on");
    let broken = Restored { failed: Some("the replica is damaged".into()), ..said(1, 0, vec![], vec![]) };
    assert_eq!(reports(&mut model, &mut heirs, 1, broken).expect("counts").serving, []);
    assert_eq!(copy(&model, 3).trouble.as_deref(), Some("the replica is damaged"));
}

#[test]
fn a_report_counts_only_for_what_its_pod_is_to_restore_from_there() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    let whole = |by, from| said(by, from, vec![held(target(1), 1, true)], vec![]);
    assert_eq!(reports(&mut model, &mut heirs, 2, whole(2, 0)).expect("counts").serving, [], "it is another's");
    assert_eq!(reports(&mut model, &mut heirs, 1, whole(1, 2)).expect("counts").serving, [], "another's replica");
    let stale = Restored { lease_id: LeaseId(9), ..whole(1, 0) };
    assert_eq!(reports(&mut model, &mut heirs, 1, stale), Err(ControlError::LeaseSuperseded(name(1))));
    let other = Restored { incarnation: life(77), ..whole(1, 0) };
    assert_eq!(reports(&mut model, &mut heirs, 1, other), Err(ControlError::WrongIncarnation(name(1))));
    let many = said(1, 0, vec![], (0..=MAX_RESTORED as u64).map(target).collect());
    assert!(matches!(reports(&mut model, &mut heirs, 1, many), Err(ControlError::Invalid(_))));
    assert!(restores(&model, 1));
}

#[test]
fn the_pod_that_returns_and_the_one_that_restores_never_both_get_a_target() {
    let lands = |returns_first: bool| {
        let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
        pass(&mut model, &mut heirs, at_once(0), &[1], 10);
        let returning = with_replica(back(0));
        commit(
            &mut model,
            &Batch {
                writes: vec![Write::Pod { record: returning.clone(), expected: None, floor: Epoch(0) }],
                ..Batch::default()
            },
        );
        let whole = said(1, 0, vec![held(target(1), 1, true)], vec![]);
        let mut census = Census::new(100);
        told(&mut census, &returning, vec![held(target(1), 1, true)]);
        if returns_first {
            play(&mut model, &census, &[1], 10);
        }
        let taken = reports(&mut model, &mut heirs, 1, whole).expect("counts");
        play(&mut model, &census, &[1], 10);
        (taken.serving.len(), found(&model, &target(1)).0)
    };
    assert_eq!(lands(true), (0, "gateway-0".to_owned()));
    assert_eq!(lands(false), (1, "gateway-1".to_owned()));
}

#[test]
fn when_an_heir_dies_while_it_restores_the_next_one_does() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    commit(&mut model, &Batch { writes: vec![Write::Bury(with_replica(record(1)))], ..Batch::default() });
    let by_hand = Terms { when: RestoreWhen::ByHand, ..at_once(9) };
    pass(&mut model, &mut heirs, by_hand, &[2], 10);
    assert!((1..=3).all(|n| found(&model, &target(n)).0 == "gateway-2" && restores(&model, n)), "it was begun already");
    assert!((1..=3).all(|n| copy(&model, n).pod == name(0)));
}

#[test]
fn when_an_heir_dies_before_its_own_replica_has_the_import_the_first_replica_is_restored_again() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    let whole = said(1, 0, vec![held(target(1), 1, true)], vec![]);
    reports(&mut model, &mut heirs, 1, whole).expect("counts");
    commit(&mut model, &Batch { writes: vec![Write::Bury(with_replica(record(1)))], ..Batch::default() });
    pass(&mut model, &mut heirs, at_once(9), &[2], 10);
    let waits = copy(&model, 1);
    assert!(waits.pod == name(1) && waits.before == Some(Epoch(EPOCH + 1)) && waits.restoring, "{waits:?}");
    let nothing = said(2, 1, vec![], vec![target(1)]);
    assert_eq!(reports(&mut model, &mut heirs, 2, nothing).expect("counts").serving, []);
    let first = copy(&model, 1);
    assert_eq!((&first.pod, first.epoch, first.restoring), (&name(0), Epoch(EPOCH + 1), true));
    let whole = said(2, 0, vec![held(target(1), 1, true)], vec![]);
    assert_eq!(reports(&mut model, &mut heirs, 2, whole).expect("counts").serving, [target(1)]);
}

/// Target 1 came to pod 0 from pod 2 by a move that was not over.
fn moved(state: MoveState) -> Move {
    Move {
        id: MoveId(12),
        target: target(1),
        from: name(2),
        to: name(0),
        state,
        epoch: Epoch(EPOCH + 1),
        revision: Revision(13),
        reason: "manual".into(),
        actor: "test".into(),
        started_ms: 1,
        frozen_ms: None,
        ended_ms: Some(2),
        pause_ms: None,
        rows: 1,
        bytes: 1,
        detail: None,
        plan: None,
    }
}

#[test]
fn a_finished_move_that_its_destinations_replica_does_not_have_goes_back_to_the_rows_the_source_kept() {
    let lands = |state, absent: bool, source: PodRecord| {
        let mut model = dead_with_three();
        model.apply(crate::domain::Change::Pod(with_replica(source)));
        let mut heirs = Heirs::default();
        let assignment = Assignment { reason: "manual".into(), ..at(target(1), 0, 5) };
        model.apply(crate::domain::Change::Assignment { assignment, from: None });
        model.apply(crate::domain::Change::Move(moved(state)));
        pass(&mut model, &mut heirs, at_once(0), &[1], 10);
        let (targets, none) = if absent { (vec![], vec![target(1)]) } else { (vec![held(target(1), 5, true)], vec![]) };
        reports(&mut model, &mut heirs, 1, said(1, 0, targets, none)).expect("counts");
        found(&model, &target(1))
    };
    let (pod, state, kept) = lands(MoveState::Committed, true, record(2));
    assert_eq!((pod.as_str(), state, kept), ("gateway-2", Serving, data(2, 1)), "the epoch that it was released at");
    assert_eq!(lands(MoveState::Committed, false, record(2)).0, "gateway-1", "the import is there");
    let (pod, state, kept) = lands(MoveState::Cleaned, true, record(2));
    assert!(pod == "gateway-1" && state == Quarantined && kept.is_some_and(|data| data.trouble.is_some()));
    // The source is away too: it says whom to bring back, and what to say then.
    let (pod, state, kept) = lands(MoveState::Committed, true, dead(2));
    let why = kept.and_then(|data| data.trouble).expect("it says why");
    assert!(pod == "gateway-1" && state == Quarantined, "{why}");
    assert!(why.contains("start gateway-2 again") && why.contains("berth pod recover gateway-0"), "{why}");
}

#[test]
fn what_only_the_source_of_a_move_has_is_tried_again_once_that_is_back() {
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    let assignment = Assignment { reason: "manual".into(), ..at(target(1), 0, 5) };
    model.apply(crate::domain::Change::Assignment { assignment, from: None });
    model.apply(crate::domain::Change::Move(moved(MoveState::Committed)));
    model.apply(crate::domain::Change::Pod(with_replica(dead(2))));
    pass(&mut model, &mut heirs, at_once(0), &[1], 10);
    let nothing = || said(1, 0, vec![], vec![target(1)]);
    reports(&mut model, &mut heirs, 1, nothing()).expect("counts");
    assert_eq!(pass(&mut model, &mut heirs, at_once(60), &[1], 10), 0, "nobody has it");
    model.apply(crate::domain::Change::Pod(with_replica(back(2))));
    assert_eq!(pass(&mut model, &mut heirs, at_once(61), &[1], 10), 0, "it has not said what it holds");
    model.apply(crate::domain::Change::Pod(with_replica(PodRecord { report: false, ..back(2) })));
    let by_hand = Terms { when: RestoreWhen::ByHand, ..at_once(62) };
    assert_eq!(pass(&mut model, &mut heirs, by_hand, &[1], 10), 0, "that is an operator's to say");
    pass(&mut model, &mut heirs, at_once(63), &[1], 10);
    assert!(restores(&model, 1));
    // Another trouble, which the source does not help with.
    let broken = Restored { failed: Some("the replica is damaged".into()), ..said(1, 0, vec![], vec![]) };
    reports(&mut model, &mut heirs, 1, broken).expect("counts");
    assert_eq!(pass(&mut model, &mut heirs, at_once(120), &[1], 10), 0, "not again and again");
    let again = PodRecord { report: false, lease_id: LeaseId(3), ..back(2) };
    model.apply(crate::domain::Change::Pod(with_replica(again)));
    pass(&mut model, &mut heirs, at_once(121), &[1], 10);
    reports(&mut model, &mut heirs, 1, nothing()).expect("counts");
    assert_eq!(found(&model, &target(1)), ("gateway-2".into(), Serving, data_in(2, life(102), 1)));
}

#[test]
fn what_a_move_had_released_is_restored_by_nobody_but_its_own_pod() {
    let given_back = data(0, 1).map(|data| DataAt { before: Some(Epoch(EPOCH + 1)), epoch: Epoch(EPOCH + 5), ..data });
    let (mut model, mut heirs) = (dead_with_three(), Heirs::default());
    let waiting = quarantined(at(target(1), 1, 6), given_back.map(|data| DataAt { restoring: true, ..data }));
    model.apply(crate::domain::Change::Assignment { assignment: waiting, from: None });
    let released = said(1, 0, vec![held(target(1), 1, false)], vec![]);
    assert_eq!(reports(&mut model, &mut heirs, 1, released).expect("counts").serving, []);
    let why = copy(&model, 1).trouble.expect("it says why");
    assert!(why.contains("only gateway-0 still has its rows"), "{why}");
}
