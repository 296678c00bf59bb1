use super::*;
use crate::domain::{Members, Snapshot};
use shared::wire::control::{Assignment, DataAt};
use shared::{Epoch, Incarnation, Revision};

const NOW: u64 = 1_800_000_000_000;
const HOUR: u64 = 60 * 60 * 1_000;
const EPOCH: u64 = 1 << Epoch::COUNTER_BITS;

fn life(n: u8) -> Life {
    let incarnation: Incarnation = format!("0190163d-8694-739b-aea5-966c26f8ad{n:02}").parse().expect("valid");
    Life { pod: format!("gateway-{}", n % 10).parse().expect("valid"), incarnation }
}

fn record(n: u8) -> PodRecord {
    PodRecord::sample(&life(n).pod.to_string(), &life(n).incarnation.to_string())
}

/// A target of pod 1, whose data is where `data` says.
fn assignment(n: u64, state: AssignmentState, data: Option<DataAt>) -> Assignment {
    Assignment {
        target: format!("discord:guild:{n}").parse().expect("valid"),
        pod: record(1).info.pod,
        epoch: Epoch(EPOCH + n),
        revision: Revision(10),
        parent: None,
        reason: "restored".into(),
        since_ms: NOW - 2 * HOUR,
        state,
        data,
    }
}

fn at(life: &Life) -> DataAt {
    DataAt::new(life.pod.clone(), life.incarnation.clone(), Epoch(EPOCH))
}

fn model(pods: Vec<PodRecord>, assignments: Vec<Assignment>, settled: u32) -> Model {
    let epoch = Epoch(EPOCH + 900);
    let assignments = assignments.into_iter().collect();
    Model::new(Snapshot { epoch, pods, assignments, settled, members: Members::default(), ..Snapshot::default() })
}

fn keeps_up(_: &PodRecord) -> Option<Lag> {
    Some(Lag { state: Standing::Replicating, ms: 500, bytes: 0 })
}

fn found(model: &Model, lag: impl Fn(&PodRecord) -> Option<Lag>) -> Vec<(Life, Need, u64)> {
    named(model, lag, NOW).into_iter().map(|named| (named.life, named.need, named.targets)).collect()
}

#[test]
fn what_targets_wait_for_is_needed_and_what_it_was_restored_from() {
    let (dead, origin) = (life(2), life(3));
    let data = DataAt { origin: Some(origin.clone()), ..at(&dead) };
    let waits = |n| assignment(n, AssignmentState::Quarantined, Some(data.clone()));
    let model = model(vec![record(1)], vec![waits(1), waits(2), assignment(3, AssignmentState::Serving, None)], 1);
    assert_eq!(found(&model, keeps_up), [(dead, Need::Waiting, 2), (origin, Need::Waiting, 2)]);
}

#[test]
fn what_was_restored_is_needed_until_its_owner_has_it_replicated() {
    let origin = life(3);
    let data = DataAt { origin: Some(origin.clone()), ..at(&life(1)) };
    let serves = assignment(1, AssignmentState::Serving, Some(data));
    let both = [(life(1), Need::NotReplicatedYet, 1), (origin, Need::NotReplicatedYet, 1)];
    let settled = |record, assignment| model(vec![record], vec![assignment], 1);
    assert!(found(&settled(record(1), serves.clone()), keeps_up).is_empty());
    let unknown: [fn(&PodRecord) -> Option<Lag>; 4] = [
        |_| None,
        |_| Some(Lag { state: Standing::Behind, ms: 500, bytes: 0 }),
        |_| Some(Lag::default()),
        |_| Some(Lag { state: Standing::Replicating, ms: 90 * 60 * 1_000, bytes: 0 }),
    ];
    for lag in unknown {
        assert_eq!(found(&settled(record(1), serves.clone()), lag), both);
    }
    let late = Assignment { since_ms: NOW - HOUR + 1, ..serves.clone() };
    assert_eq!(found(&settled(record(1), late), keeps_up), both, "it may not have come in yet");
    for owner in [PodRecord { buried: true, ..record(1) }, PodRecord { report: true, ..record(1) }] {
        assert_eq!(found(&settled(owner, serves.clone()), keeps_up), both);
    }
}

#[test]
fn a_pods_own_lives_are_needed_and_everything_in_a_generation_that_is_not_settled() {
    let mut back = record(11);
    (back.report, back.previous) = (true, Some(life(1).incarnation));
    let needs = |back: PodRecord, settled| LineageNeeds {
        now_ms: NOW,
        generation: 1,
        settled,
        pods: vec![lives(&model(vec![back.clone()], Vec::new(), 1), &back)],
        lives: Vec::new(),
    };
    let known = needs(back.clone(), true);
    assert!(is_needed(&known, &life(11)) && is_needed(&known, &life(1)) && !is_needed(&known, &life(21)));
    assert!(is_needed(&needs(back.clone(), false), &life(21)));
    back.report = false;
    let known = needs(back, true);
    assert!(is_needed(&known, &life(11)) && !is_needed(&known, &life(1)), "it has said what it holds");
}
