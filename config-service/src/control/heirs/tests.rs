use super::*;
use crate::control::ControlError;
use crate::domain::{Members, Snapshot};
use shared::wire::control::{BotInfo, Holding, Holdings, Load};
use shared::{Incarnation, LeaseId, MoveId, Revision};

fn name(pod: u64) -> PodId {
    format!("gateway-{pod}").parse().expect("valid")
}

fn life(n: u64) -> Incarnation {
    format!("0190163d-8694-739b-aea5-966c26f8ad{n:02x}").parse().expect("valid")
}

fn target(n: u64) -> TargetId {
    format!("discord:guild:{n}").parse().expect("valid")
}

fn child(n: u64) -> TargetId {
    format!("discord:channel:{n}").parse().expect("valid")
}

fn record(pod: u64) -> PodRecord {
    let mut record = PodRecord::sample(name(pod).as_str(), &life(pod).to_string());
    record.info.revision = Revision(pod);
    record
}

fn dead(pod: u64) -> PodRecord {
    PodRecord { buried: true, ..record(pod) }
}

/// A pod that has come back in a new life, and has to report.
fn back(pod: u64) -> PodRecord {
    let mut back = PodRecord { report: true, lease_id: LeaseId(2), previous: Some(life(pod)), ..record(pod) };
    back.info.incarnation = life(pod + 100);
    back
}

fn at(target: TargetId, pod: u64, epoch: u64) -> Assignment {
    Assignment {
        target,
        pod: name(pod),
        epoch: Epoch(EPOCH + epoch),
        revision: Revision(10),
        parent: None,
        reason: "first-contact".into(),
        since_ms: 1,
        state: AssignmentState::Serving,
        data: None,
    }
}

/// The last epoch before the first generation's first.
const EPOCH: u64 = 1 << Epoch::COUNTER_BITS;

fn data(pod: u64, epoch: u64) -> Option<DataAt> {
    Some(DataAt::new(name(pod), life(pod), Epoch(EPOCH + epoch)))
}

fn data_in(pod: u64, life: Incarnation, epoch: u64) -> Option<DataAt> {
    Some(DataAt::new(name(pod), life, Epoch(EPOCH + epoch)))
}

/// With a pod that never served before: if it has not heard of the target, nobody has.
fn unheard(pod: u64, epoch: u64) -> Option<DataAt> {
    data(pod, epoch).map(|data| DataAt { before: Some(Epoch(0)), ..data })
}

/// At a pod where a target begins empty.
fn empty(pod: u64) -> Option<DataAt> {
    Some(DataAt::new(name(pod), life(pod), Epoch(0)))
}

fn quarantined(assignment: Assignment, data: Option<DataAt>) -> Assignment {
    Assignment { state: AssignmentState::Quarantined, data, ..assignment }
}

fn model(generation: u64, pods: Vec<PodRecord>, assignments: Vec<Assignment>) -> Model {
    Model::new(Snapshot {
        revision: Revision(20),
        epoch: Epoch(generation * EPOCH + 900),
        pods,
        assignments: assignments.into_iter().collect(),
        members: Members::default(),
        settled: 1,
        ..Snapshot::default()
    })
}

fn held(target: TargetId, epoch: u64, whole: bool) -> Holding {
    Holding { target, epoch: Epoch(EPOCH + epoch), whole }
}

fn told(census: &mut Census, record: &PodRecord, targets: Vec<Holding>) {
    told_by(census, record, &record.previous.iter().cloned().collect::<Vec<_>>(), targets);
}

/// A report from a folder that has lived as `lives`.
fn told_by(census: &mut Census, record: &PodRecord, lives: &[Incarnation], targets: Vec<Holding>) {
    let (incarnation, lease_id, lives) = (record.info.incarnation.clone(), record.lease_id, lives.to_vec());
    census.take(record, Holdings { incarnation, lease_id, lives, targets, more: false }).expect("counts");
}

fn candidates(ready: &[u64]) -> Vec<Candidate> {
    let candidate = |pod: &u64| Candidate {
        pod: name(*pod),
        capacity: 1.0,
        ready: true,
        open: true,
        targets: 0,
        fresh: 0,
        track: Default::default(),
        load: Load::default(),
    };
    ready.iter().map(candidate).collect()
}

/// Lets everything that is due happen, in transactions of `room` rows; returns how many it took.
fn play(model: &mut Model, census: &Census, ready: &[u64], room: usize) -> usize {
    play_on(model, census, ready, room, false)
}

/// The same; if `refused`, the database refuses each transaction once.
fn play_on(model: &mut Model, census: &Census, ready: &[u64], room: usize, refused: bool) -> usize {
    let (mut heirs, policy) = (Heirs::default(), Policy::default());
    for transactions in 0..100 {
        let mut batch = Batch::default();
        let fleet = || Fleet { candidates: candidates(ready), policy: &policy };
        if refused {
            heirs.board(model, census, Terms::default(), fleet, room, &mut batch);
            heirs.failed(&ControlError::Store);
            batch = Batch::default();
        }
        heirs.board(model, census, Terms::default(), fleet, room, &mut batch);
        assert!(batch.writes.len() <= room, "{} rows", batch.writes.len());
        if batch.is_empty() {
            return transactions;
        }
        commit(model, &batch);
        for write in &batch.writes {
            if let Write::Pod { record, .. } = write {
                heirs.registered(record);
            }
        }
    }
    panic!("it never ends");
}

fn commit(model: &mut Model, batch: &Batch) {
    let revision = Revision(model.revision().0 + batch.writes.len() as u64);
    let epoch = Epoch(model.epoch().0 + batch.epochs() as u64);
    for change in batch.stamp(revision, epoch, 5) {
        model.apply(change);
    }
    model.issued(epoch);
}

fn found(model: &Model, target: &TargetId) -> (String, AssignmentState, Option<DataAt>) {
    let found = model.assignment(target).expect("it has an owner");
    (found.pod.to_string(), found.state, found.data.clone())
}

use AssignmentState::{Quarantined, Serving};

#[test]
fn a_dead_pods_targets_are_quarantined_at_living_pods_and_name_where_their_data_is() {
    let assignments: Vec<_> = (0..50).map(|n| at(target(n), n % 2, n + 1)).collect();
    let mut model = model(1, vec![dead(0), record(1), record(2)], assignments);
    let before = model.epoch();
    assert_eq!(play(&mut model, &Census::default(), &[1, 2], 10), 5, "25 targets, half of the room for each");
    for n in 0..50 {
        let (pod, state, data_at) = found(&model, &target(n));
        match n % 2 {
            0 => {
                assert!(pod != "gateway-0" && state == Quarantined && data_at == unheard(0, n + 1), "{n}");
                assert!(model.assignment(&target(n)).is_some_and(|one| one.epoch > before && one.reason == FAILOVER));
            }
            _ => assert_eq!((pod.as_str(), state, data_at), ("gateway-1", Serving, None), "{n}"),
        }
    }
    assert!(model.targets_of(&name(2)) > 0, "the planner spreads them");
}

#[test]
fn a_child_goes_where_its_parent_goes() {
    let mut assignments: Vec<_> = (0..20).map(|n| at(target(n), 0, n + 1)).collect();
    assignments.extend((0..20).map(|n| Assignment { parent: Some(target(n)), ..at(child(n), 0, n + 40) }));
    let mut model = model(1, vec![dead(0), record(1), record(2)], assignments);
    play(&mut model, &Census::default(), &[1, 2], 8);
    for n in 0..20 {
        assert_eq!(found(&model, &child(n)).0, found(&model, &target(n)).0, "{n}");
    }
}

#[test]
fn what_was_quarantined_at_a_dead_pod_still_names_where_its_data_is() {
    let first = quarantined(at(target(1), 0, 7), data(5, 3));
    let mut model = model(1, vec![dead(0), record(1), dead(5)], vec![first]);
    play(&mut model, &Census::default(), &[1], 10);
    assert_eq!(found(&model, &target(1)), ("gateway-1".into(), Quarantined, data(5, 3)));
}

#[test]
fn targets_stay_where_they_are_while_nobody_may_take_them() {
    let bot = |schema| BotInfo { name: "bot".into(), version: None, schema, schema_hash: None };
    let newer = PodRecord { bot: Some(bot(Some(3))), ..dead(0) };
    let older = PodRecord { bot: Some(bot(Some(2))), ..record(1) };
    let mut model = model(1, vec![newer, older.clone(), record(2)], vec![at(target(1), 0, 1)]);
    assert_eq!(play(&mut model, &Census::default(), &[1, 2], 10), 0, "older tables cannot take newer rows");
    assert_eq!(play(&mut model, &Census::default(), &[], 10), 0);
    commit(
        &mut model,
        &Batch {
            writes: vec![Write::Pod {
                record: PodRecord { bot: Some(bot(Some(3))), ..older },
                expected: None,
                floor: Epoch(0),
            }],
            ..Batch::default()
        },
    );
    assert_eq!(play(&mut model, &Census::default(), &[1, 2], 10), 1);
    assert_eq!(found(&model, &target(1)).0, "gateway-1");
}

#[test]
fn an_accepted_loss_begins_empty_at_its_heir() {
    let lost = PodRecord { loss_accepted: true, ..dead(0) };
    let mut model = model(1, vec![lost, record(1)], vec![at(target(1), 0, 1)]);
    play(&mut model, &Census::default(), &[1], 10);
    assert_eq!(found(&model, &target(1)), ("gateway-1".into(), Serving, empty(1)));
}

#[test]
fn a_pod_that_returns_gets_back_exactly_what_only_it_has() {
    let returning = back(0);
    let assignments = vec![
        quarantined(at(target(1), 1, 11), data(0, 1)),
        quarantined(at(target(2), 1, 12), data(0, 2)),
        quarantined(at(target(3), 1, 13), data(0, 3)),
        quarantined(at(target(4), 1, 14), data(9, 4)),
        at(target(5), 1, 15),
        // Nobody could take these when it died.
        at(target(6), 0, 6),
        Assignment {
            data: data_in(0, life(0), 0).map(|data| DataAt { epoch: Epoch(3), ..data }),
            ..at(target(7), 0, 7)
        },
    ];
    let mut model = model(1, vec![returning.clone(), record(1)], assignments);
    let mut census = Census::new(100);
    assert_eq!(play(&mut model, &census, &[1], 3), 0, "nothing before it has reported");
    let holdings = vec![
        held(target(1), 1, true),
        held(target(2), 1, true),
        held(target(3), 3, false),
        held(target(4), 4, true),
        held(target(5), 5, true),
        held(target(6), 6, true),
    ];
    told(&mut census, &returning, holdings);
    play(&mut model, &census, &[1], 3);
    let copy = |epoch| data_in(0, life(100), epoch);
    assert_eq!(found(&model, &target(1)), ("gateway-0".into(), Serving, copy(1)), "its epoch is named");
    assert_eq!(found(&model, &target(2)), ("gateway-1".into(), Quarantined, data(0, 2)), "an older copy");
    assert_eq!(found(&model, &target(3)), ("gateway-1".into(), Quarantined, data(0, 3)), "a copy that was given up");
    assert_eq!(found(&model, &target(4)), ("gateway-1".into(), Quarantined, data(9, 4)), "another pod's");
    assert_eq!(found(&model, &target(5)), ("gateway-1".into(), Serving, None), "served by another meanwhile");
    assert_eq!(found(&model, &target(6)), ("gateway-0".into(), Serving, copy(6)));
    let begun = DataAt { before: Some(Epoch(3)), ..data(0, 7).expect("there") };
    assert_eq!(found(&model, &target(7)), ("gateway-0".into(), Quarantined, Some(begun)), "never begun empty");
    assert!(!model.pod(&name(0)).expect("known").report, "it may be granted its lease now");
}

#[test]
fn a_pod_goes_on_with_what_a_move_had_released_when_exactly_that_was_given_back() {
    // The destinations lost what came to them. This pod was given its rows back, and died before it heard of it.
    let returning = back(0);
    let waits = |n| data(0, n + 10).map(|data| DataAt { before: Some(Epoch(EPOCH + n)), ..data });
    let assignments = vec![
        Assignment { data: data(0, 1), ..at(target(1), 0, 11) },
        quarantined(at(target(2), 1, 22), waits(2)),
        quarantined(at(target(3), 1, 23), waits(3)),
        quarantined(at(target(4), 1, 24), waits(4)),
    ];
    let report = vec![
        held(target(1), 1, false),
        held(target(2), 2, false),
        // It was served since, and moved away once more.
        held(target(3), 5, false),
        held(target(4), 14, false),
    ];
    let lands = |lives: &[Incarnation]| {
        let mut model = model(1, vec![returning.clone(), record(1)], assignments.clone());
        let mut census = Census::new(100);
        told_by(&mut census, &returning, lives, report.clone());
        play(&mut model, &census, &[1], 10);
        model
    };
    let same = lands(&[life(0)]);
    assert_eq!(found(&same, &target(1)), ("gateway-0".into(), Serving, data(0, 1)), "it hears of it now");
    assert_eq!(found(&same, &target(2)), ("gateway-0".into(), Serving, data_in(0, life(100), 2)));
    assert_eq!(found(&same, &target(3)), ("gateway-1".into(), Quarantined, waits(3)));
    assert_eq!(found(&same, &target(4)), ("gateway-1".into(), Quarantined, waits(4)));
    let other = lands(&[]);
    assert!((1..=4).all(|n| found(&other, &target(n)).1 == Quarantined), "another folder's");
}

#[test]
fn a_report_that_a_new_leader_hears_again_gives_nothing_twice() {
    let returning = back(0);
    let assignments =
        vec![quarantined(at(target(1), 1, 11), data(0, 1)), quarantined(at(target(2), 1, 12), data(0, 2))];
    let mut model = model(1, vec![returning.clone(), record(1)], assignments);
    let mut census = Census::new(100);
    told(&mut census, &returning, vec![held(target(1), 1, true), held(target(2), 2, true)]);
    let mut batch = Batch::default();
    let policy = Policy::default();
    Heirs::default().board(
        &model,
        &census,
        Terms::default(),
        || Fleet { candidates: vec![], policy: &policy },
        1,
        &mut batch,
    );
    commit(&mut model, &batch);
    let epoch = model.assignment(&target(1)).expect("known").epoch;
    play(&mut model, &census, &[1], 10);
    assert_eq!(model.assignment(&target(1)).expect("known").epoch, epoch);
    assert_eq!(found(&model, &target(2)), ("gateway-0".into(), Serving, data_in(0, life(100), 2)));
}

#[test]
fn what_the_database_refuses_is_asked_for_again() {
    let returned = |refused| {
        let returning = back(0);
        let waiting = (1..=4).map(|n| quarantined(at(target(n), 1, 10 + n), data(0, n))).collect();
        let mut model = model(1, vec![returning.clone(), record(1)], waiting);
        let mut census = Census::new(100);
        told(&mut census, &returning, (1..=4).map(|n| held(target(n), n, true)).collect());
        play_on(&mut model, &census, &[1], 3, refused);
        model
    };
    let settled = |refused| {
        let asked = PodRecord { report: true, ..record(0) };
        let owned = (1..=4).map(|n| at(target(n), 0, n)).collect();
        let mut model = model(2, vec![asked.clone()], owned);
        let mut census = Census::new(100);
        told(&mut census, &asked, (1..=4).map(|n| held(target(n), n, true)).collect());
        play_on(&mut model, &census, &[], 4, refused);
        model
    };
    for (plain, refused) in [(returned(false), returned(true)), (settled(false), settled(true))] {
        let all = |model: &Model| (1..=4).map(|n| found(model, &target(n))).collect::<Vec<_>>();
        let epochs = |model: &Model| model.assignments(None).map(|one| one.epoch).collect::<Vec<_>>();
        assert!(
            all(&refused).iter().all(|(pod, state, _)| pod == "gateway-0" && *state == Serving),
            "{:?}",
            all(&refused)
        );
        assert_eq!((all(&refused), epochs(&refused)), (all(&plain), epochs(&plain)));
    }
}

#[test]
fn what_a_report_means_waits_while_its_pod_registers_or_is_buried() {
    let returning = back(0);
    let waiting = quarantined(at(target(1), 1, 11), data(0, 1));
    let model = model(1, vec![returning.clone(), record(1)], vec![waiting]);
    let mut census = Census::new(100);
    told(&mut census, &returning, vec![held(target(1), 1, true)]);
    let again = PodRecord { lease_id: LeaseId(3), ..returning.clone() };
    let registers = Write::Pod { record: again, expected: Some(LeaseId(2)), floor: Epoch(0) };
    for first in [registers, Write::Bury(returning)] {
        let (mut batch, policy) = (Batch { writes: vec![first], ..Batch::default() }, Policy::default());
        Heirs::default().board(
            &model,
            &census,
            Terms::default(),
            || Fleet { candidates: vec![], policy: &policy },
            10,
            &mut batch,
        );
        assert_eq!(batch.writes.len(), 1, "{batch:?}");
    }
}

#[test]
fn in_a_new_generation_everything_goes_on_where_it_was_owned_last() {
    let asked = |pod| PodRecord { report: true, ..record(pod) };
    let assignments = vec![
        at(target(1), 0, 1),
        at(target(2), 0, 2),
        at(target(3), 1, 3),
        quarantined(at(target(4), 1, 4), data(9, 2)),
        at(target(5), 2, 5),
        at(target(6), 0, 6),
    ];
    let mut model = model(2, vec![asked(0), asked(1), asked(2)], assignments);
    let mut census = Census::new(100);
    let first = vec![held(target(1), 1, true), held(target(2), 2, true), held(target(6), 6, false)];
    told(&mut census, &asked(0), first);
    // Target 2 was moved after the backup was made, target 8 began after it, target 6 went to a pod that nobody knows.
    told(&mut census, &asked(1), vec![held(target(2), 20, true), held(target(8), 30, true)]);
    assert_eq!(play(&mut model, &census, &[], 7), 0, "not before every pod has reported");
    assert!(!model.is_settled());
    commit(&mut model, &Batch { writes: vec![Write::Bury(asked(2))], ..Batch::default() });
    play(&mut model, &census, &[], 7);
    assert!(model.is_settled() && model.pods().all(|record| !record.report || record.buried));
    assert_eq!(found(&model, &target(1)), ("gateway-0".into(), Serving, data(0, 1)));
    assert_eq!(found(&model, &target(2)), ("gateway-1".into(), Serving, data(1, 20)), "the highest epoch wins");
    assert_eq!(found(&model, &target(3)), ("gateway-1".into(), Serving, empty(1)), "its owner never began it");
    assert_eq!(found(&model, &target(4)), ("gateway-1".into(), Quarantined, data(9, 2)));
    assert_eq!(found(&model, &target(6)), ("gateway-0".into(), Quarantined, data(0, 6)), "never begun empty");
    assert_eq!(found(&model, &target(8)), ("gateway-1".into(), Serving, data(1, 30)));
    let renewed = model.assignments(None).filter(|one| one.epoch.generation() == 2).count();
    assert_eq!((renewed, found(&model, &target(5)).0.as_str()), (6, "gateway-2"), "the dead one's wait");
    play(&mut model, &census, &[0], 7);
    assert_eq!(found(&model, &target(5)), ("gateway-0".into(), Quarantined, data(2, 5)));
}

mod restoring;
mod unheard;
