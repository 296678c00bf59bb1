//! What is only wished for: a potential that falls, a budget, and a price.

use super::{fleets::*, *};

/// Pods in two zones in turn, and targets in balance of which every third prefers a zone.
fn fleet(seed: u64) -> Snapshot {
    let mut fleet = pods(6);
    for (n, view) in fleet.iter_mut().enumerate() {
        view.zone = Some(["a", "b"][n % 2].to_owned());
    }
    let mut dice = Dice::new(seed);
    let weights = weights(&mut dice, Shape::Uniform, 1_200, 6);
    let owners = balanced(&weights, 6);
    let mut snapshot = snapshot(fleet, owners.into_iter().map(Some).zip(weights));
    for at in (0..1_200).step_by(3) {
        let zone = ["a", "b"][dice.below(2)].to_owned();
        snapshot.rules_mut(at).zone = Some(ZoneRule { zone, hard: false });
    }
    snapshot
}

/// The weight that is not where it would like to be.
fn unhappy(snapshot: &Snapshot) -> f64 {
    let weight = |view: &TargetView| {
        let zone = view.rules.as_ref().and_then(|rules| rules.zone.as_ref())?;
        let here = view.owner().and_then(|at| snapshot.pods()[at].zone.clone());
        (here.as_deref() != Some(zone.zone.as_str())).then_some(f64::from(view.weight.events))
    };
    snapshot.targets().iter().filter_map(weight).sum()
}

#[test]
fn each_round_brings_a_hundredth_of_the_weight_nearer_to_its_wishes_until_none_is_worth_it() {
    let policy = Policy { cooldown_ms: 0, ..events_only() };
    let mut now = fleet(1);
    let all: f64 = now.targets().iter().map(|view| f64::from(view.weight.events)).sum();
    let (mut before, mut rounds) = (unhappy(&now), 0);
    loop {
        let made = plan(&now, &policy, rounds);
        if made.is_empty() {
            break;
        }
        assert!(made.moves.iter().all(|step| step.rank == Rank::Polish));
        assert!(made.cost.moved == 0.0 && made.cost.polished * policy.events_per_second <= all * 0.01 + 1e-6);
        assert!(made.skew.after <= 1.05 + 1e-6, "{:?}", made.skew);
        assert_eq!(lint(&now, &policy, rounds, &made), []);
        now = now.after(&made, &policy, rounds);
        let left = unhappy(&now);
        assert!(left < before, "{left} after {before}");
        (before, rounds) = (left, rounds + 1);
    }
    assert!(rounds > 5 && before < all * 0.02, "{before} of {all} in {rounds} rounds");
}

#[test]
fn a_price_above_what_it_is_worth_moves_nobody() {
    let mut policy = events_only();
    policy.polish.price = 1.5;
    assert!(plan(&fleet(2), &policy, 0).is_empty());
    policy = events_only();
    policy.polish.evaluations = 0;
    assert!(plan(&fleet(2), &policy, 0).is_empty());
}

#[test]
fn nothing_is_polished_while_something_must_move() {
    let mut before = fleet(3);
    before.pod_mut(5).phase = Phase::Draining;
    let made = plan(&before, &events_only(), 0);
    assert!(made.moves.iter().all(|step| step.rank == Rank::Drain));
}

#[test]
fn a_group_that_likes_to_be_together_gathers() {
    let policy = Policy { cooldown_ms: 0, polish: Polish { share: 1.0, ..Polish::default() }, ..events_only() };
    let mut now = snapshot(pods(4), (0..400).map(|n| (Some(n % 4), 10.0)));
    for n in 0..8 {
        let at = now.target(&guild(n)).expect("there");
        now.rules_mut(at).group = Some(Group { name: "friends".to_owned(), whole: false });
    }
    let pods_of = |now: &Snapshot| {
        let owner = |n: usize| now.targets()[now.target(&guild(n)).expect("there")].owner();
        (0..8).map(owner).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(pods_of(&now), 4);
    for round in 0..20 {
        now = now.after(&plan(&now, &policy, round), &policy, round);
    }
    assert_eq!(pods_of(&now), 1);
}

#[test]
fn within_the_band_nobody_moves_for_evenness_alone() {
    let mut targets: Vec<_> = (0..400).map(|n| (Some(n % 4), 1.0)).collect();
    (targets[0].0, targets[4].0, targets[8].0) = (Some(1), Some(1), Some(1));
    let before = snapshot(pods(4), targets);
    assert!(plan(&before, &events_only(), 0).is_empty());
    let mut keen = events_only();
    keen.polish.price = 0.01;
    let made = plan(&before, &keen, 0);
    assert!(!made.is_empty() && made.moves.iter().all(|step| step.reason == Reason::Even), "{:?}", made.moves);
}
