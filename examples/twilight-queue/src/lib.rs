//! twilight's `Queue`, served by Berth: a shard identifies when config-service permits it, wherever the bot runs. Give it to
//! `ConfigBuilder::queue`. Decides nothing but when to ask again; a shard that no longer waits takes no permit.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;
use twilight_gateway_queue::Queue;

/// What is not an answer of Berth's waits so long before it is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// What only an operator can mend, a wrong token for one, is tried again now and then.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// How long one request may wait for its turn, and how long its answer is waited for.
const TURN: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(90);

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not an http:// URL of config-service")]
pub struct NoAddress(String);

/// A queue of shards that Berth keeps. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct BerthQueue {
    asking: Arc<Asking>,
    tasks: TaskTracker,
}

struct Asking {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    token: String,
    shards: u32,
    /// Sessions that Discord refused to resume, by shard.
    refused: Mutex<HashMap<u32, String>>,
}

impl fmt::Debug for BerthQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BerthQueue").field("url", &self.asking.url).finish_non_exhaustive()
    }
}

impl BerthQueue {
    /// Makes a queue for a bot of `shards` shards. `url` is config-service's, for example `http://127.0.0.1:3001`; `token` is
    /// one of role operator.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(url: &str, token: &str, shards: u32) -> Result<Self, NoAddress> {
        let none = || NoAddress(url.to_owned());
        let permits: Uri = format!("{}/v1/discord/permits", url.trim_end_matches('/')).parse().map_err(|_| none())?;
        if permits.scheme_str() != Some("http") || permits.host().is_none() {
            return Err(none());
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let asking = Asking { client, url: permits, token: token.to_owned(), shards, refused: Mutex::default() };
        Ok(Self { asking: Arc::new(asking), tasks: TaskTracker::new() })
    }

    /// Says that Discord has refused to resume a session of a shard (`InvalidateSession(false)`): its next permit may come from
    /// what Berth keeps for that.
    pub fn session_refused(&self, shard: u32, session: &str) {
        self.asking.refused().insert(shard, session.to_owned());
    }
}

impl Queue for BerthQueue {
    fn enqueue(&self, id: u32) -> oneshot::Receiver<()> {
        let (permit, permitted) = oneshot::channel();
        let asking = Arc::clone(&self.asking);
        self.tasks.spawn(async move { asking.until_permitted(id, permit).await });
        permitted
    }
}

impl Asking {
    /// Asks until there is a permit, or the shard does not wait any more.
    async fn until_permitted(&self, shard: u32, mut permit: oneshot::Sender<()>) {
        loop {
            let pause = tokio::select! {
                () = permit.closed() => return,
                asked = self.ask(shard) => match asked {
                    Ok(()) => {
                        self.refused().remove(&shard);
                        // A shard that has gone this moment has spent it.
                        let _ = permit.send(());
                        return;
                    }
                    Err(pause) => pause,
                },
            };
            tokio::select! {
                () = permit.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks once; returns after what time to ask again when there is no permit.
    async fn ask(&self, shard: u32) -> Result<(), Duration> {
        let (status, after, body) = match timeout(ANSWER, self.post(shard)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                tracing::warn!(error = %why, "Berth is not reached, the shard waits");
                return Err(PAUSE);
            }
            Err(_) => return Err(PAUSE),
        };
        if status == StatusCode::OK {
            return Ok(());
        }
        let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        // That others come first is no trouble.
        if said["code"] != "identify-later" {
            let detail = said["detail"].as_str().unwrap_or_default();
            tracing::warn!(shard, status = status.as_u16(), detail, "no permit to identify yet");
        }
        let mendable = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        Err(after.unwrap_or(if mendable { PAUSE } else { LONG_PAUSE }))
    }

    async fn post(
        &self,
        shard: u32,
    ) -> Result<(StatusCode, Option<Duration>, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let refused = self.refused().get(&shard).cloned();
        let wait_ms = u64::try_from(TURN.as_millis()).unwrap_or(u64::MAX);
        let mut ask = json!({ "shard": shard, "shards": self.shards, "wait_ms": wait_ms });
        if let Some(session) = refused {
            ask["refused_session"] = session.into();
        }
        let request = Request::post(self.url.clone())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(ask.to_string()))?;
        let (head, body) = self.client.request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        let after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((head.status, after.map(Duration::from_secs), body))
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<u32, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
