//! The canary track: who is on it, and that a larger share only adds.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn fleet() -> Snapshot {
    let mut fleet = pods(6);
    (fleet[4].track, fleet[5].track) = (Track::Canary, Track::Canary);
    snapshot(fleet, (0..600).map(|n| (Some(n % 4), 1.0)))
}

fn share(canary: f64) -> Policy {
    Policy { canary, ..Policy::default() }
}

fn on_canary(snapshot: &Snapshot) -> BTreeSet<TargetId> {
    let canary = |view: &&TargetView| view.owner().is_some_and(|at| snapshot.pods()[at].track == Track::Canary);
    snapshot.targets().iter().filter(canary).map(|view| view.target.clone()).collect()
}

#[test]
fn a_share_of_targets_goes_to_the_canary_and_all_return_when_it_ends() {
    let before = fleet();
    let made = plan(&before, &share(0.2), 0);
    let during = before.after(&made, &share(0.2), 0);
    assert!((90..150).contains(&on_canary(&during).len()), "{}", on_canary(&during).len());
    assert!(made.moves.iter().all(|step| step.reason == Reason::Track));
    let back = plan(&during, &share(0.0), 1);
    assert!(on_canary(&during.after(&back, &share(0.0), 1)).is_empty());
}

#[test]
fn a_list_counts_more_than_a_share() {
    let mut before = fleet();
    before.rules_mut(17).track = Some(Track::Canary);
    let made = plan(&before, &share(0.0), 0);
    assert_eq!(made.moves.len(), 1);
    assert_eq!(made.moves[0].target, before.targets()[17].target);
    let mut kept = fleet();
    (0..600).for_each(|at| kept.rules_mut(at).track = Some(Track::Stable));
    assert!(plan(&kept, &share(0.9), 0).is_empty());
}

#[test]
fn without_a_pod_of_its_own_the_canary_is_with_the_others() {
    let mut before = fleet();
    let made = plan(&before, &share(0.2), 0);
    before = before.after(&made, &share(0.2), 0);
    (before.pod_mut(4).phase, before.pod_mut(5).phase) = (Phase::Dead, Phase::Dead);
    let made = plan(&before, &share(0.2), 1);
    assert!(made.warnings.contains(&Warning::NoCanaryPod));
    assert!(on_canary(&before.after(&made, &share(0.2), 1)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn growing_a_share_only_adds(first in 0.0_f64..0.6, more in 0.0_f64..0.4) {
        let before = fleet();
        let small = before.after(&plan(&before, &share(first), 0), &share(first), 0);
        let made = plan(&small, &share(first + more), 1);
        let large = small.after(&made, &share(first + more), 1);
        prop_assert!(on_canary(&small).is_subset(&on_canary(&large)));
        let forced = made.moves.iter().filter(|step| step.rank == Rank::Forced);
        for step in forced {
            prop_assert!(!on_canary(&small).contains(&step.target));
        }
    }
}
