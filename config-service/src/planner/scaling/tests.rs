use super::*;
use crate::planner::autoscale::{Decision, Hold, Way};
use shared::wire::admin::ScaleOrder;

fn pod(n: u32) -> PodId {
    format!("gateway-{n}").parse().expect("valid")
}

fn set(replicas: u32, there: impl IntoIterator<Item = u32>) -> Set {
    Set { prefix: "gateway".to_owned(), start: 0, replicas, there: there.into_iter().collect(), rollout: None }
}

fn owner() -> Known {
    Known { ready: true, matters: true, draining: false, empty: false, progress: "9 targets left".to_owned() }
}

fn draining() -> Known {
    Known { draining: true, ..owner() }
}

fn drained() -> Known {
    Known { draining: true, empty: true, ..owner() }
}

fn gone() -> Known {
    Known { ready: false, matters: false, draining: true, empty: true, progress: String::new() }
}

fn known(pods: &[(u32, Known)]) -> BTreeMap<PodId, Known> {
    pods.iter().map(|(n, known)| (pod(*n), known.clone())).collect()
}

fn fleet(n: u32) -> BTreeMap<PodId, Known> {
    (0..n).map(|n| (pod(n), owner())).collect()
}

#[test]
fn more_pods_are_simply_asked_for_and_waited_for_until_they_are_ready() {
    let nobody = BTreeSet::new();
    assert_eq!(next(&set(3, 0..3), &fleet(3), Some(5), &nobody), [Step::Scale { from: 3, to: 5 }]);
    let not_yet = next(&set(5, 0..4), &fleet(4), Some(5), &nobody);
    assert_eq!(not_yet, [Step::Wait("gateway-4 is not ready yet".to_owned())]);
    assert_eq!(next(&set(5, 0..5), &fleet(5), Some(5), &nobody), [Step::Done]);
}

#[test]
fn those_that_leave_are_drained_highest_first_and_none_is_stopped_before_all_are_empty() {
    let nobody = BTreeSet::new();
    let begin = next(&set(5, 0..5), &fleet(5), Some(2), &nobody);
    let wait = |n| Step::Wait(format!("gateway-{n} is being emptied: 9 targets left"));
    assert_eq!(begin, [Step::Drain(pod(4)), Step::Drain(pod(3)), Step::Drain(pod(2)), wait(4)]);
    let mut pods = fleet(5);
    pods.extend(known(&[(4, drained()), (3, drained()), (2, draining())]));
    assert_eq!(next(&set(5, 0..5), &pods, Some(2), &nobody), [wait(2)]);
    pods.insert(pod(2), drained());
    assert_eq!(next(&set(5, 0..5), &pods, Some(2), &nobody), [Step::Scale { from: 5, to: 2 }]);
    let stopping = next(&set(2, 0..4), &pods, Some(2), &nobody);
    assert_eq!(stopping, [Step::Wait("gateway-3 is stopping".to_owned())]);
    assert_eq!(next(&set(2, 0..2), &pods, Some(2), &nobody), [Step::Done]);
}

#[test]
fn a_number_out_of_range_is_drained_whoever_took_it_away() {
    let nobody = BTreeSet::new();
    let steps = next(&set(2, 0..4), &fleet(4), None, &nobody);
    assert_eq!(steps, [Step::Drain(pod(3)), Step::Drain(pod(2))]);
    let shifted = Set { start: 2, ..set(2, 2..4) };
    assert_eq!(next(&shifted, &fleet(4), None, &nobody), [Step::Drain(pod(1)), Step::Drain(pod(0))]);
    let mut pods = fleet(2);
    pods.extend(known(&[(2, gone()), (3, gone())]));
    assert_eq!(next(&set(2, 0..2), &pods, None, &nobody), []);
}

#[test]
fn a_number_that_is_wanted_again_is_undrained_only_if_leaving_was_why() {
    let mut pods = fleet(2);
    pods.extend(known(&[(2, gone()), (3, draining())]));
    let emptied = BTreeSet::from([pod(2)]);
    assert_eq!(next(&set(4, 0..2), &pods, None, &emptied), [Step::Undrain(pod(2))]);
    let back = next(&set(4, 0..4), &pods, Some(4), &BTreeSet::from([pod(2), pod(3)]));
    assert_eq!(back[..2], [Step::Undrain(pod(3)), Step::Undrain(pod(2))]);
}

#[test]
fn an_order_for_more_while_pods_leave_does_not_wait_for_them() {
    let mut pods = fleet(3);
    pods.extend(known(&[(3, draining()), (4, draining())]));
    let emptied = BTreeSet::from([pod(3), pod(4)]);
    let steps = next(&set(3, 0..5), &pods, Some(5), &emptied);
    assert_eq!(steps, [Step::Scale { from: 3, to: 5 }]);
}

#[test]
fn pods_of_another_name_are_not_touched() {
    let mut pods = fleet(2);
    for name in ["canary-7", "gateway", "gateway-x", "gateway-07", "gateway-2-1"] {
        pods.insert(name.parse().expect("valid"), owner());
    }
    assert_eq!(next(&set(2, 0..2), &pods, Some(2), &BTreeSet::new()), [Step::Done]);
}

#[test]
fn whoever_leads_next_comes_to_the_same_end_from_wherever_it_stood() {
    // Plays the steps to the end, with another leader, who knows only what is written, before each.
    for (from, to) in [(5, 2), (2, 5), (3, 3), (4, 1)] {
        let (mut set, mut pods, mut emptied) = (set(from, 0..from), fleet(from), BTreeSet::new());
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 50, "{from} to {to} does not end: {set:?} {pods:?}");
            let Some(step) = next(&set, &pods, Some(to), &emptied).into_iter().next() else { panic!("a step") };
            match step {
                Step::Drain(pod) => {
                    emptied.insert(pod.clone());
                    pods.insert(pod, draining());
                }
                Step::Undrain(pod) => {
                    emptied.remove(&pod);
                    pods.insert(pod, owner());
                }
                Step::Scale { to, .. } => {
                    let leaving = (to..set.replicas).map(pod);
                    assert!(leaving.clone().all(|pod| pods[&pod] == drained()), "stopped before it was empty");
                    leaving.for_each(|pod| drop(pods.insert(pod, gone())));
                    set.replicas = to;
                }
                Step::Wait(why) if why.contains("emptied") => {
                    let busy = pods.iter().find(|(_, known)| **known == draining()).map(|(pod, _)| pod.clone());
                    pods.insert(busy.expect("one"), drained());
                }
                Step::Wait(_) => {
                    set.there = (0..set.replicas).collect();
                    for pod in (0..set.replicas).map(pod) {
                        pods.entry(pod).or_insert_with(owner);
                    }
                }
                Step::Done => break,
            }
        }
        assert_eq!(set.there, (0..to).collect());
    }
}

fn order(from: u32, to: u32) -> ScaleOrder {
    let (actor, reason, waiting) = ("somebody".to_owned(), "because".to_owned(), String::new());
    ScaleOrder { from, to, actor, reason, begun_ms: 1_000, waiting }
}

#[test]
fn what_was_counted_outlives_a_leader() {
    let mut ledger = Ledger { order: Some(order(3, 5)), ..Ledger::default() };
    ledger.ended(5_000, None);
    ledger.order = Some(order(5, 2));
    ledger.ended(3_000, None);
    ledger.order = Some(order(2, 3));
    ledger.ended(9_000, Some("may not patch".to_owned()));
    [true, true, false, true].into_iter().for_each(|whole| ledger.looked(whole));
    let counts = Ledger::read(&ledger.text()).statistics();
    assert_eq!((counts.total_scale_ups, counts.total_scale_downs, counts.failed_scale_ops), (1, 1, 1));
    assert_eq!((counts.average_scale_duration, counts.uptime_percent), (3.0, 75.0));
    let last = counts.last_scale_event.expect("one");
    assert_eq!((last.to, last.failure.as_deref()), (3, Some("may not patch")));
    assert_eq!(Ledger::read("not json"), Ledger::default());
    assert_eq!(Ledger::default().statistics().uptime_percent, 100.0);
}

#[test]
fn a_decision_is_remembered_when_it_is_another_one() {
    let mut ledger = Ledger::default();
    let stay = Decision { desired: Some(3), way: Way::Stay, why: "w".into(), why_not: Vec::new(), ratios: [None; 4] };
    assert!(ledger.decided(1, Some(3), &stay));
    assert!(!ledger.decided(2, Some(3), &Decision { why: "other numbers".into(), ..stay.clone() }));
    assert!(ledger.decided(3, Some(3), &Decision { why_not: vec![Hold::Canary], ..stay.clone() }));
    assert!((0..50_u32).all(|n| ledger.decided(4, Some(n), &stay)));
    assert_eq!((ledger.decisions().len(), ledger.decisions()[0].replicas), (DECISIONS_KEPT, Some(49)));
}

const DECISIONS_KEPT: usize = 20;

#[test]
fn a_range_keeps_its_own_numbers_and_asks_nobody_else() {
    let keeps = |range: &Range, name: &str| range.keeps(&name.parse().expect("valid"));
    let range = Set { start: 2, ..set(3, 2..5) }.range(None);
    for (name, kept) in [
        ("gateway-1", false),
        ("gateway-2", true),
        ("gateway-4", true),
        ("gateway-5", false),
        ("gateway-4294967295", false),
        // Whatever is called otherwise is not one of the set's.
        ("gateway", true),
        ("gateway-05", true),
        ("gateway-4294967296", true),
        ("gateway-blue-9", true),
        ("gatewayb-9", true),
        ("other-9", true),
    ] {
        assert_eq!(keeps(&range, name), kept, "{name}");
    }
    let kept = |order| (0..6).filter(|n| keeps(&set(4, 0..4).range(order), &format!("gateway-{n}"))).count();
    assert_eq!(kept(None), 4);
    assert_eq!(kept(Some(2)), 2, "what an order takes away leaves before anybody stops it");
    assert_eq!(kept(Some(6)), 4, "what is not there yet is not kept");
    assert_eq!(kept(Some(0)), 0);
}
