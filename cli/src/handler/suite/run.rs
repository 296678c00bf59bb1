//! One call after another: opens a call with its token and what travels with it, sends it, judges the answer and keeps
//! what later calls can see of it. Knows no check.

use crate::handler::{
    judge::Described,
    local::Shared,
    player::{Heard, Player, Refused, Taken, judged},
    request::{Around, request},
};
use bytes::Bytes;
use gateway::handlers::{Event, EventKind, Timer};
use http::{Method, Version, header};
use serde_json::Value;
use shared::platform;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long Berth waits where the platform waits 3 s.
const FAST: Duration = Duration::from_secs(2);

/// A timer of a target: id, due, payload.
type SetTimer = (String, String, u64, String);

/// What calls are made with. Clones share what is kept.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    /// The way to the handler.
    pub(super) player: Player,
    /// What is kept of the targets.
    pub(super) world: Shared,
    /// What the handler says of itself.
    pub(super) described: Described,
    /// When all of it happens.
    pub(super) now_ms: u64,
    /// How long an answer may take.
    pub(super) limit: Duration,
    local: String,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    calls: AtomicU64,
    closes: AtomicBool,
    timers: Mutex<BTreeMap<(String, String), (u64, String)>>,
}

/// A call that was made.
#[derive(Debug)]
pub(super) struct Played {
    /// What came of it.
    pub(super) taken: Result<Taken, Refused>,
}

impl Bench {
    /// Makes a bench.
    pub(super) fn new(
        player: Player,
        world: Shared,
        local: &str,
        described: Described,
        now_ms: u64,
        limit: Duration,
    ) -> Self {
        Self { player, world, described, now_ms, limit, local: local.to_owned(), kept: Arc::default() }
    }

    /// Plays an event and keeps nothing of the answer.
    pub(super) async fn play(&self, event: &Event) -> Played {
        self.play_as(event, 1).await
    }

    /// Plays an event that is tried for the nth time.
    pub(super) async fn play_as(&self, event: &Event, attempt: u32) -> Played {
        self.call(event, attempt, |_| ()).await
    }

    /// Plays an event whose request was changed.
    pub(super) async fn play_changed(&self, event: &Event, change: impl FnOnce(&mut Value)) -> Played {
        self.call(event, 1, change).await
    }

    /// Plays an event; keys, sessions and timers are as they were said for the next one.
    pub(super) async fn play_and_keep(&self, event: &Event) -> Played {
        let played = self.play(event).await;
        if let Ok(taken) = &played.taken {
            self.world.lock().apply(event.target.as_str(), &taken.said);
            self.keep_timers(event.target.as_str(), &taken.said);
        }
        played
    }

    /// Returns the timers that are set.
    pub(super) fn timers(&self) -> Vec<SetTimer> {
        let timers = self.kept.timers.lock().unwrap_or_else(PoisonError::into_inner);
        timers.iter().map(|((target, id), (at, payload))| (target.clone(), id.clone(), *at, payload.clone())).collect()
    }

    /// Returns whether an answer closed its connection.
    pub(super) fn closes(&self) -> bool {
        self.kept.closes.load(Ordering::Relaxed)
    }

    async fn call(&self, event: &Event, attempt: u32, change: impl FnOnce(&mut Value)) -> Played {
        let target = event.target.as_str();
        let number = self.kept.calls.fetch_add(1, Ordering::Relaxed);
        let limit =
            if platform::deadline(event.kind) <= Duration::from_secs(3) { FAST.min(self.limit) } else { self.limit };
        let around = Around {
            attempt,
            deadline_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            kv: self.world.lock().preloaded(target, &self.described.preload),
            local: self.local.clone(),
            token: format!("call-{number}"),
        };
        let mut request = request(event, timer(event).as_ref(), &around);
        change(&mut request);
        self.world.lock().open(&around.token, target);
        let body = Bytes::from(request.to_string());
        let heard = self.player.send(Method::POST, "/v1/events", Some(body), &[("berth-target", target)], limit).await;
        self.world.lock().close(&around.token);
        if let Heard::Answer(answer, _) = &heard {
            let closed = answer.version() == Version::HTTP_10
                || answer
                    .headers()
                    .get(header::CONNECTION)
                    .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
            self.kept.closes.fetch_or(closed, Ordering::Relaxed);
        }
        Played { taken: judged(heard, self.now_ms) }
    }

    fn keep_timers(&self, target: &str, said: &Value) {
        let mut timers = self.kept.timers.lock().unwrap_or_else(PoisonError::into_inner);
        for timer in said["timers"].as_array().into_iter().flatten() {
            let id = timer["id"].as_str().unwrap_or_default().to_owned();
            match super::super::shape::whole(&timer["at"]) {
                Some(at) => {
                    let payload = timer["payload"].as_str().unwrap_or_default().to_owned();
                    timers.insert((target.to_owned(), id), (at, payload));
                }
                None => drop(timers.remove(&(target.to_owned(), id))),
            }
        }
    }
}

/// Reads the timer that an event is.
fn timer(event: &Event) -> Option<Timer> {
    let said: Value = serde_json::from_slice(&event.body).ok().filter(|_| event.kind == EventKind::Timer)?;
    Some(Timer {
        id: said["id"].as_str()?.to_owned(),
        due_ms: said["due_ms"].as_u64()?,
        payload: said["payload"].as_str()?.to_owned(),
    })
}
