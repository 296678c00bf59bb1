//! Load that knows what it was promised: many targets of all platforms, each fed one event after the other, each event
//! sent again under its id until it is acknowledged. What was acknowledged is returned, in order, for the story to check.

use crate::{
    client::{Client, Reply},
    cluster::Cluster,
    senders::{Delivery, Keys, discord, github, slack, standard, telegram},
};
use http::Method;
use serde_json::json;
use shared::platform::{REFUSAL_TEXT, UNSURE_TEXT};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// How often an event of a load is sent until somebody must have taken it.
const MOST: u64 = 6_000;

/// The `n`th event of the `i`th target: which target, which id, and the signed delivery.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The target it belongs to.
    pub target: String,
    /// The platform's id of the event.
    pub id: String,
    /// What is sent.
    pub delivery: Delivery,
}

/// Makes the `n`th event of the `i`th target. Targets go round the platforms; an event has the same bytes each time.
pub fn plan(keys: &Keys, i: u64, n: u64) -> Planned {
    let text = format!("message {n}");
    let (target, id, delivery) = match i % 5 {
        0 => {
            let (chat, update) = (-1_000_000 - i64::try_from(i).unwrap_or(0), i * 100_000 + n);
            let body = telegram::message(chat, update, &text).to_string();
            (format!("telegram:channel:{chat}"), update.to_string(), telegram::signed(keys, body.as_bytes()))
        }
        1 => {
            let (team, id) = (format!("T{i}"), format!("Ev{i}-{n}"));
            let body = slack::message(&team, &id, &text).to_string();
            (format!("slack:guild:{team}"), id, slack::signed(keys, body.as_bytes()))
        }
        2 => {
            let id = format!("msg-{i}-{n}");
            let body = json!({"target": format!("k{i}"), "text": text}).to_string();
            (format!("webhook:key:shop.k{i}"), id.clone(), standard::signed(keys, &id, body.as_bytes()))
        }
        3 => {
            let id = format!("delivery-{i}-{n}");
            let body = json!({"action": "created", "repository": {"id": i}, "text": text}).to_string();
            let delivery = github::signed(keys, "issue_comment", &id, body.as_bytes());
            (format!("github:key:repository.{i}"), id, delivery)
        }
        _ => {
            let (guild, id) = (format!("{}", 7_000_000 + i), format!("{}", 9_000_000_000 + i * 100_000 + n));
            let body = discord::command(&guild, &id, "stats", &json!([])).to_string();
            (format!("discord:guild:{guild}"), id, discord::signed(keys, discord::INTERACTIONS, body.as_bytes()))
        }
    };
    Planned { target, id, delivery }
}

/// Makes events as [`plan`] does, of those platforms only that wait ten seconds or longer for an answer: what they are not
/// answered in that time tells of the cluster, and not of a slow machine. Telegram's patience is a setting.
pub fn patient(keys: &Keys, i: u64, n: u64) -> Planned {
    plan(keys, i / 3 * 5 + [0, 2, 3][(i % 3) as usize], n)
}

/// Returns whether an answer says that the event is committed. A refusal shown to a waiting person is a 200 too.
pub fn acknowledged(reply: &Reply) -> bool {
    let text = reply.text();
    (200..300).contains(&reply.status) && !text.contains(REFUSAL_TEXT) && !text.contains(UNSURE_TEXT)
}

/// Posts deliveries to a cluster's HTTP tiers. Cheap to clone, independent of the cluster's life.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client,
    routers: Arc<[String]>,
    /// What it signs with.
    pub keys: Keys,
}

impl Poster {
    /// Makes a poster for the HTTP tiers of `cluster`.
    pub fn new(cluster: &Cluster) -> Self {
        Self::at(cluster.routers.iter().map(|role| role.url("")), cluster.keys.clone())
    }

    /// Makes a poster for the HTTP tiers at these URLs, which know these keys.
    pub fn at(routers: impl IntoIterator<Item = String>, keys: Keys) -> Self {
        Self { client: Client::new(Duration::from_secs(20)), routers: routers.into_iter().collect(), keys }
    }

    /// Posts one delivery; `spread` chooses the HTTP tier.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn post(&self, delivery: &Delivery, spread: u64) -> Result<Reply, String> {
        let router = &self.routers[usize::try_from(spread).unwrap_or(0) % self.routers.len()];
        let url = format!("{router}{}", delivery.path);
        self.client.call(Method::POST, &url, &delivery.headers, delivery.body.clone()).await
    }

    /// Posts the `n`th event of the `i`th target until it is acknowledged; `None` when `most` attempts were not enough.
    /// Signs anew for each attempt, as platforms do, under the same id. Says how many attempts it took.
    pub async fn insist(&self, i: u64, n: u64, most: u64) -> Option<(Planned, u64)> {
        self.insist_on(&plan, i, n, |attempts| attempts < most, |_| {}).await
    }

    /// `refused` hears of each attempt that was not acknowledged.
    async fn insist_on(
        &self,
        plan: &(impl Fn(&Keys, u64, u64) -> Planned + Sync),
        i: u64,
        n: u64,
        goes_on: impl Fn(u64) -> bool,
        refused: impl Fn(String),
    ) -> Option<(Planned, u64)> {
        for attempt in (0..).take_while(|attempt| goes_on(*attempt)) {
            let (planned, began) = (plan(&self.keys, i, n), Instant::now());
            let said = match self.post(&planned.delivery, i + attempt).await {
                Ok(reply) if acknowledged(&reply) => return Some((planned, attempt + 1)),
                Ok(reply) => format!("{} {}", reply.status, reply.text()),
                Err(why) => why,
            };
            refused(format!("{} of {}, after {:?}: {said}", planned.id, planned.target, began.elapsed()));
            sleep(Duration::from_millis(50)).await;
        }
        None
    }
}

/// Load in the background.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    /// Whether nobody waits for an acknowledgement any more.
    leaves: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    /// How long each event took, from its first attempt to its acknowledgement.
    took: Arc<Mutex<Vec<Duration>>>,
    /// What was answered in place of an acknowledgement.
    refused: Arc<Mutex<Vec<String>>>,
    workers: JoinSet<BTreeMap<String, Vec<String>>>,
}

impl Load {
    /// Feeds the targets `first..first + targets`, each by a worker of its own, until it is stopped.
    pub fn start(poster: &Poster, first: u64, targets: u64) -> Self {
        Self::start_with(poster, first, targets, plan)
    }

    /// The same, with events that `plan` makes as [`plan`] does.
    pub fn start_with(
        poster: &Poster,
        first: u64,
        targets: u64,
        plan: impl Fn(&Keys, u64, u64) -> Planned + Clone + Send + Sync + 'static,
    ) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let leaves = Arc::<AtomicBool>::default();
        let (took, refused) = (Arc::<Mutex<Vec<Duration>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let mut workers = JoinSet::new();
        for i in first..first + targets {
            let (poster, stop, count) = (poster.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
            let (took, leaves, plan) = (Arc::clone(&took), Arc::clone(&leaves), plan.clone());
            let refused = Arc::clone(&refused);
            workers.spawn(async move {
                let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for n in 0.. {
                    let began = Instant::now();
                    let most = |attempts| attempts < MOST && !leaves.load(Ordering::SeqCst);
                    let note = |said| refused.lock().unwrap_or_else(PoisonError::into_inner).push(said);
                    let Some((planned, _)) = poster.insist_on(&plan, i, n, most, note).await else {
                        assert!(leaves.load(Ordering::SeqCst), "event {n} of target {i} never got in");
                        break;
                    };
                    taken.entry(planned.target).or_default().push(planned.id);
                    took.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
                    count.fetch_add(1, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                }
                taken
            });
        }
        Self { stop, leaves, acknowledged, took, refused, workers }
    }

    /// Returns what senders were told in place of an acknowledgement since this was last asked: nothing of it is lost, they sent
    /// it again.
    pub fn refused(&self) -> Vec<String> {
        std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns how long events took that were acknowledged since this was last asked: the shortest time first.
    pub fn took(&self) -> Vec<Duration> {
        let mut took = std::mem::take(&mut *self.took.lock().unwrap_or_else(PoisonError::into_inner));
        took.sort_unstable();
        took
    }

    /// Returns how many events have been acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Lets each worker leave, also one whose event nobody acknowledges any more, and returns per target what was acknowledged.
    ///
    /// # Panics
    /// When a worker has ended badly.
    pub async fn leave(self) -> BTreeMap<String, Vec<String>> {
        self.leaves.store(true, Ordering::SeqCst);
        self.finish().await
    }

    /// Lets each worker finish its event and returns per target what was acknowledged, in order.
    ///
    /// # Panics
    /// When a worker could not get an event in.
    pub async fn finish(mut self) -> BTreeMap<String, Vec<String>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = BTreeMap::new();
        while let Some(taken) = self.workers.join_next().await {
            all.extend(taken.expect("a worker ends well"));
        }
        all
    }
}
