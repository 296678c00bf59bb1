//! How much moves when something happens, against the least that would have to (PLACEMENT.md, Lower bound): in every
//! scenario whose heaviest target is at most 1 % of the mean load.

use super::{fleets::*, *};
use proptest::{prelude::*, test_runner::RngSeed};

const SHAPES: [Shape; 3] = [Shape::Equal, Shape::Zipf, Shape::Uniform];

/// A fleet in balance: its pods, and where each target is and what it weighs.
fn fleet(seed: u64, count: usize, per_pod: usize) -> (Vec<PodView>, Vec<(Option<usize>, f32)>) {
    let mut dice = Dice::new(seed);
    let shape = SHAPES[dice.below(3)];
    let weights = weights(&mut dice, shape, count * per_pod, count);
    let owners = balanced(&weights, count);
    (pods(count), owners.into_iter().map(Some).zip(weights).collect())
}

/// What is promised of every scenario.
#[track_caller]
fn is_frugal(before: &Snapshot) -> Result<Plan, TestCaseError> {
    let policy = events_only();
    let made = plan(before, &policy, 0);
    prop_assert!(made.cost.moved_over_bound() <= 1.02, "{:?} of {:?}", made.cost, made.skew);
    prop_assert!(made.skew.after <= 1.05 + 1e-6, "{:?}", made.skew);
    prop_assert!(hard_is_empty(&plan(&before.after(&made, &policy, 0), &policy, 1)));
    prop_assert_eq!(lint(before, &policy, 0, &made), []);
    Ok(made)
}

fn hard_is_empty(plan: &Plan) -> bool {
    plan.moves.iter().all(|step| step.rank == Rank::Polish)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, rng_seed: RngSeed::Fixed(6), ..ProptestConfig::default() })]

    #[test]
    fn a_fleet_in_balance_is_left_alone(seed: u64, count in 1_usize..12) {
        let (pods, targets) = fleet(seed, count, 150);
        let made = is_frugal(&snapshot(pods, targets))?;
        prop_assert!(made.is_empty());
    }

    #[test]
    fn new_pods_are_filled_to_the_mean_at_once(seed: u64, count in 2_usize..12, more in 1_usize..6) {
        let (mut pods, targets) = fleet(seed, count, 200);
        pods.extend((count..count + more).map(|n| PodView::ready(pod(n))));
        let made = is_frugal(&snapshot(pods, targets.clone()))?;
        prop_assert!(made.moves.iter().all(|step| step.to.ordinal().is_some_and(|n| n as usize >= count)));
        let all: f64 = targets.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mean = all / (count + more) as f64;
        for n in count..count + more {
            let to = made.moves.iter().filter(|step| step.to == pod(n));
            let id = |step: &PlannedMove| step.target.as_str().rsplit(':').next().and_then(|id| id.parse::<usize>().ok());
            let load: f64 = to.filter_map(id).map(|id| f64::from(targets[id].1)).sum();
            prop_assert!((load / mean - 1.0).abs() < 0.02, "{} of {mean}", load);
        }
    }

    #[test]
    fn what_leaving_pods_hold_is_all_that_moves(seed: u64, count in 3_usize..12, draining: bool) {
        let (mut pods, targets) = fleet(seed, count, 200);
        if draining { pods[count - 1].phase = Phase::Draining } else { pods[count - 1].in_range = false }
        let made = is_frugal(&snapshot(pods, targets))?;
        prop_assert!(made.moves.iter().all(|step| step.rank == Rank::Drain && step.from == Some(pod(count - 1))));
    }

    #[test]
    fn drained_pods_give_what_they_have_evenly_and_nothing_else_moves(seed: u64, count in 4_usize..12, leave in 1_usize..3) {
        let (mut pods, targets) = fleet(seed, count, 200);
        pods[count - leave..].iter_mut().for_each(|view| view.phase = Phase::Draining);
        let before = snapshot(pods, targets.clone());
        // As the leader plans a drain: nothing moves for an even share.
        let mut policy = Policy { band: 1e9, ..events_only() };
        policy.polish.evaluations = 0;
        let made = plan(&before, &policy, 0);
        let leaves = |owner: Option<usize>| owner.is_some_and(|at| at >= count - leave);
        prop_assert_eq!(made.moves.len(), targets.iter().filter(|(owner, _)| leaves(*owner)).count());
        let goes = |pod: Option<&PodId>| pod.and_then(PodId::ordinal).is_some_and(|n| n as usize >= count - leave);
        prop_assert!(made.moves.iter().all(|step| goes(step.from.as_ref()) && !goes(Some(&step.to))));
        prop_assert!(made.skew.after <= 1.05, "{:?}", made.skew);
        prop_assert_eq!(lint(&before, &policy, 0, &made), []);
    }

    #[test]
    fn a_crash_moves_what_the_dead_pod_had(seed: u64, count in 3_usize..12, dead in 0_usize..3) {
        let (mut pods, targets) = fleet(seed, count, 200);
        pods[dead].phase = Phase::Dead;
        let made = is_frugal(&snapshot(pods, targets.clone()))?;
        prop_assert_eq!(made.moves.len(), targets.iter().filter(|(owner, _)| *owner == Some(dead)).count());
    }

    #[test]
    fn a_pod_with_too_much_sheds_only_that(seed: u64, count in 3_usize..12) {
        let (pods, mut targets) = fleet(seed, count, 200);
        let mut dice = Dice::new(seed ^ 5);
        for (owner, _) in &mut targets {
            if dice.once_in(4) {
                *owner = Some(0);
            }
        }
        is_frugal(&snapshot(pods, targets))?;
    }

    #[test]
    fn pins_move_what_they_name_and_stay(seed: u64, count in 3_usize..12) {
        let (pods, targets) = fleet(seed, count, 200);
        let mut before = snapshot(pods, targets);
        let mut dice = Dice::new(seed ^ 6);
        for _ in 0..6 {
            let at = dice.below(before.targets().len());
            before.rules_mut(at).pin = Some(Pin { pod: pod(dice.below(count)), until_ms: None });
        }
        let made = is_frugal(&before)?;
        let after = before.after(&made, &events_only(), 0);
        for view in after.targets() {
            if let Some(pin) = view.rules.as_ref().and_then(|rules| rules.pin.as_ref()) {
                prop_assert_eq!(after.owner_of(view), Some(&pin.pod));
            }
        }
    }

    #[test]
    fn pods_that_restart_in_place_keep_everything(seed: u64, count in 2_usize..12) {
        let (mut pods, targets) = fleet(seed, count, 150);
        pods[0].phase = Phase::Suspect;
        pods[1].phase = Phase::Joining;
        prop_assert!(plan(&snapshot(pods, targets), &events_only(), 0).is_empty());
    }
}
