//! One budget of REST requests for each bot on Discord (docs/adr/0032): pods ask for slices of it, and the leader gives them, each
//! written down before its pod hears of it. Who gets how much is `shares`' to say. Knows the store by its trait, and no HTTP.

mod meters;
mod shares;

use crate::{
    control::{Control, ControlError},
    domain::SliceRecord,
    options::DiscordOptions,
    store::{Store, StoreError},
};
use meters::Meters;
use shared::{
    Clock, Incarnation, Mono, PodId, Term,
    wire::{
        control::PodState,
        rest::{RestAsk, RestBot, RestSlice, RestStatus},
    },
};
use shares::{Rules, Shares};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

/// Most bots whose budgets are kept: each is one that a pod named.
const MOST_BOTS: usize = 64;

/// How old what is known of the pods may be.
const LOOK: Duration = Duration::from_secs(1);

/// Why there is no slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestError {
    /// There are budgets of as many bots as there may be.
    #[error("{MOST_BOTS} bots have a budget, as many as may")]
    TooManyBots,
    /// The control plane refused.
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// A cheap handle for asking.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    control: Control,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rules: Rules,
    limit: u32,
    meters: Meters,
    /// What is known while this process leads. Whoever asks holds it until the answer is written.
    reign: Arc<Mutex<Option<Reign>>>,
}

#[derive(Debug)]
struct Reign {
    term: Term,
    bots: BTreeMap<String, Shares>,
    /// The lives that have not ended, and when that was looked up.
    lives: BTreeSet<(PodId, Incarnation)>,
    looked: Mono,
}

impl Rest {
    /// Makes the handle.
    pub(crate) fn new(
        options: &DiscordOptions,
        (control, store, clock): (Control, Arc<dyn Store>, Arc<dyn Clock>),
        metrics: &shared::telemetry::Metrics,
    ) -> Self {
        // One stays here: config-service asks Discord itself.
        let rules = Rules {
            slots: options.discord_rest_limit.saturating_sub(1).max(1),
            term: options.discord_rest_term,
            invalid: options.discord_rest_invalid,
        };
        let meters = Meters::new(metrics);
        let reign = Arc::new(Mutex::new(None));
        Self { control, store, clock, rules, limit: options.discord_rest_limit, meters, reign }
    }

    /// Gives a pod its slice of a bot's budget.
    pub(crate) async fn slice(&self, ask: RestAsk) -> Result<RestSlice, RestError> {
        let mut kept = self.reign.lock().await;
        let mut reign = self.look(kept.take()).await?;
        let now = self.clock.now();
        let bot = ask.bot.clone();
        if !reign.bots.contains_key(&bot) && reign.bots.len() >= MOST_BOTS {
            *kept = Some(reign);
            return Err(RestError::TooManyBots);
        }
        let shares = reign.bots.entry(bot.clone()).or_default();
        let lives = &reign.lives;
        shares.expire(|pod, incarnation| lives.contains(&(pod.clone(), incarnation.clone())), now);
        let (slice, unwritten) = shares.give(ask, &self.rules, now);
        if unwritten {
            let (term, record) = (reign.term, shares.record());
            // When it is not known whether it is written, everything is read anew: nothing is put back.
            self.store.keep_slices(term, bot, record).await.map_err(|why| stored(&why))?;
        }
        self.show(&reign);
        *kept = Some(reign);
        Ok(slice)
    }

    /// Returns who has which part of the budgets.
    pub(crate) async fn status(&self) -> Result<RestStatus, RestError> {
        let mut kept = self.reign.lock().await;
        let reign = self.look(kept.take()).await?;
        let now = self.clock.now();
        let bot = |(bot, shares): (&String, &Shares)| RestBot {
            bot: bot.clone(),
            paused_ms: u64::try_from(shares.paused(now).as_millis()).unwrap_or(u64::MAX),
            pods: shares.pods(now),
        };
        let bots = reign.bots.iter().map(bot).collect();
        *kept = Some(reign);
        Ok(RestStatus { limit: self.limit, invalid_limit: self.rules.invalid, bots })
    }

    /// Looks whether this process leads, who lives, and reads what is kept when it has just begun to lead.
    async fn look(&self, kept: Option<Reign>) -> Result<Reign, ControlError> {
        if !self.control.leads() {
            self.meters.clear();
            return Err(ControlError::NotLeader { leader: None });
        }
        let now = self.clock.now();
        let fresh = kept.as_ref().is_some_and(|reign| now.since(reign.looked) < LOOK);
        let (term, lives) = self
            .control
            .read(move |view| {
                let lives = |pod: &shared::wire::admin::PodStatus| pod.state != PodState::Dead;
                let lives = || view.pods().filter(lives).map(|pod| (pod.info.pod, pod.info.incarnation)).collect();
                (view.term, (!fresh).then(lives))
            })
            .await?;
        let mut reign = match kept.filter(|reign| reign.term == term) {
            Some(reign) => reign,
            None => {
                let kept = self.store.slices().await.map_err(|why| stored(&why))?;
                let shares = |(bot, kept): (String, Vec<SliceRecord>)| (bot, Shares::restore(kept, &self.rules, now));
                let bots = kept.into_iter().map(shares).collect();
                Reign { term, bots, lives: BTreeSet::new(), looked: now }
            }
        };
        if let Some(lives) = lives {
            (reign.lives, reign.looked) = (lives, now);
        }
        Ok(reign)
    }

    fn show(&self, reign: &Reign) {
        let given = reign.bots.values().map(Shares::given).max().unwrap_or(0);
        let bots = reign.bots.values().filter(|shares| !shares.is_empty()).count();
        self.meters.show(self.rules.slots, given, bots);
    }
}

fn stored(why: &StoreError) -> ControlError {
    match why {
        StoreError::Fenced => ControlError::NotLeader { leader: None },
        why => {
            tracing::warn!(error = %why, "the store does not take who may send requests to Discord; pods keep what they have");
            ControlError::Store
        }
    }
}
