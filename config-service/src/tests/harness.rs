//! A service on a port of its own, and pods played by hand.

use crate::{Options, app, store::Sqlite, store::Store};
use clap::Parser;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use shared::clock::ManualClock;
use shared::http::{Client, ClientError};
use shared::settings::Secret;
use shared::shutdown::Shutdown;
use shared::wire::control::{Chain, Grant, Heartbeat, Load, Place, PlaceTarget, Placed, Register, Registered, Watch};
use shared::wire::{Hello, sse::SseEvent, sse::SseReader};
use shared::{Epoch, Incarnation, LeaseId, PodId, Revision, Term};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::TempDir;

/// The longest any of these stories waits for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) clock: ManualClock,
    pub(super) store: Arc<dyn Store>,
    shutdown: Shutdown,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

pub(super) fn options(extra: &[&str]) -> Options {
    let fixed = [
        "test",
        "--listen=127.0.0.1:0",
        "--store=sqlite:unused",
        "--service-tokens=service",
        "--admin-tokens=admin",
        "--watch-bookmark=100ms",
        "--leader-lease=300ms",
        "--term-check=0s",
    ];
    // Nothing moves by itself where a story does not say so.
    let said = extra.iter().any(|flag| flag.starts_with("--rebalance-interval"));
    let quiet = (!said).then_some("--rebalance-interval=0s");
    Flags::parse_from(fixed.iter().copied().chain(extra.iter().copied()).chain(quiet)).options
}

impl Node {
    pub(super) async fn start(folder: &TempDir) -> Self {
        Self::start_with(folder, &[]).await
    }

    pub(super) async fn start_with(folder: &TempDir, extra: &[&str]) -> Self {
        let store = Sqlite::open(&folder.path().join("config.db"), 64).expect("opens");
        Self::on(Arc::new(store), extra).await
    }

    pub(super) async fn on(store: Arc<dyn Store>, extra: &[&str]) -> Self {
        let (clock, shutdown) = (ManualClock::new(1_700_000_000_000), Shutdown::new());
        let options = options(extra);
        let secrets = app::Secrets::read(&options).expect("both are set");
        let running = app::start(options, secrets, Arc::clone(&store), Arc::new(clock.clone()), shutdown.clone()).await;
        let running = running.expect("starts");
        let node = Self { address: running.address, clock, store, shutdown, ended: running.ended };
        node.leads().await;
        node
    }

    pub(super) async fn leads(&self) {
        eventually("it leads", async || self.service().get::<serde_json::Value>("/v1/pods").await.is_ok()).await;
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.expect("no panic").expect("stops in order");
    }

    pub(super) fn service(&self) -> Client {
        self.client(Some("service"))
    }

    pub(super) fn admin(&self) -> Client {
        self.client(Some("admin"))
    }

    pub(super) fn client(&self, token: Option<&str>) -> Client {
        Client::new(&format!("http://{}", self.address), token.map(Secret::new), PATIENCE).expect("a URL")
    }

    /// Calls as whoever has `token`; returns the status, the headers and the JSON of the answer.
    pub(super) async fn call(&self, token: Option<&str>, method: Method, path: &str, body: &Value) -> Answer {
        self.call_with(token, method, path, &[], body).await
    }

    pub(super) async fn call_with(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.client(token).exchange(method, path, &headers, body.into()).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status: head.status.as_u16(), headers: head.headers, json }
    }

    /// A pod that has registered and holds a lease.
    pub(super) async fn ready(&self, pod: &str, incarnation: u8) -> Pod {
        let pod = self.registered(pod, incarnation).await.expect("registers");
        pod.beat(self).await.expect("granted");
        pod
    }

    pub(super) async fn registered(&self, pod: &str, incarnation: u8) -> Result<Pod, ClientError> {
        let register = register(pod, incarnation);
        let answer: Registered = self.service().post("/v1/pods/register", &register).await?;
        Ok(Pod { pod: register.pod, incarnation: register.incarnation, lease: answer.lease_id })
    }

    /// A pod with a lease whose database is replicated.
    pub(super) async fn replicated(&self, pod: &str, incarnation: u8) -> Pod {
        self.admitted(Register { replica: Some("s3://replicas/berth".into()), ..register(pod, incarnation) }).await
    }

    /// A pod with a lease that has registered like this.
    pub(super) async fn admitted(&self, register: Register) -> Pod {
        let answer: Registered = self.service().post("/v1/pods/register", &register).await.expect("registers");
        let pod = Pod { pod: register.pod, incarnation: register.incarnation, lease: answer.lease_id };
        pod.beat(self).await.expect("granted");
        pod
    }

    /// Returns a page as a browser gets it.
    pub(super) async fn page(&self, path: &str) -> String {
        let body = self.client(None).stream(path, &[]).await.expect("a page");
        let body = http_body_util::BodyExt::collect(body).await.expect("whole").to_bytes();
        String::from_utf8_lossy(&body).into_owned()
    }

    pub(super) async fn place(&self, targets: &[&str]) -> Result<Placed, ClientError> {
        let wanted = |target: &&str| PlaceTarget::of(target.parse().expect("valid"));
        let place = Place { targets: targets.iter().map(wanted).collect() };
        self.service().post("/v1/targets/place", &place).await
    }

    pub(super) async fn watch(&self, path: &str, after: Option<u64>) -> Watcher {
        let id = after.map(|id| id.to_string());
        let headers: Vec<_> = id.iter().map(|id| ("last-event-id", id.as_str())).collect();
        let body = self.service().stream(path, &headers).await.expect("a stream");
        Watcher { body, reader: SseReader::new(1 << 20), events: VecDeque::new() }
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) json: Value,
}

impl Answer {
    /// The code of a problem; `ok` when it is none.
    pub(super) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("ok")
    }
}

pub(super) fn incarnation(n: u8) -> Incarnation {
    format!("0190163d-8694-739b-aea5-966c26f8ad{n:02x}").parse().expect("valid")
}

pub(super) fn register(pod: &str, n: u8) -> Register {
    Register {
        hello: Hello::CURRENT,
        pod: pod.parse().expect("valid"),
        incarnation: incarnation(n),
        address: "127.0.0.1:1".into(),
        zone: None,
        previous: None,
        capacity: 1.0,
        schema: 1,
        version: "test".into(),
        highest_epoch: Epoch(0),
        term: Term(0),
        bot: None,
        replica: None,
        track: Default::default(),
    }
}

pub(super) struct Pod {
    pub(super) pod: PodId,
    pub(super) incarnation: Incarnation,
    pub(super) lease: LeaseId,
}

impl Pod {
    pub(super) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            incarnation: self.incarnation.clone(),
            lease_id: self.lease,
            nonce: 77,
            load: Load::default(),
            revision: Revision(0),
            leaving: false,
            goodbye: None,
            not_ready: None,
            witnesses: 0,
            degraded: false,
            weights: Vec::new(),
            served: None,
            measured: Default::default(),
            chain: Chain::default(),
            term: Term(0),
        }
    }

    pub(super) async fn beat(&self, node: &Node) -> Result<Grant, ClientError> {
        self.send(node, &self.heartbeat()).await
    }

    pub(super) async fn send(&self, node: &Node, heartbeat: &Heartbeat) -> Result<Grant, ClientError> {
        node.service().post(&format!("/v1/pods/{}/heartbeat", self.pod), heartbeat).await
    }
}

pub(super) struct Watcher {
    body: Incoming,
    reader: SseReader,
    events: VecDeque<SseEvent>,
}

impl Watcher {
    /// The next message; none when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Watch> {
        loop {
            if let Some(event) = self.events.pop_front() {
                let message: Watch = serde_json::from_str(&event.data).expect("a message");
                assert_eq!(event.event, message.name());
                assert_eq!(event.id, message.completes().map(|revision| revision.to_string()));
                return Some(message);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a bookmark at least");
            let chunk = frame?.ok()?.into_data().expect("data");
            self.events.extend(self.reader.push(&chunk).expect("small"));
        }
    }

    /// The next message that is no bookmark.
    pub(super) async fn news(&mut self) -> Watch {
        loop {
            match self.next().await.expect("the stream goes on") {
                Watch::Bookmark { .. } => {}
                message => return message,
            }
        }
    }
}

pub(super) fn code<T>(answer: Result<T, ClientError>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(why) => why.problem().map_or_else(|| why.to_string(), |problem| problem.code.clone()),
    }
}

pub(super) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}
