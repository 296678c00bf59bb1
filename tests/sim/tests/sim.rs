//! Runs seeds: those that once failed, as many new ones as are wanted, and the same with a bug planted, which must be found.
//!
//! `BERTH_SIM_SEEDS=n` runs n seeds, `BERTH_SIM_SEED=s` one alone and prints what happens in it, with `BERTH_SIM_BUG=name` a
//! planted bug in it. A seed that fails belongs into `seeds.txt`, which runs for ever. A failing seed is printed when it is
//! found, and now and then how far the runs are.

mod planted;

use berth_sim::{Day, Options, Report, run};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The first seed, and how many run, when nobody says it.
const FIRST: u64 = 1;
const SEEDS: u64 = 30;

/// How many runs lie between two words of how far they are.
const WORD: usize = 100;

#[expect(clippy::disallowed_methods, reason = "a test has no flags")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str) -> Option<u64> {
    setting(name).and_then(|text| text.parse().ok())
}

/// How many runs at once.
fn cores() -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    number("BERTH_SIM_CORES").map_or(all, |cores| cores as usize)
}

/// Returns the kind of day of this name.
fn day(name: &str) -> Option<Day> {
    [Day::Ordinary, Day::Apart, Day::Replicated, Day::Alone].into_iter().find(|day| format!("{day:?}") == name)
}

/// Says something at once: what a test prints is kept until it ends, and these take minutes.
fn say(text: &str) {
    // Nobody has to listen.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Says what a seed broke, and how to see it alone.
fn found(report: &Report) -> String {
    let (seed, day) = (report.seed, report.day);
    let alone = format!("BERTH_SIM_SEED={seed} BERTH_SIM_DAY={day:?} cargo test -p berth-sim one_seed -- --nocapture");
    format!("{day:?} seed {seed}: {}\n  alone: {alone}", report.broken[0])
}

/// Runs seeds on all cores and returns the reports of those that failed, by seed.
fn failures(seeds: &[(u64, Day)]) -> Vec<Report> {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        let mut broken = Vec::new();
        while let Some((seed, day)) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize).copied() {
            let report = run(seed, Options { day, ..Options::default() });
            if !report.broken.is_empty() {
                say(&found(&report));
                broken.push(report);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) as usize + 1;
            if done.is_multiple_of(WORD) {
                say(&format!("{done} of {} seeds have run", seeds.len()));
            }
        }
        broken
    };
    let cores = cores();
    let mut all: Vec<Report> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run does not panic")).collect()
    });
    all.sort_by_key(|report| report.seed);
    all
}

#[track_caller]
fn none(broken: &[Report]) {
    let lines: Vec<_> = broken.iter().map(found).collect();
    assert!(lines.is_empty(), "{} seeds failed; add them to tests/sim/seeds.txt\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn seeds_that_once_failed_hold() {
    let kept = include_str!("../seeds.txt").lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let seed = words.next()?.parse().ok()?;
        Some((seed, words.next().and_then(day).unwrap_or_default()))
    });
    none(&failures(&kept.collect::<Vec<_>>()));
}

#[test]
fn every_invariant_holds_whatever_happens() {
    let first = number("BERTH_SIM_FIRST").unwrap_or(FIRST);
    let seeds = first..first + number("BERTH_SIM_SEEDS").unwrap_or(SEEDS);
    // Some are other kinds of days.
    let kind = |seed: u64| match seed % 8 {
        0 => Day::Apart,
        3 | 6 => Day::Replicated,
        _ => Day::Ordinary,
    };
    let only = setting("BERTH_SIM_DAY").and_then(|name| day(&name));
    none(&failures(&seeds.map(|seed| (seed, only.unwrap_or_else(|| kind(seed)))).collect::<Vec<_>>()));
}

#[test]
fn one_seed() {
    let Some(seed) = number("BERTH_SIM_SEED") else { return };
    let bug = setting("BERTH_SIM_BUG").and_then(|name| planted::named(&name));
    let day = setting("BERTH_SIM_DAY").and_then(|name| day(&name)).unwrap_or_default();
    let report = run(seed, Options { trace: true, bug, day });
    println!("{report:#?}");
    assert_eq!(report.broken, []);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 14] {
        let [first, again] = [run(seed, Options::default()), run(seed, Options::default())];
        assert_eq!((first.hash, first.steps, first.events), (again.hash, again.steps, again.events), "seed {seed}");
    }
}

#[test]
fn a_run_is_what_it_is_meant_to_be() {
    let report = run(5, Options::default());
    assert_eq!(report.seconds, 600);
    assert!(report.faults > 10 && report.events.0 > 500, "{report:?}");
}

/// An event waits while its pod is killed and comes back, and until its platform sends it once more.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn for_an_hour_without_a_control_plane_everything_known_is_served_and_nobody_is_replaced() {
    for seed in 1..=3 {
        let report = run(seed, Options { day: Day::Alone, ..Options::default() });
        assert_eq!(report.broken, [], "seed {seed}");
        assert!(report.seconds > 3_700 && report.faults > 20 && report.events.0 > 7_000, "{report:?}");
        assert!(report.longest_wait < LONGEST, "a known target was not served: {report:?}");
        assert_eq!(report.replaced, 0, "seed {seed}");
        assert!(report.all_granted_after.is_some_and(|after| after <= Duration::from_secs(5)), "{report:?}");
    }
}
