//! Bugs planted where production keeps a rule: each is to be found by the same runs that are clean without it. Which are so
//! far, and which are not, stands in docs/adr/0020.

use berth_sim::{Options, Report, run};
use shared::plant::Bug;
use std::sync::atomic::{AtomicU64, Ordering};

/// Within how many seeds each bug must be found.
const WITHIN: u64 = 30;
/// The first seed that is tried.
const FIRST: u64 = 3;

/// Those that are found.
const FOUND: &[Bug] = &[
    Bug::ValidityFromReceipt,
    Bug::GrantWithoutTermCheck,
    Bug::NewLeaderDoesNotWait,
    Bug::MarksForgotten,
    Bug::FencedIsGranted,
    Bug::RestartWithoutPromises,
    Bug::ZombieLeader,
    Bug::EpochNotIncreased,
];

/// Those that no run finds yet (docs/adr/0020): to be planted by hand.
const MISSED: &[Bug] = &[
    Bug::PromiseNotRemembered,
    Bug::FencedIsPromised,
    Bug::RestartForgetsPromises,
    Bug::OldRoundCounts,
    Bug::PromisesNotWaitedOut,
    Bug::NewestConfigOnly,
    Bug::QuorumTooSmall,
    Bug::LostTargetServed,
    Bug::LeaseNotChecked,
    Bug::EpochNotChecked,
    Bug::RouterBelievesOlder,
];

/// Returns the bug of this name.
pub(crate) fn named(name: &str) -> Option<Bug> {
    FOUND.iter().chain(MISSED).copied().find(|bug| format!("{bug:?}") == name)
}

/// Returns the first seed that finds a bug.
fn found(bug: Bug) -> Option<Report> {
    (FIRST..FIRST + WITHIN)
        .map(|seed| run(seed, Options { trace: false, bug: Some(bug) }))
        .find(|report| !report.broken.is_empty())
}

#[test]
fn what_is_known_to_be_found_is_found() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some(bug) = FOUND.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            match found(*bug) {
                Some(report) => println!("{bug:?}: seed {}, {}", report.seed, report.broken[0]),
                None => missed.push(*bug),
            }
        }
        missed
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let missed: Vec<Bug> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run does not panic")).collect()
    });
    assert!(missed.is_empty(), "not found within {WITHIN} seeds: {missed:?}");
}
