//! Calls to Discord's API (docs/adr/0032): this pod's slice of the bot's budget, Discord's rate limits, nonces for messages, and the brake
//! before a ban. `limits` decides what may leave; `share` asks config-service for the slice.

mod answer;
mod bucket;
mod limits;
mod meters;
pub(super) mod nonce;
mod route;
pub(crate) mod share;
mod slots;

pub(super) use answer::Heard;
pub(crate) use route::Route;
pub(super) use slots::Turn;

use super::bot::Bot;
use crate::store::OpenCall;
use limits::{Limits, Taken};
use meters::Meters;
use route::Api;
use shared::{Clock, Mono};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The limits of this pod's calls to Discord. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Discord(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    bot: Option<Arc<Bot>>,
    limits: Mutex<Limits>,
    /// A call came for which there is no slot.
    short: Notify,
    clock: Arc<dyn Clock>,
    meters: Meters,
}

/// The leave to make one call. What it has taken is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    discord: Discord,
    route: Arc<Route>,
    taken: Taken,
    sent: bool,
    heard: Option<Heard>,
}

impl Discord {
    /// Makes the limits of the API at `base`, where calls that name nobody are those of `bot`.
    pub(super) fn new(base: &str, bot: Option<Arc<Bot>>, clock: Arc<dyn Clock>) -> Self {
        let limits = Mutex::new(Limits::new(clock.now()));
        let (api, short, meters) = (Api::new(base), Notify::new(), Meters::default());
        Self(Arc::new(Inner { api, bot, limits, short, clock, meters }))
    }

    /// Returns what a call is to Discord; none when it goes elsewhere.
    pub(super) fn route(&self, call: &OpenCall) -> Option<Arc<Route>> {
        let shown = || self.0.bot.as_ref().and_then(|bot| bot.token_for(&call.url));
        let authorization = call.authorization.clone().or_else(shown);
        self.0.api.route(&call.method, &call.url, authorization.as_deref()).map(Arc::new)
    }

    /// Lets a call leave, or says when to come back.
    pub(super) fn admit(&self, route: &Arc<Route>, kept: bool, now: Mono) -> Result<Ticket, Turn> {
        match self.limits().admit(route, kept, now) {
            Ok(taken) => {
                Ok(Ticket { discord: self.clone(), route: Arc::clone(route), taken, sent: false, heard: None })
            }
            Err(turn) => {
                self.0.short.notify_one();
                Err(turn)
            }
        }
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Returns what its call is to Discord.
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// The call leaves.
    pub(super) fn sent(&mut self) {
        self.sent = true;
    }

    /// It was answered.
    pub(super) fn heard(&mut self, heard: Heard) {
        self.discord.0.meters.answered(&heard);
        self.heard = Some(heard);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let now = self.discord.0.clock.now();
        self.discord.limits().ended(&self.route, &self.taken, (self.sent, self.heard.as_ref()), now);
    }
}
