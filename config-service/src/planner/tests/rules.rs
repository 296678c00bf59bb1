//! What the planner is to prefer where several plans would do: each rule where breaking it shows.

use super::{fleets::*, *};
use std::collections::BTreeMap;

/// What each pod carries after a plan, in events per second.
fn loads(before: &Snapshot, made: &Plan) -> BTreeMap<PodId, f32> {
    let after = before.after(made, &events_only(), 0);
    let mut loads: BTreeMap<_, _> = after.pods().iter().map(|view| (view.pod.clone(), 0.0)).collect();
    for view in after.targets() {
        *loads.get_mut(after.owner_of(view).expect("it has an owner")).expect("a pod") += view.weight.events;
    }
    loads
}

fn moved(made: &Plan) -> Vec<TargetId> {
    made.moves.iter().map(|step| step.target.clone()).collect()
}

#[test]
fn of_what_must_move_the_heaviest_is_placed_first_and_goes_first() {
    let mut fleet = pods(3);
    fleet[2].phase = Phase::Dead;
    let before = snapshot(fleet, [30.0, 40.0, 30.0, 50.0, 30.0].map(|events| (Some(2), events)));
    let made = plan(&before, &events_only(), 0);
    // The lightest first, one pod would be left with 110, and nothing could be moved to mend that.
    let fullest = loads(&before, &made).into_values().fold(0.0, f32::max);
    assert_eq!(fullest, 100.0, "{:?}", loads(&before, &made));
    assert_eq!(moved(&made), [3, 1, 0, 2, 4].map(guild));
}

#[test]
fn a_pod_sheds_what_is_above_its_band_and_no_more() {
    let owner = |n: usize| if n < 2_000 { n % 20 } else { 0 };
    let before = snapshot(pods(20), (0..2_030).map(|n| (Some(owner(n)), 1.0)));
    let made = plan(&before, &events_only(), 0);
    // The mean is 101.5, the band ends at 106.575, and the pod has 130.
    assert_eq!(made.moves.len(), 24);
    assert!(made.moves.iter().all(|step| step.reason == Reason::Shed && step.from == Some(pod(0))));
}

#[test]
fn a_target_that_is_more_than_half_the_mean_stays_although_it_would_do_alone() {
    let light = (0..35).map(|n| (Some(usize::from(n >= 30)), 4.0));
    let before = snapshot(pods(2), [(Some(0), 60.0)].into_iter().chain(light));
    let made = plan(&before, &events_only(), 0);
    assert!(!made.is_empty() && !moved(&made).contains(&guild(0)), "{:?}", made.moves);
}

#[test]
fn shares_follow_capacities() {
    let fleet = || {
        let mut fleet = pods(3);
        fleet[0].capacity = 2.0;
        fleet
    };
    let even = snapshot(fleet(), (0..40).map(|n| (Some([0, 0, 1, 2][n % 4]), 10.0)));
    let made = plan(&even, &events_only(), 0);
    assert!(made.is_empty() && made.warnings.is_empty() && made.skew.before < 1.000_001, "{made:?}");
    let piled = snapshot(fleet(), (0..400).map(|_| (Some(1), 1.0)));
    let loads = loads(&piled, &plan(&piled, &events_only(), 0));
    for (n, share) in [200.0, 100.0, 100.0].into_iter().enumerate() {
        let load = loads[&pod(n)];
        assert!((load / share - 1.0).abs() <= 0.051, "{n}: {load} of {share}");
    }
}

#[test]
fn nobody_carries_more_than_is_meant_while_others_have_room() {
    let policy = Policy { events_per_second: 100.0, ..events_only() };
    let before = snapshot(pods(2), (0..194).map(|n| (Some(usize::from(n >= 101)), 1.0)));
    // Both are within their band.
    assert!(plan(&before, &events_only(), 0).is_empty());
    assert_eq!(plan(&before, &policy, 0).moves.len(), 1);
}

#[test]
fn of_two_that_weigh_the_same_the_cheaper_one_moves() {
    let mut before = snapshot(pods(2), (0..40).map(|n| (Some(usize::from(n >= 30)), 10.0)));
    for at in 0..40 {
        let n: usize = before.targets()[at].target.id().parse().expect("a number");
        if n.is_multiple_of(2) {
            before.weigh(at, Weight { events: 10.0, bytes: 5e8, sockets: 0.0 });
        }
    }
    let made = plan(&before, &events_only(), 0);
    assert!(made.moves.len() > 5 && made.cost.bytes == 0, "{:?}", made.cost);
}

#[test]
fn a_whole_group_stays_whole_and_a_pin_keeps_the_whole_of_it() {
    let mut before = snapshot(pods(2), (0..60).map(|_| (Some(0), 10.0)));
    for n in 0..12 {
        let at = before.target(&guild(n)).expect("there");
        before.rules_mut(at).group = Some(Group { name: format!("g{}", n % 3), whole: true });
    }
    let at = before.target(&guild(3)).expect("there");
    before.rules_mut(at).pin = Some(Pin { pod: pod(0), until_ms: None });
    let made = plan(&before, &events_only(), 0);
    let goes = |n: usize| made.moves.iter().any(|step| step.target == guild(n));
    for group in 0..3 {
        let members = (0..4).filter(|n| goes(group + 3 * n)).count();
        assert!(members == 0 || (members == 4 && group != 0), "{members} of group {group}");
    }
    assert!(loads(&before, &made)[&pod(1)] >= 280.0, "{:?}", made.skew);
}

#[test]
fn what_is_pinned_to_a_pod_that_takes_nothing_does_not_leave_it_for_balance() {
    let mut fleet = pods(2);
    fleet[0].cordoned = true;
    let mut before = snapshot(fleet, (0..60).map(|_| (Some(0), 10.0)));
    for at in 0..30 {
        before.rules_mut(at).pin = Some(Pin { pod: pod(0), until_ms: None });
    }
    let made = plan(&before, &events_only(), 0);
    assert!(made.moves.len() >= 28, "{}", made.moves.len());
    for step in &made.moves {
        let rules = &before.targets()[before.target(&step.target).expect("there")].rules;
        assert!(rules.is_none(), "{} is pinned", step.target);
    }
}
