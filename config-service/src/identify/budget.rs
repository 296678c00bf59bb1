//! The IDENTIFY budget of one bot (PLATFORMS.md, Discord gateway): when a shard may identify next, and what that leaves. Only
//! Discord's own word makes the budget larger; what is spent here counts at once, used or not. Below the reserve only a session
//! that Discord refused to resume identifies. Pure: what time it is comes in. Within one leader only the boot clock counts, so
//! that a wall clock which jumps gives nobody a permit too early.

mod brake;

pub(super) use brake::Brake;

use crate::domain::{BudgetChange, BudgetKept, BudgetRecord, ShardRecord};
use brake::Known;
use sha2::{Digest, Sha256};
use shared::{Mono, wire::discord::Shard};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// A day: no budget is reset later than that.
const DAY: Duration = Duration::from_secs(86_400);

/// Two ends of a budget's day that lie nearer than this are one.
const SAME: Duration = Duration::from_secs(60);

/// How long after a permit Discord may not have counted its IDENTIFY yet: longer than one takes to be used.
const UNCOUNTED: Duration = Duration::from_secs(30);

/// Now, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The boot clock: what decides.
    pub(super) mono: Mono,
    /// Wall time in milliseconds since the Unix epoch: what another leader can read.
    pub(super) wall_ms: u64,
}

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The time between two permits of one bucket.
    pub(super) every: Duration,
    /// The share of the budget that is kept for recovery.
    pub(super) reserve: f64,
    /// How a shard is held that identifies again and again.
    pub(super) brake: Brake,
}

/// What Discord says of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// How many shards it recommends.
    pub(super) shards: u32,
    /// How many IDENTIFYs there are.
    pub(super) total: u32,
    /// How many are left.
    pub(super) remaining: u32,
    /// Until when.
    pub(super) reset_after: Duration,
    /// How many shards may identify at once.
    pub(super) max_concurrency: u32,
}

/// Whether a shard may identify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Now.
    Now,
    /// Its bucket is free then.
    Later(Mono),
    /// It identified so many times in a row, and may not before then.
    Braked(Mono, u32),
    /// What is left is not for it before the budget is reset, which is then.
    Spent(Mono),
}

/// The budget.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    rules: Rules,
    record: BudgetRecord,
    /// When it is reset.
    resets: Mono,
    /// When a bucket was last used.
    buckets: BTreeMap<u32, Mono>,
    /// No bucket is free before: what was handed out before that is not known by bucket.
    floor: Mono,
    shards: BTreeMap<Shard, Known>,
    /// Permits whose IDENTIFY Discord may not have counted yet.
    uncounted: VecDeque<Mono>,
    /// How many of these were taken off Discord's number when a day began, though it may have counted them.
    doubted: u32,
}

impl Budget {
    /// Begins with what Discord said first.
    pub(super) fn first(told: Told, rules: Rules, now: Now) -> Self {
        let mut budget = Self {
            rules,
            record: BudgetRecord::default(),
            resets: now.mono,
            buckets: BTreeMap::new(),
            floor: now.mono,
            shards: BTreeMap::new(),
            uncounted: VecDeque::new(),
            doubted: 0,
        };
        budget.learn(told, now.mono, now);
        budget
    }

    /// Goes on with what a leader before has kept. Its last permits may be younger than they look, so every bucket waits.
    pub(super) fn restore(kept: BudgetKept, rules: Rules, now: Now) -> Self {
        let BudgetKept { budget: record, shards } = kept;
        let ago = |ms: u64| Duration::from_millis(now.wall_ms.saturating_sub(ms));
        let floor = if record.permits > 0 { now.mono.after(rules.every) } else { now.mono };
        let resets = Duration::from_millis(record.resets_ms.saturating_sub(now.wall_ms)).min(DAY);
        let known = |one: &ShardRecord| {
            let last = now.mono.before(ago(one.last_ms));
            (one.shard, Known { streak: one.streak, last, recovered: one.recovered.clone() })
        };
        let shards: BTreeMap<_, _> = shards.iter().map(known).collect();
        let mut uncounted: Vec<_> = shards.values().map(|known| known.last).collect();
        uncounted.sort_unstable();
        Self {
            rules,
            resets: now.mono.after(resets),
            record,
            buckets: BTreeMap::new(),
            floor,
            shards,
            uncounted: uncounted.into(),
            doubted: 0,
        }
    }

    /// Takes what Discord said to a question asked at `asked`. On the same day the smaller number counts: what was permitted
    /// and never used stays spent, and what others used is gone.
    pub(super) fn learn(&mut self, told: Told, asked: Mono, now: Now) {
        let since = asked.before(UNCOUNTED);
        while self.uncounted.front().is_some_and(|at| *at < since) {
            self.uncounted.pop_front();
        }
        let reset_after = told.reset_after.min(DAY);
        let resets = now.mono.after(reset_after);
        let same = now.mono < self.resets && resets <= self.resets.after(SAME);
        let uncounted = u32::try_from(self.uncounted.len()).unwrap_or(u32::MAX);
        let remaining = if same {
            // By now it has counted all of those that were used.
            let again = if uncounted == 0 { std::mem::take(&mut self.doubted) } else { 0 };
            self.record.remaining.saturating_add(again).min(told.remaining)
        } else {
            self.doubted = uncounted;
            told.remaining.saturating_sub(uncounted)
        };
        if told.max_concurrency != self.record.max_concurrency {
            // The buckets are others now.
            let last = std::mem::take(&mut self.buckets).into_values().max();
            self.floor = self.floor.max(last.map_or(self.floor, |last| last.after(self.rules.every)));
        }
        self.resets = resets;
        self.record = BudgetRecord {
            shards: told.shards,
            total: told.total,
            remaining: remaining.min(told.total),
            max_concurrency: told.max_concurrency,
            resets_ms: now.wall_ms.saturating_add(millis(reset_after)),
            told_ms: now.wall_ms.max(1),
            permits: self.record.permits,
        };
    }

    /// Says when a shard may identify. `refused` is the session that Discord refused to resume, if it was that.
    pub(super) fn judge(&self, shard: Shard, refused: Option<&str>, now: Mono) -> Verdict {
        let known = self.shards.get(&shard);
        let recovers = refused.is_some_and(|session| self.is_news(known, session));
        let kept = if recovers { 0 } else { self.reserve() };
        if self.record.remaining <= kept {
            return Verdict::Spent(self.resets);
        }
        if let Some(known) = known {
            let free = known.free_at(&self.rules.brake);
            if now < free {
                return Verdict::Braked(free, known.streak);
            }
        }
        let free = self.free_at(shard.bucket(self.record.max_concurrency));
        if now < free { Verdict::Later(free) } else { Verdict::Now }
    }

    /// Spends a permit; returns what is to be written before anybody hears of it. Only after [`Budget::judge`] said
    /// [`Verdict::Now`].
    pub(super) fn spend(&mut self, shard: Shard, refused: Option<&str>, now: Now) -> BudgetChange {
        let brake = self.rules.brake;
        let before = self.shards.get(&shard);
        let mut known = before.map_or_else(|| Known::first(now.mono), |known| known.again(&brake, now.mono));
        if let Some(session) = refused {
            known.recovered = Some(fingerprint(session));
        }
        self.record.remaining = self.record.remaining.saturating_sub(1);
        self.record.permits = self.record.permits.saturating_add(1);
        self.buckets.insert(shard.bucket(self.record.max_concurrency), now.mono);
        self.uncounted.push_back(now.mono);
        let kept =
            ShardRecord { shard, streak: known.streak, last_ms: now.wall_ms, recovered: known.recovered.clone() };
        self.shards.insert(shard, known);
        let calm = |(one, known): (&Shard, &Known)| (*one != shard && known.is_calm(&brake, now.mono)).then_some(*one);
        let calm: Vec<_> = self.shards.iter().filter_map(calm).collect();
        calm.iter().for_each(|shard| drop(self.shards.remove(shard)));
        BudgetChange { budget: self.record.clone(), shards: vec![kept], calm }
    }

    /// Returns when a bucket is free.
    pub(super) fn free_at(&self, bucket: u32) -> Mono {
        self.buckets.get(&bucket).map_or(self.floor, |last| last.after(self.rules.every).max(self.floor))
    }

    /// Returns the time between two permits of one bucket.
    pub(super) fn every(&self) -> Duration {
        self.rules.every
    }

    /// Returns when it is reset: then Discord is to be asked.
    pub(super) fn resets(&self) -> Mono {
        self.resets
    }

    /// Returns how many permits are kept for recovery.
    pub(super) fn reserve(&self) -> u32 {
        let reserve = (f64::from(self.record.total) * self.rules.reserve.clamp(0.0, 1.0)).ceil();
        reserve as u32
    }

    /// Returns it as it is kept.
    pub(super) fn record(&self) -> &BudgetRecord {
        &self.record
    }

    /// Returns the shards that have to wait, with how often they identified in a row and for how long.
    pub(super) fn braked(&self, now: Mono) -> Vec<(Shard, u32, Duration)> {
        let waits = |(shard, known): (&Shard, &Known)| {
            let wait = known.free_at(&self.rules.brake).since(now);
            (!wait.is_zero()).then_some((*shard, known.streak, wait))
        };
        let mut braked: Vec<_> = self.shards.iter().filter_map(waits).collect();
        braked.sort_by_key(|(shard, _, wait)| (std::cmp::Reverse(*wait), *shard));
        braked
    }

    /// Whether a refused session is another one than the shard recovered from last: who asks again with the same was never
    /// ready in between.
    fn is_news(&self, known: Option<&Known>, session: &str) -> bool {
        known.and_then(|known| known.recovered.as_deref()) != Some(fingerprint(session).as_str())
    }
}

/// Sessions are not kept, only what tells them apart.
fn fingerprint(session: &str) -> String {
    hex::encode(&Sha256::digest(session.as_bytes())[..8])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
