use super::*;
use shared::{PodId, Revision, TargetId};

/// A fleet of ordinary pods, `gateway-0` and so on.
pub(super) fn pods(count: usize) -> Vec<PodView> {
    (0..count).map(|n| PodView::ready(pod(n))).collect()
}

pub(super) fn pod(ordinal: usize) -> PodId {
    format!("gateway-{ordinal}").parse().expect("valid")
}

pub(super) fn guild(id: usize) -> TargetId {
    format!("discord:guild:{id}").parse().expect("valid")
}

/// Targets with owners and events per second.
pub(super) fn snapshot(pods: Vec<PodView>, targets: impl IntoIterator<Item = (Option<usize>, f32)>) -> Snapshot {
    let mut builder = Snapshot::of(Revision(7), pods, 0);
    for (id, (owner, events)) in targets.into_iter().enumerate() {
        let owner = owner.and_then(|owner| builder.pod(&pod(owner)));
        let weight = Weight { events, ..Weight::default() };
        builder.add(Entry { target: guild(id), parent: None, owner, weight, rules: None });
    }
    builder.finish()
}

#[test]
fn a_target_never_moves_to_an_older_schema() {
    for (from, to, may) in [
        (None, None, true),
        (None, Some(1), true),
        (Some(1), Some(1), true),
        (Some(1), Some(2), true),
        (Some(2), Some(1), false),
        (Some(1), None, false),
    ] {
        assert_eq!(may_receive(from, to), may, "{from:?} to {to:?}");
    }
}

#[test]
fn what_a_dead_pod_had_goes_to_the_others_and_nothing_else_moves() {
    let mut fleet = pods(3);
    fleet[2].phase = Phase::Dead;
    let before = snapshot(fleet, (0..90).map(|n| (Some(n % 3), 10.0)));
    let made = plan(&before, &Policy::default(), 0);
    assert_eq!(made.moves.len(), 30);
    assert!(made.moves.iter().all(|step| step.reason == Reason::OwnerDead && step.from == Some(pod(2))));
    let to = |n| made.moves.iter().filter(|step| step.to == pod(n)).count();
    assert_eq!((to(0), to(1)), (15, 15));
    assert!((made.cost.moved_over_bound() - 1.0).abs() < 1e-9, "{:?}", made.cost);
    let after = before.after(&made, &Policy::default(), 0);
    assert!(plan(&after, &Policy::default(), 1).is_empty());
}

mod beside;
mod canary;
mod explain;
mod fleets;
mod judged;
mod linter;
mod polishing;
mod properties;
mod rules;
mod scenarios;
mod stages;
