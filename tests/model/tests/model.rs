//! The searches: with all rules nothing is broken, without any one of them something is. `BERTH_MODEL=large` searches larger
//! worlds.

use berth_model::search::{Found, search};
use berth_model::world::Rate;
use berth_model::{lease, moves, seal};
use std::collections::BTreeSet;

/// Many more than any world has.
const ALL: usize = 50_000_000;

/// More than it takes to find the harm of a missing rule.
const SOME: usize = 2_000_000;

#[expect(clippy::disallowed_methods, reason = "a switch of these tests, not a setting of a service")]
fn large() -> bool {
    std::env::var("BERTH_MODEL").is_ok_and(|size| size == "large")
}

#[track_caller]
fn sound(name: &str, found: &Found) {
    found.print(name);
    assert_eq!(found.broken, None, "{name}");
    assert_eq!(found.missing, Vec::<&str>::new(), "{name}: the world is too small to show it");
    assert!(found.states < ALL, "{name}: not all states were seen");
}

/// Each rule must be needed: without it the search finds harm.
#[track_caller]
fn needed(searches: impl IntoIterator<Item = (&'static str, Found)>) {
    let mut harmless = BTreeSet::new();
    for (rule, found) in searches {
        found.print(&format!("without: {rule}"));
        match found.broken {
            Some((property, actions)) => println!("    {property} is broken in {} steps", actions.len()),
            None => {
                println!("    missing {:?}", found.missing);
                harmless.insert(rule);
            }
        }
    }
    assert!(harmless.is_empty(), "no harm was found without: {harmless:?}");
}

#[test]
fn at_most_one_pod_serves_a_target_whatever_is_lost_late_or_restarted() {
    let slow = lease::World { rates: [Rate::SLOW, Rate::FAST, Rate::FAST], ..lease::World::default() };
    let worlds = [
        ("true clocks", lease::World::default()),
        ("a slow pod, fast others", slow.clone()),
        (
            "a fast pod, slow others",
            lease::World { rates: [Rate::FAST, Rate::SLOW, Rate::SLOW], end: 5, ..slow.clone() },
        ),
        ("late messages", lease::World { late: 1, ..slow.clone() }),
        ("the pod restarts", lease::World { restarts: 1, ..slow.clone() }),
        ("the witness restarts", lease::World { witness_restarts: 1, ..slow.clone() }),
        (
            "a step of the config",
            lease::World { witnesses: 3, stepping: true, rates: [Rate::TRUE, Rate::FAST, Rate::FAST], ..slow.clone() },
        ),
        ("two witnesses", lease::World { witnesses: 2, ..slow.clone() }),
        ("the leader is replaced", lease::World { takeovers: 1, end: 5, ..slow.clone() }),
    ];
    for (name, world) in worlds {
        sound(name, &search(world, ALL));
    }
    if large() {
        let both = lease::World { restarts: 1, witness_restarts: 1, takeovers: 1, end: 5, ..slow.clone() };
        let worlds = [
            ("everything restarts", both),
            ("a step of the config and a restart", lease::World { witnesses: 3, stepping: true, restarts: 1, ..slow }),
        ];
        for (name, world) in worlds {
            sound(name, &search(world, ALL));
        }
    }
}

#[test]
fn without_any_one_rule_of_leases_two_pods_serve_a_target() {
    needed(lease::without().into_iter().map(|(rule, world)| (rule, search(world, SOME))));
}

#[test]
fn a_move_leaves_one_owner_with_everything_whoever_dies() {
    let (events, restarts) = if large() { (3, 4) } else { (2, 2) };
    let world = moves::World { rules: moves::Rules::ALL, events, restarts };
    sound("a move", &search(world, ALL));
}

#[test]
fn without_any_one_rule_of_moves_something_is_broken() {
    needed(moves::without().into_iter().map(|(rule, world)| (rule, search(world, SOME))));
}

#[test]
fn what_was_acknowledged_is_restored_from_a_sealed_lineage() {
    sound("a sealed lineage", &search(seal::Seal::ALL, ALL));
}

#[test]
fn without_any_one_part_of_the_seal_something_is_lost() {
    needed(seal::without().into_iter().map(|(rule, world)| (rule, search(world, SOME))));
}
