use super::*;
use proptest::prelude::*;
use shared::backoff::Rng;
use std::collections::BTreeMap;

const EVERY: Duration = Duration::from_secs(5);

fn brake() -> Brake {
    let (first, most, calm) = (Duration::from_secs(60), Duration::from_secs(3_600), Duration::from_secs(600));
    Brake { free: 3, first, most, calm }
}

fn rules() -> Rules {
    Rules { every: EVERY, reserve: 0.2, brake: brake() }
}

fn told(remaining: u32, reset_after: u64) -> Told {
    let reset_after = Duration::from_secs(reset_after);
    Told { shards: 16, total: 1_000, remaining, reset_after, max_concurrency: 1 }
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono::ZERO.after(Duration::from_secs(1_000 + seconds)), wall_ms: 1_700_000_000_000 + seconds * 1_000 }
}

fn shard(id: u32) -> Shard {
    Shard::new(id, 16).expect("there is one")
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a store holds after some changes.
fn written(kept: &mut BudgetKept, change: BudgetChange) {
    kept.budget = change.budget;
    for record in change.shards {
        kept.shards.retain(|one| one.shard != record.shard);
        kept.shards.push(record);
    }
    kept.shards.retain(|one| !change.calm.contains(&one.shard));
    kept.shards.sort_by_key(|one| one.shard);
}

#[test]
fn shards_of_one_bucket_identify_one_after_the_other_and_those_of_others_at_once() {
    let two = Told { max_concurrency: 2, ..told(1_000, 86_400) };
    let mut budget = Budget::first(two, rules(), at(0));
    assert_eq!(budget.judge(shard(0), None, at(0).mono), Verdict::Now);
    budget.spend(shard(0), None, at(0));
    assert_eq!(budget.judge(shard(2), None, at(0).mono), Verdict::Later(at(5).mono));
    assert_eq!(budget.judge(shard(1), None, at(0).mono), Verdict::Now);
    assert_eq!(budget.judge(shard(2), None, at(5).mono), Verdict::Now);
}

#[test]
fn other_buckets_begin_where_the_old_ones_ended() {
    let mut budget = Budget::first(told(1_000, 86_400), rules(), at(0));
    budget.spend(shard(0), None, at(3));
    budget.learn(Told { max_concurrency: 16, ..told(999, 86_397) }, at(4).mono, at(4));
    for id in 0..16 {
        assert_eq!(budget.judge(shard(id), None, at(4).mono), Verdict::Later(at(8).mono), "{id}");
    }
}

#[test]
fn below_the_reserve_only_a_session_that_was_refused_identifies_and_each_counts_once() {
    let mut budget = Budget::first(told(201, 3_600), rules(), at(0));
    assert_eq!(budget.reserve(), 200);
    budget.spend(shard(0), None, at(0));
    assert_eq!(budget.judge(shard(1), None, at(9).mono), Verdict::Spent(at(3_600).mono));
    assert_eq!(budget.judge(shard(1), Some("a"), at(9).mono), Verdict::Now);
    budget.spend(shard(1), Some("a"), at(9));
    assert_eq!(budget.judge(shard(1), Some("a"), at(99).mono), Verdict::Spent(at(3_600).mono), "it was never ready");
    assert_eq!(budget.judge(shard(1), Some("b"), at(99).mono), Verdict::Now);
    let mut none = Budget::first(told(0, 60), rules(), at(0));
    assert_eq!(none.judge(shard(1), Some("b"), at(1).mono), Verdict::Spent(at(60).mono));
    none.learn(told(1_000, 86_400), at(61).mono, at(61));
    assert_eq!(none.judge(shard(1), None, at(61).mono), Verdict::Now);
}

#[test]
fn a_shard_that_identifies_again_and_again_waits_longer_each_time_until_it_was_calm() {
    let mut budget = Budget::first(told(1_000, 86_400), rules(), at(0));
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..12 {
        let free = match budget.judge(shard(0), None, at(now).mono) {
            Verdict::Now => at(now).mono,
            Verdict::Later(free) | Verdict::Braked(free, _) => free,
            Verdict::Spent(_) => panic!("there is enough"),
        };
        waits.push(free.since(at(now).mono).as_secs());
        now += free.since(at(now).mono).as_secs();
        budget.spend(shard(0), None, at(now));
    }
    assert_eq!(waits, [0, 5, 5, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
    assert_eq!(budget.braked(at(now).mono), [(shard(0), 12, seconds(3_600))]);
    // Others are not held for it.
    assert_eq!(budget.judge(shard(1), None, at(now + 5).mono), Verdict::Now);
    let calm = now + 3_600 + 600;
    let change = budget.spend(shard(1), None, at(calm - 1));
    assert!(change.calm.is_empty(), "not yet");
    let change = budget.spend(shard(1), None, at(calm));
    assert_eq!(change.calm, [shard(0)]);
    budget.spend(shard(0), None, at(calm + 5));
    assert!(budget.braked(at(calm + 5).mono).is_empty());
}

#[test]
fn on_one_day_the_smaller_number_counts_and_on_the_next_discords() {
    let mut budget = Budget::first(told(1_000, 86_400), rules(), at(0));
    for n in 0..10 {
        budget.spend(shard(n), None, at(u64::from(n) * 5));
    }
    assert_eq!(budget.record().remaining, 990);
    budget.learn(told(995, 86_300), at(100).mono, at(100));
    assert_eq!(budget.record().remaining, 990, "five permits were never used: they are spent");
    budget.learn(told(900, 86_200), at(200).mono, at(200));
    assert_eq!(budget.record().remaining, 900, "others identify with this token");
    budget.spend(shard(11), None, at(86_390));
    budget.learn(told(1_000, 86_399), at(86_401).mono, at(86_401));
    assert_eq!(budget.record().remaining, 999, "the last permit may not have been counted");
    budget.learn(told(1_001, 7), at(86_500).mono, at(86_500));
    assert_eq!(budget.record().remaining, 1_000, "by now it was, if it was used");
}

#[test]
fn a_permit_of_a_days_first_moments_is_taken_off_once() {
    let mut budget = Budget::first(told(1_000, 0), rules(), at(0));
    budget.spend(shard(0), None, at(10));
    budget.spend(shard(1), None, at(15));
    // Its day began with the first; whether the second is counted cannot be told.
    budget.learn(told(998, 86_394), at(16).mono, at(16));
    assert_eq!(budget.record().remaining, 996);
    budget.learn(told(998, 86_380), at(30).mono, at(30));
    assert_eq!(budget.record().remaining, 996, "still not");
    budget.learn(told(998, 86_310), at(100).mono, at(100));
    assert_eq!(budget.record().remaining, 998);
    budget.spend(shard(2), None, at(200));
    budget.learn(told(998, 86_110), at(300).mono, at(300));
    assert_eq!(budget.record().remaining, 997, "and no more than that");
}

#[test]
fn a_wall_clock_that_jumps_gives_nobody_a_permit_earlier() {
    let mut budget = Budget::first(told(1_000, 86_400), rules(), at(0));
    for wall_ms in [0, u64::MAX / 2, 1_700_000_000_000] {
        let now = Now { wall_ms, ..at(0) };
        let change = budget.spend(shard(0), None, now);
        assert_eq!(change.shards[0].last_ms, wall_ms);
        assert_eq!(budget.judge(shard(1), None, at(4).mono), Verdict::Later(at(5).mono));
    }
    assert!(matches!(budget.judge(shard(0), None, at(9).mono), Verdict::Braked(..)));
    // Another leader, whose clock is a year off: every bucket waits, and no day is over.
    for wall_ms in [0, 1_700_000_000_000 + 31_536_000_000] {
        let mut kept = BudgetKept::default();
        let mut budget = Budget::first(told(250, 86_400), rules(), at(0));
        written(&mut kept, budget.spend(shard(0), None, at(0)));
        let budget = Budget::restore(kept, rules(), Now { wall_ms, ..at(1) });
        assert_eq!(budget.record().remaining, 249);
        assert_eq!(budget.judge(shard(1), None, at(5).mono), Verdict::Later(at(6).mono), "{wall_ms}");
        assert_eq!(budget.judge(shard(1), None, at(6).mono), Verdict::Now, "{wall_ms}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Wall(u64),
    Ask(u32, Option<u8>),
    Told(u32, u64),
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..400_u64).prop_map(Step::Wait),
        1 => any::<u32>().prop_map(|ms| Step::Wall(u64::from(ms) * 1_000)),
        8 => (0..6_u32, proptest::option::of(0..3_u8)).prop_map(|(id, refused)| Step::Ask(id, refused)),
        1 => (0..300_u32, 0..86_400_u64).prop_map(|(remaining, reset)| Step::Told(remaining, reset)),
        1 => Just(Step::Restore),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn whatever_happens_no_permit_is_too_early_too_many_or_given_twice(steps in steps(), of in 1..4_u32) {
        let told = |remaining, reset| Told { max_concurrency: of, total: 300, ..told(remaining, reset) };
        let (mut now, mut kept) = (at(0), BudgetKept::default());
        let mut budget = Budget::first(told(300, 80_000), rules(), now);
        kept.budget = budget.record().clone();
        let mut last: BTreeMap<u32, Mono> = BTreeMap::new();
        let mut recovered = BTreeMap::new();
        // What Discord said last, and how many permits since.
        let (mut allowance, mut given) = (300, 0);
        for step in steps {
            match step {
                Step::Wait(tenths) => {
                    now.mono = now.mono.after(Duration::from_millis(tenths * 100));
                    now.wall_ms += tenths * 100;
                }
                Step::Wall(to) => now.wall_ms = to,
                Step::Told(remaining, reset) => {
                    budget.learn(told(remaining, reset), now.mono, now);
                    prop_assert!(budget.record().remaining <= remaining);
                    kept.budget = budget.record().clone();
                    (allowance, given) = (remaining, 0);
                }
                Step::Restore => {
                    let before = budget.record().remaining;
                    budget = Budget::restore(kept.clone(), rules(), now);
                    prop_assert_eq!(budget.record().remaining, before, "nothing is lost or won by a new leader");
                }
                Step::Ask(id, refused) => {
                    let session = refused.map(|n| n.to_string());
                    if budget.judge(shard(id), session.as_deref(), now.mono) != Verdict::Now {
                        continue;
                    }
                    let left = budget.record().remaining;
                    let news = session.is_some() && recovered.get(&id) != session.as_ref();
                    prop_assert!(left > if news { 0 } else { 60 }, "{left} left");
                    let bucket = shard(id).bucket(of);
                    if let Some(last) = last.insert(bucket, now.mono) {
                        prop_assert!(now.mono.since(last) >= EVERY);
                    }
                    if let Some(session) = session.clone() {
                        recovered.insert(id, session);
                    }
                    let change = budget.spend(shard(id), session.as_deref(), now);
                    // Nothing is known any more of those who were calm.
                    change.calm.iter().for_each(|calm| drop(recovered.remove(&calm.id)));
                    written(&mut kept, change);
                    given += 1;
                    prop_assert!(given <= allowance);
                    prop_assert_eq!(budget.record().remaining, left - 1);
                    prop_assert_eq!(&kept.budget, budget.record());
                }
            }
        }
    }
}

/// Discord as it counts: a day begins with its first IDENTIFY.
struct Discord {
    total: u32,
    spent: u32,
    ends: u64,
}

impl Discord {
    fn tell(&mut self, now: u64, of: u32) -> Told {
        if now >= self.ends {
            (self.spent, self.ends) = (0, now);
        }
        let reset_after = seconds(self.ends - now);
        let (total, remaining) = (self.total, self.total - self.spent);
        Told { shards: 64, total, remaining, reset_after, max_concurrency: of }
    }

    fn identify(&mut self, now: u64) -> u32 {
        if now >= self.ends {
            (self.spent, self.ends) = (0, now + 86_400);
        }
        self.spent += 1;
        self.spent
    }
}

/// Every pod crash-loops at once for two days, leaders come and go, Discord is away now and then, wall clocks jump, permits
/// get lost: what is kept for recovery is there to the last, and the buckets are kept.
#[test]
fn a_crash_loop_of_every_pod_at_once_leaves_the_reserve() {
    for (seed, of, shards) in [(1, 1, 64), (2, 1, 4), (3, 16, 64), (4, 2, 100)] {
        let mut rng = Rng::seeded(seed);
        let mut chance = move |of: u64| rng.next_u64().is_multiple_of(of);
        let mut discord = Discord { total: 1_000, spent: 0, ends: 0 };
        let mut budget = Budget::first(discord.tell(0, of), rules(), at(0));
        let mut kept = BudgetKept { budget: budget.record().clone(), shards: Vec::new() };
        let (mut jumped, mut most, mut all, mut last) = (0, 0, 0, BTreeMap::<u32, u64>::new());
        for second in (0..2 * 86_400_u64).step_by(3) {
            if chance(20_000) {
                jumped = if chance(2) { 0 } else { second % 7_777_777 };
            }
            let now = Now { wall_ms: at(second).wall_ms + jumped * 1_000, ..at(second) };
            if chance(2_000) {
                budget = Budget::restore(kept.clone(), rules(), now);
            }
            if second.is_multiple_of(300) && !chance(3) {
                budget.learn(discord.tell(second, of), now.mono, now);
                kept.budget = budget.record().clone();
            }
            // Each pod is up again within a moment; which one asks first is chance.
            let from = second as u32 * 7;
            for id in (0..shards).map(|n| (n + from) % shards) {
                let shard = Shard::new(id, shards).expect("there is one");
                if budget.judge(shard, None, now.mono) != Verdict::Now {
                    continue;
                }
                written(&mut kept, budget.spend(shard, None, now));
                if chance(10) {
                    continue;
                }
                if let Some(before) = last.insert(shard.bucket(of), second) {
                    assert!(second - before >= EVERY.as_secs(), "seed {seed}: {before} and {second}");
                }
                (most, all) = (discord.identify(second).max(most), all + 1);
            }
        }
        assert!(most <= 800, "seed {seed}: {most} IDENTIFYs on one day");
        assert!(all >= 100, "seed {seed}: {all}, nobody gets a permit any more");
        let now = at(2 * 86_400 + 3_600);
        assert_eq!(budget.judge(Shard::new(3, shards).expect("there is one"), Some("s"), now.mono), Verdict::Now);
    }
}
