//! What the planner says of a target and a pod.

use super::*;

fn answer(snapshot: &Snapshot, target: usize, at: usize, decider: Decider) -> Answer {
    let seen = consider(snapshot, &Policy::default(), 50, &guild(target), None).expect("known");
    let there = seen.pods.iter().find(|considered| considered.pod == pod(at)).expect("shown");
    there.verdicts.iter().find(|verdict| verdict.decider == decider).expect("asked").answer
}

fn fleet() -> Snapshot {
    snapshot(pods(3), (0..30).map(|n| (Some(n % 2), 1.0)))
}

#[test]
fn every_decider_is_asked_about_every_pod_and_has_a_sentence() {
    let seen = consider(&fleet(), &Policy::default(), 0, &guild(4), None).expect("known");
    assert_eq!(seen.pods.len(), 3);
    for verdict in seen.pods.iter().flat_map(|considered| &considered.verdicts) {
        assert!(!verdict.sentence.is_empty());
        assert!(verdict.answer != Answer::Yes || verdict.remedy.is_none());
    }
    assert_eq!(seen.owner, Some(pod(0)));
    assert!(consider(&fleet(), &Policy::default(), 0, &guild(99), None).is_none());
}

#[test]
fn each_decider_says_no_where_it_should() {
    let at = |snapshot: &Snapshot| snapshot.target(&guild(4)).expect("there");
    let says = |decider, spoil: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = fleet();
        assert_eq!(answer(&snapshot, 4, 2, decider), Answer::Yes, "{decider:?}");
        spoil(&mut snapshot);
        answer(&snapshot, 4, 2, decider)
    };
    use Answer::{No, Throttle};
    assert_eq!(says(Decider::Phase, &|s| s.pod_mut(2).phase = Phase::Suspect), Throttle);
    assert_eq!(says(Decider::Phase, &|s| s.pod_mut(2).phase = Phase::Dead), No);
    assert_eq!(says(Decider::Cordon, &|s| s.pod_mut(2).cordoned = true), No);
    assert_eq!(says(Decider::Range, &|s| s.pod_mut(2).in_range = false), No);
    assert_eq!(says(Decider::Track, &|s| s.pod_mut(2).track = Track::Canary), No);
    let hard = || Some(ZoneRule { zone: "a".to_owned(), hard: true });
    assert_eq!(says(Decider::Zone, &|s| s.rules_mut(at(s)).zone = hard()), No);
    let pin = || Some(Pin { pod: pod(1), until_ms: None });
    assert_eq!(says(Decider::Pin, &|s| s.rules_mut(at(s)).pin = pin()), No);
    let old = |s: &mut Snapshot| (0..3).for_each(|pod| s.pod_mut(pod).schema = Some((pod < 2).then_some(1)));
    assert_eq!(says(Decider::Schema, &old), No);
    assert_eq!(says(Decider::Moving, &|s| s.rules_mut(at(s)).moving = true), Throttle);
    let moved = |times| Some(Moved { at_ms: 40, times });
    assert_eq!(says(Decider::Cooldown, &|s| s.rules_mut(at(s)).moved = moved(1)), Throttle);
    assert_eq!(says(Decider::Frozen, &|s| s.rules_mut(at(s)).moved = moved(10)), Throttle);
    assert_eq!(says(Decider::Room, &|s| s.pod_mut(2).capacity = 0.0), No);
    let heavy = Weight { events: 5_000.0, ..Weight::default() };
    assert_eq!(says(Decider::Room, &|s| s.weigh(at(s), heavy)), Throttle);
    assert_eq!(says(Decider::Band, &|s| s.weigh(at(s), heavy)), Throttle);
    assert_eq!(answer(&fleet(), 4, 0, Decider::Here), No);
}

#[test]
fn where_a_plan_takes_a_target_is_where_it_should_be() {
    let snapshot = fleet();
    let made = plan(&snapshot, &Policy::default(), 0);
    let step = &made.moves[0];
    let seen = consider(&snapshot, &Policy::default(), 0, &step.target, Some(&made)).expect("known");
    assert_eq!((seen.desired, seen.reason), (Some(pod(2)), Some(Reason::Shed)));
}
