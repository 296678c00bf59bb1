//! Bugs planted where production keeps a rule: each is to be found by the same runs that are clean without it. What each
//! breaks, and which are not found, stands in docs/adr/0020.

use crate::{number, setting};
use berth_sim::{Day, Options, Report, run};
use shared::plant::Bug;
use shared::protocol::invariants::Invariant;
use std::sync::atomic::{AtomicU64, Ordering};

/// Within how many seeds each bug must be found.
const WITHIN: u64 = 500;

/// Those that are found: on which kind of day, what each breaks first, and the seed that is tried first, since it is known to
/// find it.
const FOUND: &[(Bug, Day, Invariant, u64)] = &[
    (Bug::NewLeaderDoesNotWait, Day::Ordinary, Invariant::OneOwner, 1),
    (Bug::FencedIsGranted, Day::Ordinary, Invariant::ServesAlone, 10),
    (Bug::ZombieLeader, Day::Ordinary, Invariant::OneOwner, 21),
    (Bug::EpochNotIncreased, Day::Ordinary, Invariant::Converges, 1),
    (Bug::PromiseNotRemembered, Day::Apart, Invariant::OneOwner, 1),
    (Bug::FencedIsPromised, Day::Apart, Invariant::OneOwner, 1),
    (Bug::ExtensionFromNewest, Day::Apart, Invariant::OneOwner, 1),
    (Bug::RestartForgetsPromises, Day::Apart, Invariant::OneOwner, 8),
    (Bug::PromisesNotWaitedOut, Day::Apart, Invariant::OneOwner, 1),
    (Bug::LeaseNotChecked, Day::Apart, Invariant::OneOwner, 37),
    (Bug::QuorumTooSmall, Day::Apart, Invariant::NoMassFailover, 3),
    (Bug::MarksForgotten, Day::Apart, Invariant::OneOwner, 59),
    (Bug::RestartWithoutPromises, Day::Apart, Invariant::OneOwner, 1),
    (Bug::SendsBeforeFrozen, Day::Ordinary, Invariant::NothingLost, 79),
    (Bug::UnfreezesByItself, Day::Ordinary, Invariant::OneOwner, 1),
    (Bug::FrozenAccepts, Day::Ordinary, Invariant::NothingLost, 4),
    (Bug::CommitsBeforeImport, Day::Ordinary, Invariant::NothingLost, 1),
    (Bug::CommitsByTimeout, Day::Ordinary, Invariant::NothingLost, 2),
    (Bug::AcknowledgesBeforeUpload, Day::Replicated, Invariant::NothingLost, 1),
    (Bug::OlderFolderKept, Day::Replicated, Invariant::NothingLost, 6),
    (Bug::LateNotCompared, Day::Replicated, Invariant::NothingTwice, 2),
    (Bug::SealNotChecked, Day::Replicated, Invariant::SealedIsSilent, 125),
    (Bug::RestoresUnsealed, Day::Replicated, Invariant::NothingLost, 152),
    (Bug::ImportsTwice, Day::Replicated, Invariant::NothingTwice, 1),
];

/// Those that no run finds yet (docs/adr/0020): to be planted by hand.
const MISSED: &[(Bug, Day)] = &[
    (Bug::ValidityFromReceipt, Day::Ordinary),
    (Bug::GrantWithoutTermCheck, Day::Ordinary),
    (Bug::OldRoundCounts, Day::Apart),
    (Bug::NonceNotChecked, Day::Apart),
    (Bug::NewestConfigOnly, Day::Apart),
    (Bug::LostTargetServed, Day::Apart),
    (Bug::EpochNotChecked, Day::Apart),
    (Bug::RouterBelievesOlder, Day::Ordinary),
    (Bug::ReassignedGoesOn, Day::Ordinary),
];

/// Returns the bug of this name.
pub(crate) fn named(name: &str) -> Option<Bug> {
    all().map(|(bug, ..)| bug).find(|bug| format!("{bug:?}") == name)
}

fn all() -> impl Iterator<Item = (Bug, Day)> {
    FOUND.iter().map(|(bug, day, ..)| (*bug, *day)).chain(MISSED.iter().copied())
}

/// A search: for this bug, on days of this kind, by what it breaks first if that is said, from this seed on.
type Search = (Bug, Day, Option<Invariant>, u64);

/// Returns the first seed that finds a bug: it breaks something with it, and nothing without it.
fn found((bug, day, what, first): Search, within: u64) -> Option<Report> {
    let broken = |seed, bug| Some(run(seed, Options { trace: false, bug, day })).filter(|run| !run.broken.is_empty());
    let breaks = setting("BERTH_SIM_BREAKS");
    let named = |found: Invariant| breaks.as_ref().is_none_or(|name| *name == format!("{found:?}"));
    let counts = |run: &Report| {
        let found = run.broken[0].invariant;
        what.map_or_else(|| named(found), |what| found == what)
    };
    let mut seeds = first..first + within;
    seeds.find_map(|seed| broken(seed, Some(bug)).filter(counts).filter(|_| broken(seed, None).is_none()))
}

/// Looks for bugs on all cores; returns those that were not found.
fn look(searches: &[Search], within: u64) -> Vec<Bug> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some(search) = searches.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let (bug, day, ..) = search;
            match found(*search, within) {
                Some(report) => println!("{bug:?}: {day:?} seed {}, {}", report.seed, report.broken[0]),
                None => missed.push(*bug),
            }
        }
        missed
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..crate::cores()).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run does not panic")).collect()
    })
}

#[test]
fn what_is_known_to_be_found_is_found() {
    let searches: Vec<_> = FOUND.iter().map(|(bug, day, what, first)| (*bug, *day, Some(*what), *first)).collect();
    let missed = look(&searches, WITHIN);
    assert!(missed.is_empty(), "not found within {WITHIN} seeds: {missed:?}");
}

/// `BERTH_SIM_LOOK=n` looks for every bug, or for those of `BERTH_SIM_BUG`, in n seeds; `BERTH_SIM_BREAKS=OneOwner` counts only
/// what breaks that first.
#[test]
fn what_finds_a_bug() {
    let Some(within) = number("BERTH_SIM_LOOK") else { return };
    let (only, first) = (setting("BERTH_SIM_BUG"), number("BERTH_SIM_FIRST").unwrap_or(1));
    let day = setting("BERTH_SIM_DAY").and_then(|name| crate::day(&name));
    let wanted = |bug: Bug| only.as_ref().is_none_or(|names| names.split(',').any(|name| named(name) == Some(bug)));
    let searches = all().filter(|(bug, _)| wanted(*bug)).map(|(bug, known)| (bug, day.unwrap_or(known), None, first));
    println!("not found: {:?}", look(&searches.collect::<Vec<_>>(), within));
}
