//! Who waits for a permit, and who is next: sessions that were refused first, then in the order of arrival. Decides whom to send
//! away because the turn would come too late. Writes nothing and sends nothing.

use super::{
    IdentifyError,
    budget::{Budget, Now, Verdict},
};
use crate::domain::BudgetChange;
use shared::Mono;
use shared::wire::discord::{Permit, Shard};
use std::time::Duration;
use tokio::{sync::oneshot, time::Instant};

/// Where the permit is awaited.
pub(super) type Reply = oneshot::Sender<Result<Permit, IdentifyError>>;

/// A shard that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) shard: Shard,
    /// The session that Discord refused to resume, if it was that.
    pub(super) refused: Option<String>,
    /// Until when whoever asked waits.
    pub(super) until: Instant,
    pub(super) reply: Reply,
}

/// All that wait, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<Waiting>);

/// What has become of some of them.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Permits, to be handed out once the change is written.
    pub(super) permits: Vec<(Waiting, Permit)>,
    pub(super) change: Option<BudgetChange>,
    /// Those who get none.
    pub(super) sent_away: Vec<(Reply, IdentifyError)>,
}

impl Settled {
    fn wrote(&mut self, change: BudgetChange) {
        let all = self.change.get_or_insert_default();
        all.budget = change.budget;
        all.shards.extend(change.shards);
        all.calm.extend(change.calm);
        // One that was calm and has a permit now.
        all.calm.retain(|shard| all.shards.iter().all(|record| record.shard != *shard));
    }
}

impl Line {
    /// Lets somebody in.
    pub(super) fn push(&mut self, waiting: Waiting) {
        let recovers = |one: &Waiting| one.refused.is_some();
        let at = match recovers(&waiting) {
            true => self.0.iter().position(|one| !recovers(one)).unwrap_or(self.0.len()),
            false => self.0.len(),
        };
        self.0.insert(at, waiting);
    }

    /// Lets those go who do not wait any more: nothing is spent on them.
    pub(super) fn without_gone(&mut self) {
        self.0.retain(|one| !one.reply.is_closed());
    }

    /// Returns how many wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends all away.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = Reply> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|one| one.reply)
    }

    /// Sends those away who have waited long enough.
    pub(super) fn late(&mut self, now: Instant) -> Vec<Reply> {
        let late = self.0.extract_if(.., |one| one.until <= now);
        late.map(|one| one.reply).collect()
    }

    /// Returns when somebody who comes now has a turn, as things are, if that is not at once: behind those of the same bucket.
    pub(super) fn turn(&self, budget: &Budget, shard: Shard, refused: Option<&str>, now: Mono) -> Option<Mono> {
        let of = budget.record().max_concurrency;
        let free = budget.free_at(shard.bucket(of)).max(now);
        let before = |one: &&Waiting| refused.is_none() || one.refused.is_some();
        let ahead = self.0.iter().filter(before).filter(|one| one.shard.bucket(of) == shard.bucket(of)).count();
        let every = budget.every() * u32::try_from(ahead).unwrap_or(u32::MAX);
        Some(free.after(every)).filter(|turn| *turn > now)
    }

    /// Gives everybody a permit whose turn it is, and sends those away for whom there is none in time.
    pub(super) fn settle(&mut self, budget: &mut Budget, now: Now, at: Instant) -> Settled {
        let mut settled = Settled::default();
        for one in std::mem::take(&mut self.0) {
            let verdict = budget.judge(one.shard, one.refused.as_deref(), now.mono);
            if verdict == Verdict::Now {
                settled.wrote(budget.spend(one.shard, one.refused.as_deref(), now));
                let permit = Permit {
                    shard: one.shard.id,
                    shards: one.shard.count,
                    bucket: one.shard.bucket(budget.record().max_concurrency),
                    remaining: budget.record().remaining,
                };
                settled.permits.push((one, permit));
                continue;
            }
            let why = refusal(budget, one.shard, verdict, now.mono);
            let patience = one.until.saturating_duration_since(at);
            let in_time = why.after().is_some_and(|after| after <= patience);
            match why {
                IdentifyError::Spent { .. } => settled.sent_away.push((one.reply, why)),
                why if !in_time && (patience.is_zero() || matches!(why, IdentifyError::Braked { .. })) => {
                    settled.sent_away.push((one.reply, why));
                }
                _ => self.0.push(one),
            }
        }
        settled
    }

    /// Returns how long nobody's turn comes and nobody's patience ends; none when nobody waits.
    pub(super) fn quiet(&self, budget: Option<&Budget>, now: Mono, at: Instant) -> Option<Duration> {
        let next = |one: &Waiting| {
            let patience = one.until.saturating_duration_since(at);
            let Some(budget) = budget else { return patience };
            match budget.judge(one.shard, one.refused.as_deref(), now) {
                Verdict::Later(turn) | Verdict::Braked(turn, _) => turn.since(now).min(patience),
                Verdict::Now | Verdict::Spent(_) => Duration::ZERO,
            }
        };
        self.0.iter().map(next).min()
    }
}

/// Says why there is no permit now.
fn refusal(budget: &Budget, shard: Shard, verdict: Verdict, now: Mono) -> IdentifyError {
    match verdict {
        Verdict::Now => later(shard, now, now),
        Verdict::Later(turn) => later(shard, turn, now),
        Verdict::Braked(turn, times) => IdentifyError::Braked { shard: shard.id, times, after: turn.since(now) },
        Verdict::Spent(until) => {
            let (remaining, reserve) = (budget.record().remaining, budget.reserve());
            // The day may be over already: then Discord is being asked.
            IdentifyError::Spent { remaining, reserve, after: until.since(now).max(Duration::from_secs(5)) }
        }
    }
}

/// Says that a shard's turn is later.
pub(super) fn later(shard: Shard, turn: Mono, now: Mono) -> IdentifyError {
    IdentifyError::Later { shard: shard.id, after: turn.since(now) }
}
