//! The task that gives permits out while this process leads: one owner of the budget and of who waits. It asks Discord now and
//! then, writes each change before anybody hears of it, and reads everything anew when a write has failed: then nobody has heard
//! of what may not be written. Decides when Discord is asked, and when not any more.

use super::{
    IdentifyError, Parts,
    budget::{Budget, Now, Told},
    discord::{Discord, Refused},
    line::{Line, Reply, Settled, Waiting, later},
};
use crate::{control::ControlError, domain::BudgetChange, store::StoreError};
use futures_util::future::BoxFuture;
use shared::wire::discord::{self as wire, BrakedShard, BudgetStatus, Shard};
use shared::{Mono, Term, backoff::Backoff};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};

/// How often it is looked whether this process leads.
const ROUND: Duration = Duration::from_secs(1);

/// The least time between two questions to Discord, unless it is to be asked more often.
const GAP: Duration = Duration::from_secs(5);

/// How long after the end of the budget's day Discord is asked for the next.
const AFTER_RESET: Duration = Duration::from_secs(1);

/// Most shards that are shown to have to wait.
const SHOWN: usize = 100;

/// What the task is asked.
pub(super) enum Ask {
    /// A shard wants to identify, and waits so long.
    Permit { shard: Shard, refused: Option<String>, wait: Duration, reply: Reply },
    /// Somebody wants to know how the budget stands.
    Show { reply: oneshot::Sender<Result<BudgetStatus, IdentifyError>> },
}

/// A question to Discord under way, with when it was asked.
type Asking = Option<BoxFuture<'static, (Mono, Result<Told, Refused>)>>;

/// The task.
pub(super) struct Keeper {
    parts: Parts,
    discord: Option<Discord>,
    bot: String,
    source: Source,
    reign: Option<Reign>,
    /// Whether the store failed when it was asked last.
    broken: bool,
    line: Line,
}

/// How it stands with asking Discord.
struct Source {
    /// It does not know the token.
    refused: bool,
    /// Why the last question had no answer.
    trouble: Option<String>,
    /// When it is asked next, unless there is a reason to ask before.
    next: Instant,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When it answered last.
    answered: Mono,
    /// The least time between two questions.
    gap: Duration,
    backoff: Backoff,
}

/// What is known while this process leads.
struct Reign {
    term: Term,
    budget: Option<Budget>,
}

async fn outcome(asking: &mut Asking) -> (Mono, Result<Told, Refused>) {
    match asking {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Keeper {
    pub(super) fn new(parts: Parts, discord: Option<Discord>) -> Self {
        let bot = discord.as_ref().map(Discord::bot).unwrap_or_default();
        let seed = bot.bytes().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(byte));
        let gap = GAP.min(parts.refresh);
        let backoff = Backoff::new(gap, parts.refresh, seed);
        let source = Source {
            refused: false,
            trouble: None,
            next: Instant::now(),
            asked: None,
            answered: Mono::ZERO,
            gap,
            backoff,
        };
        Self { parts, discord, bot, source, reign: None, broken: false, line: Line::default() }
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking: Asking = None;
        loop {
            let (quiet, ask_at) = (self.quiet(), self.asks_at());
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.take(ask).await,
                    None => return,
                },
                (asked, told) = outcome(&mut asking) => {
                    asking = None;
                    self.told(asked, told).await;
                }
                () = until(ask_at), if asking.is_none() => asking = self.ask(),
                () = until(quiet.map(|quiet| Instant::now() + quiet)) => {}
                _ = round.tick() => self.round().await,
            }
            self.serve().await;
        }
    }

    fn now(&self) -> Now {
        Now { mono: self.parts.clock.now(), wall_ms: self.parts.clock.wall_ms() }
    }

    fn budget(&self) -> Option<&Budget> {
        self.reign.as_ref()?.budget.as_ref()
    }

    fn quiet(&self) -> Option<Duration> {
        self.line.quiet(self.budget(), self.parts.clock.now(), Instant::now())
    }

    /// Returns when Discord is to be asked; none while there is no reason to.
    fn asks_at(&self) -> Option<Instant> {
        let Source { refused, trouble, next, asked, answered, gap, .. } = &self.source;
        if *refused || self.reign.is_none() || self.discord.is_none() {
            return None;
        }
        let reset = self.budget().map(Budget::resets).filter(|resets| resets > answered && trouble.is_none());
        let reset = reset.map(|at| Instant::now() + at.after(AFTER_RESET).since(self.parts.clock.now()));
        let at = reset.map_or(*next, |reset| reset.min(*next));
        Some(asked.map_or(at, |asked| at.max(asked + *gap)))
    }

    fn ask(&mut self) -> Asking {
        let discord = self.discord.clone()?;
        self.source.asked = Some(Instant::now());
        let asked = self.parts.clock.now();
        Some(Box::pin(async move { (asked, discord.gateway_bot().await) }))
    }

    /// Takes Discord's answer in.
    async fn told(&mut self, asked: Mono, told: Result<Told, Refused>) {
        let now = self.now();
        let told = match told {
            Ok(told) => told,
            Err(Refused::Token) => {
                self.source.refused = true;
                tracing::error!(
                    "Discord refuses the bot's token; copy a valid one into BERTH_DISCORD_TOKEN (or its file) and start config-service anew. It is not asked again until then"
                );
                return;
            }
            Err(Refused::Again { why, after }) => {
                if self.source.trouble.as_ref() != Some(&why) {
                    tracing::warn!(
                        error = why,
                        "Discord does not say how often the bot may identify; what it said last counts"
                    );
                }
                self.source.trouble = Some(why);
                self.source.next = Instant::now() + self.source.backoff.next_wait().max(after.unwrap_or_default());
                return;
            }
        };
        if self.source.trouble.take().is_some() {
            tracing::info!("Discord answers again");
        }
        self.source.backoff.reset();
        (self.source.next, self.source.answered) = (Instant::now() + self.parts.refresh, now.mono);
        let Some(reign) = &mut self.reign else { return };
        match &mut reign.budget {
            Some(budget) => budget.learn(told, asked, now),
            none => *none = Some(Budget::first(told, self.parts.rules, now)),
        }
        let budget = self.budget().map(|budget| budget.record().clone()).unwrap_or_default();
        let unwritten = self.write(BudgetChange { budget, ..BudgetChange::default() }).await;
        if let Err(why) = unwritten {
            tracing::warn!(error = %why, "what Discord said is not written down, asking it again");
        }
    }

    async fn take(&mut self, ask: Ask) {
        match ask {
            // Whoever asked may be gone; so it is with every reply here.
            Ask::Show { reply } => drop(reply.send(self.status())),
            Ask::Permit { shard, refused, wait, reply } => match self.turned_away(shard, refused.as_deref(), wait) {
                Some(why) => self.refuse(reply, why),
                None => self.line.push(Waiting { shard, refused, until: Instant::now() + wait, reply }),
            },
        }
    }

    /// Says why somebody need not wait at all.
    fn turned_away(&self, shard: Shard, refused: Option<&str>, wait: Duration) -> Option<IdentifyError> {
        if self.discord.is_none() {
            return Some(IdentifyError::NoToken);
        }
        if self.line.len() >= self.parts.waiting {
            return Some(IdentifyError::Full(self.line.len()));
        }
        let Some(budget) = self.budget() else { return self.source.refused.then_some(IdentifyError::TokenRefused) };
        let now = self.parts.clock.now();
        let turn = self.line.turn(budget, shard, refused, now)?;
        (turn.since(now) > wait).then(|| later(shard, turn, now))
    }

    fn refuse(&self, reply: Reply, why: IdentifyError) {
        self.parts.meters.refused(&why);
        let _ = reply.send(Err(why));
    }

    /// Gives permits to all whose turn it is.
    async fn serve(&mut self) {
        self.line.without_gone();
        let (now, at) = (self.now(), Instant::now());
        let settled = match self.reign.as_mut().and_then(|reign| reign.budget.as_mut()) {
            Some(budget) => self.line.settle(budget, now, at),
            None => {
                let away: Vec<_> = match self.missing() {
                    (why, true) => self.line.empty().map(|reply| (reply, why.clone())).collect(),
                    (why, false) => self.line.late(at).into_iter().map(|reply| (reply, why.clone())).collect(),
                };
                Settled { sent_away: away, ..Settled::default() }
            }
        };
        for (reply, why) in settled.sent_away {
            self.refuse(reply, why);
        }
        let Some(change) = settled.change else { return };
        let written = self.write(change).await;
        for (one, permit) in settled.permits {
            match &written {
                Ok(()) => {
                    self.parts.meters.permitted(one.refused.is_some());
                    tracing::debug!(shard = %one.shard, remaining = permit.remaining, "a shard may identify");
                    let _ = one.reply.send(Ok(permit));
                }
                Err(why) => self.refuse(one.reply, why.clone().into()),
            }
        }
    }

    /// Says why there is no budget, and whether it makes no sense to wait for it.
    fn missing(&self) -> (IdentifyError, bool) {
        if !self.parts.control.leads() {
            return (ControlError::NotLeader { leader: None }.into(), true);
        }
        if self.broken {
            return (ControlError::Store.into(), false);
        }
        match &self.source {
            Source { refused: true, .. } => (IdentifyError::TokenRefused, true),
            Source { trouble: Some(why), .. } => (IdentifyError::Unknown(why.clone()), false),
            _ => (IdentifyError::Unknown("this config-service has just begun to lead, and asks".to_owned()), false),
        }
    }

    /// Writes a change. When that fails, what is known here may not be what is written: it is read anew.
    async fn write(&mut self, change: BudgetChange) -> Result<(), ControlError> {
        let gone = || ControlError::NotLeader { leader: None };
        let term = self.reign.as_ref().map(|reign| reign.term).ok_or_else(gone)?;
        let Err(why) = self.parts.store.spend(term, self.bot.clone(), change).await else { return Ok(()) };
        (self.reign, self.broken) = (None, true);
        match why {
            StoreError::Fenced => Err(gone()),
            why => {
                tracing::warn!(error = %why, "the IDENTIFY budget cannot be written, so no permit is given");
                Err(ControlError::Store)
            }
        }
    }

    /// Looks whether this process leads, reads what is kept when it has just begun to, and shows how things stand.
    async fn round(&mut self) {
        if let Err(why) = self.look().await {
            tracing::debug!(error = %why, "the IDENTIFY budget waits");
            self.reign = None;
        }
        let now = self.parts.clock.now();
        let braked = self.budget().map_or(0, |budget| budget.braked(now).len());
        self.parts.meters.budget(self.budget(), self.line.len(), braked);
    }

    async fn look(&mut self) -> Result<(), ControlError> {
        if !self.parts.control.leads() {
            return Err(ControlError::NotLeader { leader: None });
        }
        let term = self.parts.control.read(|view| view.term).await?;
        if self.reign.as_ref().is_some_and(|reign| reign.term == term) {
            return Ok(());
        }
        let kept = match &self.discord {
            None => None,
            Some(_) => match self.parts.store.budget(self.bot.clone()).await {
                Ok(kept) => kept,
                Err(why) => {
                    self.broken = true;
                    tracing::warn!(error = %why, "the IDENTIFY budget cannot be read");
                    return Err(ControlError::Store);
                }
            },
        };
        let budget = kept.map(|kept| Budget::restore(kept, self.parts.rules, self.now()));
        (self.reign, self.broken) = (Some(Reign { term, budget }), false);
        self.source.next = Instant::now();
        Ok(())
    }

    fn status(&self) -> Result<BudgetStatus, IdentifyError> {
        if self.reign.is_none() {
            return Err(self.missing().0);
        }
        let (state, why) = self.state();
        let now = self.parts.clock.now();
        let budget = self.budget().map(|budget| {
            let record = budget.record();
            wire::Budget {
                shards: record.shards,
                total: record.total,
                remaining: record.remaining,
                reserve: budget.reserve(),
                max_concurrency: record.max_concurrency,
                resets_ms: record.resets_ms,
                told_ms: record.told_ms,
                permits: record.permits,
            }
        });
        let braked = self.budget().map(|budget| budget.braked(now)).unwrap_or_default();
        let braked = braked.into_iter().take(SHOWN).map(|(shard, identified, wait)| BrakedShard {
            shard: shard.id,
            shards: shard.count,
            identified,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        });
        Ok(BudgetStatus {
            bot: self.discord.as_ref().map(|_| self.bot.clone()),
            state: state.to_owned(),
            why,
            budget,
            waiting: u32::try_from(self.line.len()).unwrap_or(u32::MAX),
            braked: braked.collect(),
        })
    }

    /// Says how it stands with Discord, and what to do about it.
    fn state(&self) -> (&'static str, Option<String>) {
        let known = self.budget().is_some();
        match &self.source {
            _ if self.discord.is_none() => {
                let text = "config-service has no bot's token: set BERTH_DISCORD_TOKEN or BERTH_DISCORD_TOKEN_FILE";
                ("no-token", Some(text.to_owned()))
            }
            Source { refused: true, .. } => {
                let text = "Discord refuses the bot's token: copy a valid one into BERTH_DISCORD_TOKEN (or its file) and start config-service anew";
                ("refused", Some(text.to_owned()))
            }
            Source { trouble: Some(why), .. } => {
                let text = format!("Discord does not answer: {why}; it is asked again by itself");
                (if known { "old" } else { "unknown" }, Some(text))
            }
            _ if known => ("ok", None),
            _ => ("unknown", Some("Discord is being asked".to_owned())),
        }
    }
}
