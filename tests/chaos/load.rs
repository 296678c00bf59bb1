//! The senders: each target is fed one event after the other, each event sent again under its id until it is acknowledged,
//! some once more after that, as platforms do. What was sent and acknowledged when is written down. Knows no faults.

mod ledger;

pub(crate) use ledger::Ledger;

use crate::world::World;
use berth_tests::{Client, Keys, senders::standard, workload::acknowledged};
use http::Method;
use serde_json::{Value, json};
use shared::clock::{BootClock, Clock};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

const AGAIN: Duration = Duration::from_millis(50);
/// How many events a target may be behind after an outage; the rest of it was never sent.
const BACKLOG: u32 = 40;

/// What the event of a number makes its handler do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing outside.
    None,
    /// A call that may be repeated under its key.
    Call,
    /// A call that must never be made twice.
    CallOnce,
}

/// Returns what the `n`th event of a target does.
pub(crate) const fn effect(n: u64) -> Effect {
    match n % 20 {
        3 | 13 => Effect::Call,
        7 => Effect::CallOnce,
        _ => Effect::None,
    }
}

/// Returns the id of the `n`th event of the `i`th target.
pub(crate) fn event_id(i: usize, n: u64) -> String {
    format!("e{i}-{n}")
}

/// Returns the name of the `i`th target.
pub(crate) fn target(i: usize) -> String {
    format!("webhook:key:shop.k{i}")
}

/// What all senders share.
#[derive(Debug, Clone)]
pub(crate) struct Senders {
    /// The HTTP tiers' addresses, `http://HOST:PORT`.
    pub(crate) routers: Arc<[String]>,
    /// What they sign with.
    pub(crate) keys: Keys,
    /// Where effects go, `HOST:PORT`.
    pub(crate) outside: String,
    /// Time between two events of one target.
    pub(crate) every: Duration,
    /// How long an answer is waited for. Shorter than the HTTP tier waits for an owner, an event may be on its way twice.
    pub(crate) patience: Duration,
}

impl Senders {
    /// Senders to all HTTP tiers of a cluster, together so many events per second.
    pub(crate) fn to(world: &World, targets: usize, rate: u64, patience: Duration) -> Self {
        Self {
            routers: world.routers.iter().map(|node| node.url("")).collect(),
            keys: world.keys.clone(),
            outside: world.outside.host(),
            every: Duration::from_secs(1).mul_f64(targets as f64 / rate.max(1) as f64),
            patience,
        }
    }
}

/// The load. Its senders end with it.
#[derive(Debug)]
pub(crate) struct Load {
    /// What was sent and acknowledged.
    pub(crate) ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Begins to feed so many targets.
    pub(crate) fn start(senders: &Senders, targets: usize) -> Self {
        let (ledger, stop) = (Arc::new(Ledger::new(targets)), Arc::<AtomicBool>::default());
        let client = Client::new(senders.patience);
        let mut workers = JoinSet::new();
        for i in 0..targets {
            let worker = Worker { i, client: client.clone(), senders: senders.clone(), ledger: Arc::clone(&ledger) };
            workers.spawn(worker.run(Arc::clone(&stop)));
        }
        Self { ledger, stop, workers }
    }

    /// Lets each sender get its event acknowledged, but not for longer than `most`. Returns whether all did.
    pub(crate) async fn finish(&mut self, most: Duration) -> bool {
        self.stop.store(true, Ordering::SeqCst);
        let all = async { while self.workers.join_next().await.is_some() {} };
        let done = tokio::time::timeout(most, all).await.is_ok();
        self.workers.abort_all();
        done
    }
}

struct Worker {
    i: usize,
    client: Client,
    senders: Senders,
    ledger: Arc<Ledger>,
}

impl Worker {
    async fn run(self, stop: Arc<AtomicBool>) {
        let every = self.senders.every;
        // Not all at the same moment.
        let mut due = tokio::time::Instant::now() + every.mul_f64((self.i % 97) as f64 / 97.0);
        for n in 0.. {
            tokio::time::sleep_until(due).await;
            if stop.load(Ordering::SeqCst) {
                return;
            }
            self.ledger.sent(self.i, BootClock.now());
            let mut attempt = 0;
            while !self.post(n, attempt).await {
                attempt += 1;
                self.ledger.failed();
                tokio::time::sleep(AGAIN).await;
            }
            self.ledger.acknowledged(self.i, BootClock.now());
            // Some platform did not hear the answer.
            if n % 16 == 5 {
                self.post(n - n % 3, attempt).await;
            }
            let now = tokio::time::Instant::now();
            due = (due + every).max(now.checked_sub(every * BACKLOG).unwrap_or(now));
        }
    }

    async fn post(&self, n: u64, attempt: usize) -> bool {
        let body = body(self.i, n, &self.senders.outside).to_string();
        let delivery = standard::signed(&self.senders.keys, &event_id(self.i, n), body.as_bytes());
        let router = &self.senders.routers[(self.i + attempt) % self.senders.routers.len()];
        let url = format!("{router}{}", delivery.path);
        let reply = self.client.call(Method::POST, &url, &delivery.headers, delivery.body).await;
        reply.is_ok_and(|reply| acknowledged(&reply))
    }
}

fn body(i: usize, n: u64, outside: &str) -> Value {
    let (target, id) = (format!("k{i}"), event_id(i, n));
    let call = json!({"id": id, "method": "POST", "url": format!("http://{outside}/{id}"), "body": id});
    match effect(n) {
        Effect::None => json!({"target": target, "do": "note", "key": "last", "text": id}),
        Effect::Call => json!({"target": target, "do": "call", "call": call}),
        Effect::CallOnce => json!({"target": target, "do": "call-once", "call": call}),
    }
}
