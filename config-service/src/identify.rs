//! The IDENTIFY budget of the cluster's bot on Discord (PLATFORMS.md, Discord gateway): one task gives permits out while this
//! process leads, each written down before anybody hears of it. What may be given is `budget`'s to say; Discord itself is asked
//! by `discord`. Beside it: the shards that the gateways hold (`shards`), and sessions that programs with connections of their own keep here. Knows the store by its trait, and
//! no HTTP of its own.

mod budget;
mod discord;
mod error;
mod keeper;
mod line;
mod meters;
mod reshard;
mod shards;

pub(crate) use error::IdentifyError;

use crate::{
    control::{Control, ControlError},
    options::DiscordOptions,
    store::{Store, StoreError},
};
use anyhow::Context;
use budget::{Brake, Rules};
use discord::Discord;
use keeper::{Ask, Keeper};
use meters::Meters;
use shards::Heard;
use shared::settings::Secret;
use shared::wire::discord::{BudgetStatus, Permit, Session, Shard};
use shared::{Clock, Term, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Questions that may wait for the task; those that wait for a permit are counted apart.
const ASKS: usize = 1_024;

/// A cheap handle for asking.
#[derive(Debug, Clone)]
pub(crate) struct Identify {
    asks: mpsc::Sender<Ask>,
    control: Control,
    store: Arc<dyn Store>,
    /// How long a request waits at most.
    wait: Duration,
    /// What the holders of shards said.
    heard: Heard,
}

/// What the task works with.
#[derive(Debug)]
struct Parts {
    /// The way to the leader.
    control: Control,
    /// Where the budget is kept.
    store: Arc<dyn Store>,
    /// The bounds.
    rules: Rules,
    /// How often Discord is asked.
    refresh: Duration,
    /// Most that wait for a permit.
    waiting: usize,
    /// The gauges.
    meters: Meters,
    clock: Arc<dyn Clock>,
}

/// A shard that wants to identify.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Which.
    pub(crate) shard: Shard,
    /// The session that Discord refused to resume, if it was that.
    pub(crate) refused: Option<String>,
    /// How long it waits for its turn.
    pub(crate) wait: Option<Duration>,
}

impl Identify {
    /// Starts the task; it ends with `shutdown`.
    ///
    /// # Errors
    /// When Discord cannot be asked: the address of its API is none, or this machine knows no root certificates.
    pub(crate) fn start(
        options: &DiscordOptions,
        token: Option<Secret>,
        (control, store, clock): (Control, Arc<dyn Store>, Arc<dyn Clock>),
        metrics: &shared::telemetry::Metrics,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let places = options.discord_shards.filter(|_| token.is_some());
        if options.discord_shards.is_some() && places.is_none() {
            tracing::warn!(
                "--discord-shards is of no use without the bot's token: set BERTH_DISCORD_TOKEN or BERTH_DISCORD_TOKEN_FILE"
            );
        }
        let discord = token.map(|token| Discord::new(&options.discord_api, token, options.discord_timeout));
        let discord = discord.transpose().context("--discord-api (BERTH_DISCORD_API)")?;
        let brake = Brake {
            free: options.identify_free,
            first: options.identify_brake,
            most: options.identify_brake_most,
            calm: options.identify_calm,
        };
        let rules = Rules { every: options.identify_every, reserve: options.identify_reserve, brake };
        let parts = Parts {
            control: control.clone(),
            store: Arc::clone(&store),
            rules,
            refresh: options.discord_refresh,
            waiting: options.identify_waiting,
            meters: Meters::new(metrics),
            clock,
        };
        let (asks, asked) = mpsc::channel(ASKS);
        let keeper = Keeper::new(parts, discord);
        let identify = Self { asks, control, store, wait: options.identify_wait, heard: Heard::default() };
        if let Some(wish) = places {
            shared::shutdown::spawn(shards::run(identify.clone(), wish, shutdown.clone()));
        }
        shared::shutdown::spawn(async move { shutdown.run_until_cancelled(keeper.run(asked)).await });
        Ok(identify)
    }

    /// Waits until a shard may identify, and takes the permit.
    pub(crate) async fn permit(&self, wanted: Wanted) -> Result<Permit, IdentifyError> {
        let wait = wanted.wait.unwrap_or(self.wait).min(self.wait);
        let (shard, refused) = (wanted.shard, wanted.refused);
        self.ask(|reply| Ask::Permit { shard, refused, wait, reply }).await?
    }

    /// Returns how the budget stands.
    pub(crate) async fn budget(&self) -> Result<BudgetStatus, IdentifyError> {
        self.ask(|reply| Ask::Show { reply }).await?
    }

    /// How long a request for a permit waits at most.
    pub(crate) fn patience(&self) -> Duration {
        self.wait
    }

    /// Returns the session of a shard, of `count` or else the one that was kept last.
    pub(crate) async fn session(&self, id: u32, count: Option<u32>) -> Result<Option<Session>, IdentifyError> {
        self.term().await?;
        let sessions = self.store.sessions(id, count).await.map_err(stored)?;
        Ok(sessions.into_iter().next())
    }

    /// Keeps sessions.
    pub(crate) async fn keep(&self, sessions: Vec<Session>) -> Result<(), IdentifyError> {
        let term = self.term().await?;
        self.store.keep_sessions(term, sessions).await.map_err(stored)
    }

    /// Forgets the sessions of a shard.
    pub(crate) async fn forget(&self, id: u32, count: Option<u32>) -> Result<u64, IdentifyError> {
        let term = self.term().await?;
        self.store.drop_sessions(term, id, count).await.map_err(stored)
    }

    async fn term(&self) -> Result<Term, ControlError> {
        self.control.read(|view| view.term).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, ControlError> {
        let gone = || ControlError::NotLeader { leader: None };
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn stored(why: StoreError) -> IdentifyError {
    match why {
        StoreError::Fenced => ControlError::NotLeader { leader: None }.into(),
        why => {
            tracing::warn!(error = %why, "the store does not take what is kept for Discord");
            ControlError::Store.into()
        }
    }
}
