//! Asks config-service for this pod's slices of the bots' budgets, whichever leads: every second while there is something to ask, else in
//! every third of a term. Without an answer the pod goes on with what it has. Also says in the log what an operator has to hear.

use super::{Discord, limits::News, route};
use shared::{
    Incarnation, PodId,
    http::{Client, ClientError},
    shutdown::Shutdown,
    telemetry::Metrics,
    wire::rest::{RestAsk, RestSlice},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// How often it is asked while there is something to ask, and how things are shown.
const ROUND: Duration = Duration::from_secs(1);

/// How soon it is asked when a call has to wait.
const SOON: Duration = Duration::from_millis(200);

/// The term as long as none was told.
const TERM: Duration = Duration::from_secs(15);

/// Who asks, and how.
pub(crate) struct Asker {
    /// config-service.
    pub(crate) client: Client,
    /// This pod.
    pub(crate) pod: PodId,
    /// Which life of it.
    pub(crate) incarnation: Box<dyn Fn() -> Incarnation + Send + Sync>,
    /// The bot's token, if the pod has one: its budget is asked for before its first call.
    pub(crate) bot: Option<String>,
    /// How long one call may take.
    pub(crate) call: Duration,
}

impl Discord {
    /// Shares the budgets with other pods, until `stop`.
    pub(crate) fn share(self, asker: Asker, metrics: &Metrics, stop: Shutdown) {
        self.0.meters.register(metrics);
        self.limits().share();
        if let Some(token) = &asker.bot {
            self.limits().know(&route::bot_of(Some(&format!("Bot {token}"))));
        }
        shared::shutdown::spawn(async move { stop.run_until_cancelled(self.run(asker)).await });
    }

    async fn run(self, asker: Asker) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut next_all, mut said) = (Instant::now(), BTreeMap::new());
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = self.0.short.notified() => tokio::time::sleep(SOON).await,
            }
            let all = next_all <= Instant::now();
            let bots = self.limits().asking(all, self.0.clock.now());
            let mut term = TERM;
            for bot in bots {
                if let Some(told) = self.ask(&asker, &bot, &mut said).await {
                    term = told;
                }
            }
            if all {
                next_all = Instant::now() + term / 3;
            }
            let (standing, news) = {
                let mut limits = self.limits();
                (limits.standing(self.0.clock.now()), limits.take_news())
            };
            self.0.meters.show(&standing);
            news.iter().for_each(tell);
        }
    }

    /// Asks for one bot's slice; returns its term.
    async fn ask(&self, asker: &Asker, bot: &str, said: &mut BTreeMap<String, String>) -> Option<Duration> {
        let mut ask = RestAsk::new(asker.pod.clone(), (asker.incarnation)(), bot.to_owned());
        let asked = self.0.clock.now();
        self.limits().claim(&mut ask, asked);
        match asker.client.post::<RestSlice>("/v1/discord/rest", &ask).await {
            Ok(slice) => {
                if said.remove(bot).is_some() {
                    tracing::info!(bot, slots = slice.slots, "config-service shares the requests to Discord out again");
                }
                // The last call that leaves has ended and rested before the term has.
                let settle = asker.call + ROUND;
                self.limits().hear(bot, &slice, (asked, self.0.clock.now()), settle);
                Some(Duration::from_millis(slice.term_ms))
            }
            Err(why) => {
                let problem = why.problem().map_or_else(String::new, |problem| problem.code.to_string());
                if said.insert(bot.to_owned(), problem.clone()).as_ref() != Some(&problem) {
                    tell_trouble(bot, &ask, &why);
                }
                None
            }
        }
    }
}

fn tell_trouble(bot: &str, ask: &RestAsk, why: &ClientError) {
    tracing::warn!(
        bot,
        kept = ask.floor,
        error = %why,
        "config-service does not say how many requests to Discord this pod may make; it goes on with what it has, and after the term with what it keeps"
    );
}

fn tell(news: &News) {
    match news {
        News::Banned(pause) => tracing::error!(
            seconds = pause.as_secs(),
            "Discord refuses this address: too many requests of it were invalid, or it is somebody else's, too. Nothing is sent to Discord until the pause is over; look for 401, 403 and 429 in the calls that were put aside (berth event list --dead)"
        ),
        News::Paused(bot, pause) => tracing::warn!(
            bot,
            ms = pause.as_millis(),
            "Discord tells the bot to pause: it made more requests than its limit, from elsewhere too. All pods pause"
        ),
        News::Refused(bot) => tracing::error!(
            bot,
            "Discord refuses the bot's token; its calls wait. Give the handler a valid token and start the pod anew"
        ),
        News::Braked(invalid) => tracing::error!(
            invalid,
            "no call to Discord leaves: so many were answered 401, 403 or 429 in ten minutes, and at 10,000 Discord bans the address. Mend what the bot may not do; calls go on by themselves when it is long enough ago"
        ),
    }
}
