//! The linter finds each fault in a plan that was made wrong on purpose.

use super::*;

/// Two pods that differ in everything, and a plan that fills a third.
pub(super) fn world() -> (Snapshot, Policy, Plan) {
    let before = snapshot(pods(3), (0..60).map(|n| (Some(n % 2), 10.0)));
    let policy = Policy { events_per_second: 400.0, ..Policy::default() };
    let made = plan(&before, &policy, 50);
    assert!(made.moves.len() > 15 && lint(&before, &policy, 50, &made).is_empty());
    (before, policy, made)
}

/// The same, and a fourth pod that is to be empty.
pub(super) fn mixed() -> (Snapshot, Policy, Plan) {
    let mut fleet = pods(4);
    fleet[3].phase = Phase::Draining;
    let before = snapshot(fleet, (0..66).map(|n| (Some(if n < 60 { n % 2 } else { 3 }), 10.0)));
    let policy = Policy { events_per_second: 400.0, ..Policy::default() };
    let made = plan(&before, &policy, 50);
    let (drained, free): (Vec<_>, Vec<_>) = made.moves.iter().partition(|step| step.rank == Rank::Drain);
    assert!(drained.len() == 6 && free.len() > 12 && lint(&before, &policy, 50, &made).is_empty(), "{made:?}");
    assert!(made.moves.iter().all(|step| step.to == pod(2)));
    (before, policy, made)
}

pub(super) fn kinds(snapshot: &Snapshot, policy: &Policy, plan: &Plan) -> Vec<String> {
    let kind = |fault: &Fault| {
        let value = serde_json::to_value(fault).expect("JSON");
        value["kind"].as_str().expect("a kind").to_owned()
    };
    lint(snapshot, policy, 50, plan).iter().map(kind).collect()
}

#[track_caller]
fn finds(kind: &str, spoil: impl FnOnce(&mut Snapshot, &mut Policy, &mut Plan)) {
    let (mut snapshot, mut policy, mut made) = world();
    spoil(&mut snapshot, &mut policy, &mut made);
    let found = kinds(&snapshot, &policy, &made);
    assert!(found.iter().any(|found| found == kind), "{kind}: {found:?}");
}

/// Sends so many of a pod's targets that stay there to another one, for balance.
pub(super) fn push(snapshot: &Snapshot, plan: &mut Plan, from: usize, to: usize, many: usize) {
    let stays = |view: &&TargetView| plan.moves.iter().all(|step| step.target != view.target);
    let here = snapshot.targets().iter().filter(|view| view.owner() == Some(from)).filter(stays).take(many);
    let like = PlannedMove { reason: Reason::Shed, rank: Rank::Rebalance, ..plan.moves[0].clone() };
    let step = |view: &TargetView| PlannedMove {
        target: view.target.clone(),
        from: Some(pod(from)),
        to: pod(to),
        ..like.clone()
    };
    let more: Vec<_> = here.map(step).collect();
    assert_eq!(more.len(), many);
    plan.moves.extend(more);
}

/// Makes the first so many of what moves for balance much heavier.
pub(super) fn weigh_free(snapshot: &mut Snapshot, plan: &Plan, many: usize) {
    for step in plan.moves.iter().filter(|step| step.rank == Rank::Rebalance).take(many) {
        let at = snapshot.target(&step.target).expect("there");
        snapshot.weigh(at, Weight { events: 50.0, ..Weight::default() });
    }
}

fn first(snapshot: &Snapshot, plan: &Plan) -> usize {
    snapshot.target(&plan.moves[0].target).expect("there")
}

#[test]
fn each_fault_is_found() {
    finds("twice", |_, _, plan| plan.moves.push(plan.moves[0].clone()));
    finds("not-there", |_, _, plan| plan.moves[0].from = Some(pod(2)));
    finds("not-there", |_, _, plan| plan.moves[0].to = pod(9));
    finds("not-there", |snapshot, policy, plan| snapshot.give(first(snapshot, plan), 2, policy, 0));
    finds("closed", |snapshot, _, _| snapshot.pod_mut(2).cordoned = true);
    finds("closed", |snapshot, _, _| snapshot.pod_mut(2).phase = Phase::Draining);
    finds("closed", |snapshot, _, _| snapshot.pod_mut(2).in_range = false);
    finds("pinned", |snapshot, _, plan| {
        let at = first(snapshot, plan);
        let pod = plan.moves[0].from.clone().expect("it has an owner");
        snapshot.rules_mut(at).pin = Some(Pin { pod, until_ms: Some(51) });
    });
    finds("held", |snapshot, _, plan| {
        snapshot.rules_mut(first(snapshot, plan)).moved = Some(Moved { at_ms: 40, times: 1 });
    });
    finds("held", |snapshot, _, plan| snapshot.rules_mut(first(snapshot, plan)).moving = true);
    finds("older-schema", |snapshot, _, _| {
        (0..3).for_each(|pod| snapshot.pod_mut(pod).schema = Some((pod < 2).then_some(1)));
    });
    finds("wrong-zone", |snapshot, _, plan| {
        let zone = Some(ZoneRule { zone: "a".to_owned(), hard: true });
        snapshot.rules_mut(first(snapshot, plan)).zone = zone;
    });
    finds("wrong-track", |snapshot, _, _| snapshot.pod_mut(2).track = Track::Canary);
    finds("apart", |snapshot, _, plan| {
        let group = || Some(Group { name: "whole".to_owned(), whole: true });
        snapshot.rules_mut(first(snapshot, plan)).group = group();
        let stays = |at: &usize| plan.moves.iter().all(|step| step.target != snapshot.targets()[*at].target);
        let other = (0..60).find(stays).expect("most stay");
        snapshot.rules_mut(other).group = group();
    });
    finds("too-much", |snapshot, _, plan| weigh_free(snapshot, plan, 8));
    finds("worse", |snapshot, _, plan| push(snapshot, plan, 0, 2, 20));
}

#[test]
fn what_moves_for_balance_is_judged_beside_what_has_to_move() {
    let spoilt = |spoil: &dyn Fn(&mut Snapshot, &mut Plan)| {
        let (mut snapshot, policy, mut made) = mixed();
        spoil(&mut snapshot, &mut made);
        kinds(&snapshot, &policy, &made)
    };
    assert_eq!(spoilt(&|snapshot, plan| push(snapshot, plan, 0, 2, 10)), ["worse"]);
    assert_eq!(spoilt(&|snapshot, plan| push(snapshot, plan, 1, 2, 20)), ["too-much", "worse"]);
    assert_eq!(spoilt(&|snapshot, plan| weigh_free(snapshot, plan, 8)), ["too-much", "worse"]);
    // What has to move may fill a pod beyond its band: nobody is to blame for that.
    let fill = |plan: &mut Plan| {
        plan.moves.retain(|step| step.rank == Rank::Drain);
        plan.moves.iter_mut().for_each(|step| step.to = pod(0));
    };
    assert_eq!(spoilt(&|_, plan| fill(plan)), [] as [&str; 0]);
    // Then what relieves the fullest may leave another one above its band, but not fuller than that was.
    let relieve = |snapshot: &mut Snapshot, plan: &mut Plan, many| {
        fill(plan);
        push(snapshot, plan, 0, 1, many);
    };
    assert_eq!(spoilt(&|snapshot, plan| relieve(snapshot, plan, 5)), [] as [&str; 0]);
    assert_eq!(spoilt(&|snapshot, plan| relieve(snapshot, plan, 8)), ["worse"]);
}

#[test]
fn who_is_left_without_a_pod_is_named() {
    let (mut snapshot, policy, mut made) = world();
    snapshot.pod_mut(0).phase = Phase::Dead;
    let left = left_out(&snapshot, &policy, 50, &made).len();
    assert_eq!(left + made.moves.iter().filter(|step| step.from == Some(pod(0))).count(), 30);
    made = plan(&snapshot, &policy, 50);
    assert_eq!(left_out(&snapshot, &policy, 50, &made), []);
}
