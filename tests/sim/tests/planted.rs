//! Bugs planted where production keeps a rule: each is to be found by the same runs that are clean without it. What each
//! breaks, and which are not found, stands in docs/adr/0020.

use crate::{number, setting};
use berth_sim::{Day, Options, Report, run};
use shared::plant::Bug;
use std::sync::atomic::{AtomicU64, Ordering};

/// Within how many seeds each bug must be found.
const WITHIN: u64 = 500;

/// Those that are found: on which kind of day, and the seed that is tried first, since it is known to find it.
const FOUND: &[(Bug, Day, u64)] = &[
    (Bug::NewLeaderDoesNotWait, Day::Ordinary, 1),
    (Bug::FencedIsGranted, Day::Ordinary, 1),
    (Bug::ZombieLeader, Day::Ordinary, 2),
    (Bug::EpochNotIncreased, Day::Ordinary, 1),
    (Bug::PromiseNotRemembered, Day::Apart, 1),
    (Bug::FencedIsPromised, Day::Apart, 1),
    (Bug::ExtensionFromNewest, Day::Apart, 1),
    (Bug::UnfreezesByItself, Day::Ordinary, 1),
    (Bug::FrozenAccepts, Day::Ordinary, 4),
    (Bug::CommitsBeforeImport, Day::Ordinary, 1),
    (Bug::CommitsByTimeout, Day::Ordinary, 2),
];

/// Those that no run finds yet (docs/adr/0020): to be planted by hand.
const MISSED: &[(Bug, Day)] = &[
    (Bug::ValidityFromReceipt, Day::Ordinary),
    (Bug::GrantWithoutTermCheck, Day::Ordinary),
    (Bug::MarksForgotten, Day::Ordinary),
    (Bug::RestartWithoutPromises, Day::Ordinary),
    (Bug::RestartForgetsPromises, Day::Apart),
    (Bug::OldRoundCounts, Day::Apart),
    (Bug::PromisesNotWaitedOut, Day::Apart),
    (Bug::NewestConfigOnly, Day::Apart),
    (Bug::QuorumTooSmall, Day::Apart),
    (Bug::LostTargetServed, Day::Apart),
    (Bug::LeaseNotChecked, Day::Apart),
    (Bug::EpochNotChecked, Day::Apart),
    (Bug::RouterBelievesOlder, Day::Ordinary),
    (Bug::NonceNotChecked, Day::Ordinary),
    (Bug::SendsBeforeFrozen, Day::Ordinary),
    (Bug::ReassignedGoesOn, Day::Ordinary),
];

fn all() -> impl Iterator<Item = (Bug, Day, u64)> {
    FOUND.iter().copied().chain(MISSED.iter().map(|(bug, day)| (*bug, *day, 1)))
}

/// Returns the bug of this name.
pub(crate) fn named(name: &str) -> Option<Bug> {
    all().map(|(bug, ..)| bug).find(|bug| format!("{bug:?}") == name)
}

/// Returns the first seed that finds a bug: it breaks something with it, and nothing without it.
fn found(bug: Bug, day: Day, first: u64, within: u64) -> Option<Report> {
    let broken = |seed, bug| Some(run(seed, Options { trace: false, bug, day })).filter(|run| !run.broken.is_empty());
    let mut seeds = first..first + within;
    seeds.find_map(|seed| broken(seed, Some(bug)).filter(|_| broken(seed, None).is_none()))
}

/// Looks for bugs on all cores; returns those that were not found.
fn look(bugs: &[(Bug, Day, u64)], within: u64) -> Vec<Bug> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some((bug, day, first)) = bugs.get(next.fetch_add(1, Ordering::Relaxed) as usize).copied() {
            match found(bug, day, first, within) {
                Some(report) => println!("{bug:?}: {day:?} seed {}, {}", report.seed, report.broken[0]),
                None => missed.push(bug),
            }
        }
        missed
    };
    let cores = number("BERTH_SIM_CORES")
        .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |cores| cores as usize);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run does not panic")).collect()
    })
}

#[test]
fn what_is_known_to_be_found_is_found() {
    let missed = look(FOUND, WITHIN);
    assert!(missed.is_empty(), "not found within {WITHIN} seeds: {missed:?}");
}

/// `BERTH_SIM_LOOK=n` looks for every bug, or for the one of `BERTH_SIM_BUG`, in n seeds from the first on.
#[test]
fn what_finds_a_bug() {
    let Some(within) = number("BERTH_SIM_LOOK") else { return };
    let (only, first) = (setting("BERTH_SIM_BUG"), number("BERTH_SIM_FIRST").unwrap_or(1));
    let day = setting("BERTH_SIM_DAY").and_then(|name| crate::day(&name));
    let wanted = all()
        .filter(|(bug, ..)| only.as_ref().is_none_or(|name| name.split(',').any(|name| *name == format!("{bug:?}"))));
    let bugs: Vec<_> = wanted.map(|(bug, known, _)| (bug, day.unwrap_or(known), first)).collect();
    println!("not found: {:?}", look(&bugs, within));
}
