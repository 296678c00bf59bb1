//! What holds for every fleet.

use super::{fleets::*, *};
use proptest::{prelude::*, test_runner::RngSeed};

const NOW: u64 = 100_000;

fn policies(seed: u64) -> Policy {
    let mut dice = Dice::new(seed ^ 1);
    let canary = [0.0, 0.0, 0.2, 0.7][dice.below(4)];
    let targets = [20_000.0, 40.0, 10.0][dice.below(3)];
    Policy { canary, targets, events_per_second: 300.0, ..Policy::default() }
}

/// Where everything is after a plan, without anybody remembering that it moved.
fn moved(parts: &Parts, plan: &Plan) -> Parts {
    let mut parts = parts.clone();
    for part in &mut parts.targets {
        if let Some(step) = plan.moves.iter().find(|step| step.target == part.target) {
            part.owner = Some(step.to.clone());
        }
    }
    parts
}

fn hard(plan: &Plan) -> Vec<String> {
    let hard = plan.moves.iter().filter(|step| step.rank != Rank::Polish);
    let from = |step: &PlannedMove| step.from.as_ref().map(ToString::to_string).unwrap_or_default();
    hard.map(|step| format!("{} {} -> {} {:?}", step.target, from(step), step.to, step.reason)).collect()
}

/// How many cases: 300, or as many as are asked for.
fn cases() -> ProptestConfig {
    let (asked, own) = (ProptestConfig::default(), 300);
    ProptestConfig { cases: asked.cases.max(own), rng_seed: RngSeed::Fixed(6), ..asked }
}

/// Checks that a plan leaves nothing to do for the next one, whether what it moved cools down or not.
fn is_final(seed: u64) -> Result<(), TestCaseError> {
    let (parts, policy) = (anything(seed), policies(seed));
    let snapshot = parts.snapshot();
    let made = plan(&snapshot, &policy, NOW);
    let again = plan(&moved(&parts, &made).snapshot(), &policy, NOW);
    prop_assert!(hard(&again).is_empty(), "{:?}\nthen\n{:?}", hard(&made), hard(&again));
    let cooling = plan(&snapshot.after(&made, &policy, NOW), &policy, NOW + 1);
    prop_assert!(hard(&cooling).is_empty(), "{:?}\nthen, cooling,\n{:?}", hard(&made), hard(&cooling));
    Ok(())
}

#[test]
fn fleets_that_once_left_something_to_do_do_not() {
    for seed in [765_785_785_713_805_295, 11_366_399_598_168_285_739] {
        is_final(seed).unwrap_or_else(|why| panic!("{seed}: {why}"));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_plan_breaks_no_rule_and_leaves_nobody_without_a_pod(seed: u64) {
        let (snapshot, policy) = (anything(seed).snapshot(), policies(seed));
        let made = plan(&snapshot, &policy, NOW);
        prop_assert_eq!(lint(&snapshot, &policy, NOW, &made), []);
        prop_assert_eq!(left_out(&snapshot, &policy, NOW, &made), []);
    }

    #[test]
    fn after_a_plan_there_is_nothing_more_to_do(seed: u64) {
        is_final(seed)?;
    }

    #[test]
    fn a_plan_is_the_same_in_any_order(seed: u64) {
        let (parts, policy) = (anything(seed), policies(seed));
        let mut shuffled = parts.clone();
        let mut dice = Dice::new(seed ^ 2);
        dice.shuffle(&mut shuffled.pods);
        dice.shuffle(&mut shuffled.targets);
        prop_assert_eq!(plan(&parts.snapshot(), &policy, NOW), plan(&shuffled.snapshot(), &policy, NOW));
    }

    #[test]
    fn a_fresh_plan_is_not_stale_and_differs_from_none_but_itself(seed: u64) {
        let (snapshot, policy) = (anything(seed).snapshot(), policies(seed));
        let made = plan(&snapshot, &policy, NOW);
        prop_assert_eq!(is_stale(&made, &snapshot, &policy, |_| false), []);
        prop_assert!(difference(&made, &made).is_empty());
    }

    #[test]
    fn waves_carry_everything_out_within_the_limits(seed: u64, all in 1_usize..20, source in 1_usize..6, destination in 1_usize..6) {
        let (snapshot, policy) = (anything(seed).snapshot(), policies(seed));
        let made = plan(&snapshot, &policy, NOW);
        let limits = Limits { in_flight: all, per_source: source, per_destination: destination };
        let (mut begun, mut under_way) = (std::collections::BTreeSet::new(), Vec::<Ready<'_>>::new());
        let mut dice = Dice::new(seed);
        while begun.len() < made.moves.len() {
            let mut traffic = Traffic::default();
            under_way.iter().for_each(|one| traffic.add(one.from, one.to));
            let wave = next_wave(made.ready(|at| begun.contains(&at)), &traffic, &limits);
            prop_assert!(!wave.is_empty() || !under_way.is_empty(), "nothing goes on");
            prop_assert!(wave.is_sorted(), "the most urgent first");
            under_way.extend(made.ready(|at| !wave.contains(&at)));
            let all_begin = wave.iter().all(|at| begun.insert(*at));
            prop_assert!(all_begin, "one begins twice");
            for family in wave.iter().filter_map(|at| made.moves[*at].family) {
                let members = made.moves.iter().filter(|step| step.family == Some(family)).count();
                let together = made.ready(|at| !wave.contains(&at)).filter(|one| one.family == Some(family)).count();
                prop_assert!(together == members || members > all.min(source).min(destination), "a family is parted");
            }
            let most = |pod: &PodId| {
                let from = under_way.iter().filter(|one| one.from == Some(pod)).count();
                (from, under_way.iter().filter(|one| one.to == pod).count())
            };
            prop_assert!(under_way.len() <= all);
            prop_assert!(snapshot.pods().iter().map(|view| most(&view.pod)).all(|(from, to)| from <= source && to <= destination));
            under_way.remove(dice.below(under_way.len()));
        }
    }
}
