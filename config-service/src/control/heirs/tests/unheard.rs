//! Pods that die before they hear of what they were given: what their folders hold is the newest copy still, where it is
//! certain that it is the same folder.

use super::*;

/// The same pod in its next life: after the burial of `dead` it has registered, and has to report.
fn next(dead: &PodRecord, n: u64) -> PodRecord {
    let mut next = PodRecord {
        report: true,
        buried: false,
        lease_id: LeaseId(dead.lease_id.0 + 1),
        previous: dead.last_served().cloned(),
        ..dead.clone()
    };
    next.info.incarnation = life(n);
    next
}

fn write(model: &mut Model, write: Write) {
    commit(model, &Batch { writes: vec![write], ..Batch::default() });
}

/// Buries the pod, lets others inherit from it, and lets it register in its next life.
fn dies_and_is_back(model: &mut Model, pod: u64, n: u64) -> PodRecord {
    let record = model.pod(&name(pod)).expect("known").clone();
    write(model, Write::Bury(record.clone()));
    let heirs: Vec<_> = [1].into_iter().filter(|n| model.pod(&name(*n)).is_some()).collect();
    play(model, &Census::default(), &heirs, 10);
    let next = next(&record, n);
    write(model, Write::Pod { record: next.clone(), expected: Some(record.lease_id), floor: Epoch(0) });
    next
}

/// A report of the pod in the folder that lived as `lives`; what it leads to.
fn reports(model: &mut Model, record: &PodRecord, lives: &[u64], targets: Vec<Holding>) {
    let mut census = Census::new(100);
    let lives: Vec<_> = lives.iter().map(|n| life(*n)).collect();
    told_by(&mut census, record, &lives, targets);
    play(model, &census, &[1], 10);
}

fn serves(model: &Model, n: u64, epoch: Epoch) -> bool {
    let assignment = model.assignment(&target(n)).expect("known");
    assignment.pod == name(0)
        && assignment.state == Serving
        && assignment.data.as_ref().is_some_and(|data| data.epoch == epoch)
}

/// Target 1 was served by pod 0 under epoch 1, waited for its data, and was given back; pod 0 died before it heard of that.
fn given_back_unheard() -> (Model, PodRecord) {
    let mut model = model(1, vec![record(0), record(1)], vec![at(target(1), 0, 1)]);
    let back = dies_and_is_back(&mut model, 0, 100);
    reports(&mut model, &back, &[0], vec![held(target(1), 1, true)]);
    assert!(serves(&model, 1, Epoch(EPOCH + 1)));
    let again = dies_and_is_back(&mut model, 0, 101);
    assert_eq!(found(&model, &target(1)).1, Quarantined);
    (model, again)
}

#[test]
fn data_that_was_given_back_to_a_pod_which_never_heard_of_it_is_given_back_again() {
    let (mut model, again) = given_back_unheard();
    reports(&mut model, &again, &[100, 0], vec![held(target(1), 1, true)]);
    assert!(serves(&model, 1, Epoch(EPOCH + 1)), "{:?}", found(&model, &target(1)));
    // As often as it happens.
    let third = dies_and_is_back(&mut model, 0, 102);
    reports(&mut model, &third, &[101, 100, 0], vec![held(target(1), 1, true)]);
    assert!(serves(&model, 1, Epoch(EPOCH + 1)), "{:?}", found(&model, &target(1)));
}

#[test]
fn a_pod_that_did_hear_of_it_gets_back_only_what_it_made_of_it() {
    let (mut model, again) = given_back_unheard();
    let given = found(&model, &target(1)).2.expect("named").epoch;
    let newer = Holding { target: target(1), epoch: given, whole: true };
    reports(&mut model, &again, &[100, 0], vec![newer]);
    assert!(serves(&model, 1, given));
}

#[test]
fn an_older_copy_of_the_folder_is_not_taken_for_the_newest() {
    let (mut model, again) = given_back_unheard();
    // It does not know the life to which the target was given back, and which may have served it.
    reports(&mut model, &again, &[0], vec![held(target(1), 1, true)]);
    assert_eq!(found(&model, &target(1)).1, Quarantined);
}

#[test]
fn a_copy_that_was_given_up_or_is_older_than_the_one_given_back_does_not_count() {
    let given = found(&given_back_unheard().0, &target(1)).2.expect("named").epoch;
    // It was moved away since; or it is what was here before.
    for (epoch, whole) in [(given, false), (Epoch(EPOCH), true)] {
        let (mut model, again) = given_back_unheard();
        reports(&mut model, &again, &[100, 0], vec![Holding { target: target(1), epoch, whole }]);
        assert_eq!(found(&model, &target(1)).1, Quarantined, "{epoch} {whole}");
    }
}

#[test]
fn a_target_that_its_first_owner_never_heard_of_begins_there_when_that_is_back() {
    let mut model = model(1, vec![record(0), record(1)], vec![at(target(1), 0, 1), at(target(2), 0, 2)]);
    let back = dies_and_is_back(&mut model, 0, 100);
    assert_eq!(found(&model, &target(1)).1, Quarantined, "nobody can tell from outside");
    reports(&mut model, &back, &[0], vec![held(target(2), 2, true)]);
    assert!(serves(&model, 1, Epoch(0)) && serves(&model, 2, Epoch(EPOCH + 2)));
    assert_eq!(model.assignment(&target(1)).expect("known").reason, UNHEARD);
    // It dies again before it hears of that.
    let again = dies_and_is_back(&mut model, 0, 101);
    reports(&mut model, &again, &[100, 0], vec![]);
    assert!(serves(&model, 1, Epoch(0)));
    assert_eq!(found(&model, &target(2)).1, Quarantined, "what was there once is never begun empty");
}

#[test]
fn a_target_does_not_begin_empty_in_a_folder_that_nobody_knows() {
    for lives in [&[][..], &[55]] {
        let mut model = model(1, vec![record(0), record(1)], vec![at(target(1), 0, 1)]);
        let back = dies_and_is_back(&mut model, 0, 100);
        reports(&mut model, &back, lives, vec![]);
        assert_eq!(found(&model, &target(1)).1, Quarantined);
    }
}

#[test]
fn a_life_that_never_reported_is_not_taken_for_the_one_that_served() {
    // The first life served. The second is another folder, and dies before it has reported.
    let mut model = model(1, vec![record(0)], vec![at(target(1), 0, 1)]);
    let other = dies_and_is_back(&mut model, 0, 100);
    assert_eq!(found(&model, &target(1)), ("gateway-0".into(), Serving, None), "nobody could take it");
    assert_eq!(other.last_served(), Some(&life(0)));
    let third = dies_and_is_back(&mut model, 0, 101);
    reports(&mut model, &third, &[100], vec![]);
    let (_, state, data) = found(&model, &target(1));
    assert_eq!((state, data.expect("named").incarnation), (Quarantined, life(0)));
    let first = dies_and_is_back(&mut model, 0, 102);
    reports(&mut model, &first, &[0], vec![held(target(1), 1, true)]);
    assert!(serves(&model, 1, Epoch(EPOCH + 1)), "the first folder came back");
}

#[test]
fn what_a_restored_database_remembers_of_beginnings_proves_nothing() {
    let waiting =
        quarantined(at(target(2), 1, 3), Some(DataAt { before: Some(Epoch(0)), ..data(0, 2).expect("there") }));
    let asked = |pod| PodRecord { report: true, previous: Some(life(pod)), ..record(pod) };
    let mut model = model(2, vec![dead(0), asked(1)], vec![at(target(1), 0, 1), waiting]);
    let mut census = Census::new(100);
    told(&mut census, &asked(1), vec![]);
    play(&mut model, &census, &[1], 10);
    assert!(model.is_settled());
    let back = next(&dead(0), 100);
    write(&mut model, Write::Pod { record: back.clone(), expected: Some(LeaseId(1)), floor: Epoch(0) });
    reports(&mut model, &back, &[0], vec![]);
    for n in [1, 2] {
        assert_eq!(found(&model, &target(n)).1, Quarantined, "{n}");
    }
}
