//! The load: Discord commands, made and signed before they are sent, so that signing is no part of what is measured. Each
//! is an event of its own; a fixed number is on its way at any time.

use crate::{
    exit::Failure,
    secrets::Made,
    send::{Moment, Webhook, discord, made_keys},
};
use bytes::Bytes;
use ed25519_dalek::SigningKey;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use shared::{
    http::Client,
    platform::{REFUSAL_TEXT, UNSURE_TEXT},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the first answer is asked for.
const POLL: Duration = Duration::from_millis(10);

/// How long an event is sent again that nobody takes.
const INSISTS: Duration = Duration::from_secs(60);

/// Bytes of one long text.
const TEXT: u64 = 100_000;

/// The events that fill one target are fewer than two to this.
const FILL: u32 = 20;

/// How large a load is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Targets the events are for, in turn.
    pub(super) targets: u32,
    /// Events.
    pub(super) events: u32,
    /// How many are on their way at once.
    pub(super) concurrency: usize,
}

/// A load that can be made.
#[derive(Debug)]
pub(super) struct Load {
    key: SigningKey,
    seconds: u64,
    first: u64,
    size: Size,
}

/// A load that is ready to be sent.
#[derive(Debug)]
pub(super) struct Signed {
    meet: Vec<Webhook>,
    events: Vec<Webhook>,
    concurrency: usize,
}

/// How long it took.
#[derive(Debug)]
pub(super) struct Timing {
    /// From the first event to the last answer.
    pub(super) all: Duration,
    /// Each event's, from the shortest on.
    pub(super) each: Vec<Duration>,
}

impl Load {
    /// Prepares a load signed with the cluster's own key.
    ///
    /// # Errors
    /// When the key is none.
    pub(super) fn new(made: &Made, moment: &Moment, size: Size) -> Result<Self, Failure> {
        let key = discord::key(Some(&made.discord_private_key), &made_keys(made.clone()))?;
        Ok(Self { key, seconds: moment.seconds(), first: moment.fresh, size })
    }

    /// Makes the `n`th event.
    fn event(&self, n: u32) -> Webhook {
        self.command(n, n % self.size.targets, Vec::new())
    }

    fn command(&self, n: u32, target: u32, options: Vec<Value>) -> Webhook {
        let id = self.first.wrapping_add(u64::from(n) << 1).to_string();
        let guild = guild(target).to_string();
        let said = discord::Said { guild: Some(&guild), channel: "2", user: "3", command: "stats", options };
        let body = Bytes::from(discord::interaction(&id, &said).to_string());
        discord::sign(&self.key, "/webhooks/discord", self.seconds, body)
    }

    /// Returns the name of the `n`th target.
    pub(super) fn target(&self, n: u32) -> String {
        format!("discord:guild:{}", guild(n))
    }

    /// Sends events with long texts to the `n`th target until the journal of them has about so many bytes.
    ///
    /// # Errors
    /// When one is not answered with a 2xx.
    pub(super) async fn fill(&self, http: &Client, n: u32, bytes: u64) -> Result<(), Failure> {
        let events = bytes.div_ceil(TEXT).max(1);
        let text = "x".repeat(usize::try_from(bytes / events).unwrap_or_default());
        let (events, first) = (u32::try_from(events).map_err(Failure::error)?, 1 + (n << FILL));
        let filling = (0..events).map(|i| {
            let option = json!({"name": "text", "type": 3, "value": text});
            self.command(first + i, n, vec![option])
        });
        stream::iter(filling)
            .map(|event| async move { post(http, &event).await })
            .buffer_unordered(self.size.concurrency)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// Makes and signs everything.
    ///
    /// # Errors
    /// When there are more events than ids.
    pub(super) fn signed(&self) -> Result<Signed, Failure> {
        let Size { targets, events, concurrency } = self.size;
        // The first event was the question for the first answer.
        let (meet, end) = (1 + targets, (1 + targets).checked_add(events));
        let end = end.ok_or_else(|| Failure::error("too many events"))?;
        let make = |from, to| (from..to).map(|n| self.event(n)).collect();
        Ok(Signed { meet: make(1, meet), events: make(meet, end), concurrency })
    }
}

/// Asks until the first event is answered with a 2xx.
///
/// # Errors
/// When it is not by `deadline`: what was heard last.
pub(super) async fn first_answer(http: &Client, load: &Load, deadline: Instant) -> Result<(), Failure> {
    let event = load.event(0);
    loop {
        match post(http, &event).await {
            Ok(_) => return Ok(()),
            Err(why) if Instant::now() > deadline => return Err(why),
            Err(_) => sleep(POLL).await,
        }
    }
}

impl Signed {
    /// Sends one event to every target, so that each has a home.
    ///
    /// # Errors
    /// When one is not answered with a 2xx.
    pub(super) async fn meet(&self, http: &Client) -> Result<(), Failure> {
        send(http, &self.meet, self.concurrency).await.map(|_| ())
    }

    /// Sends the load.
    ///
    /// # Errors
    /// When an event is not answered with a 2xx.
    pub(super) async fn run(&self, http: &Client) -> Result<Timing, Failure> {
        let began = Instant::now();
        let mut each = send(http, &self.events, self.concurrency).await?;
        let all = began.elapsed();
        each.sort_unstable();
        Ok(Timing { all, each })
    }
}

/// Returns the number of the `n`th target's guild.
fn guild(n: u32) -> u32 {
    1_000_000 + n
}

async fn send(http: &Client, events: &[Webhook], concurrency: usize) -> Result<Vec<Duration>, Failure> {
    stream::iter(events).map(|event| post(http, event)).buffer_unordered(concurrency).try_collect().await
}

/// Sends an event until it is taken. Whoever is told that nobody took it in time, with a 200 as it is shown to a person, sends
/// it again; that time counts.
async fn post(http: &Client, event: &Webhook) -> Result<Duration, Failure> {
    let began = Instant::now();
    loop {
        let answer = event.post(http).await?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        let told = [REFUSAL_TEXT, UNSURE_TEXT].iter().any(|text| body.contains(text));
        if answer.status().is_success() && !told {
            return Ok(began.elapsed());
        }
        if !told || began.elapsed() > INSISTS {
            let body: String = body.chars().take(300).collect();
            return Err(Failure::error(format!("an event was answered {}: {body}", answer.status())));
        }
        sleep(POLL).await;
    }
}
