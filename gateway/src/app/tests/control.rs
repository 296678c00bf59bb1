//! A config-service that does what a test wants: grants, refuses, keeps silent. Only for what the real one never does;
//! the two are run together in the workspace's tests.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use shared::http::{ServeLimits, bind, serve};
use shared::shutdown::Shutdown;
use shared::wire::control::{Assignment, Grant, Heartbeat, Peer, Register, Registered, Watch, Witnesses};
use shared::wire::sse;
use shared::{Epoch, LeaseId, Problem, Revision, Term};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How heartbeats are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Grant,
    WrongNonce,
    Conflict,
    /// No answer at all.
    Silent,
}

#[derive(Debug, Default)]
struct Seen {
    registrations: Vec<Register>,
    goodbyes: usize,
    /// `Last-Event-ID` of each watch that was opened.
    watches: Vec<Option<String>>,
    assignments: Vec<Assignment>,
    revision: u64,
    open: Vec<mpsc::UnboundedSender<String>>,
}

#[derive(Debug, Clone)]
pub(super) struct Control {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
    mood: watch::Sender<Mood>,
    witnesses: watch::Sender<Witnesses>,
    pub(super) url: String,
    stop: Shutdown,
}

/// How long a lease lasts that is granted: long enough that a busy machine is no reason to lose it.
pub(super) const LEASE: Duration = Duration::from_secs(6);

impl Control {
    pub(super) async fn start() -> Self {
        let bound = bind("127.0.0.1:0".parse().expect("valid"), "--listen").await.expect("a port");
        let (changed, mood) = (watch::Sender::new(0), watch::Sender::new(Mood::Grant));
        // Somebody who is never there: a pod without witnesses would serve on for ever.
        let witnesses = watch::Sender::new(witnesses(1, &[("gateway-9", "127.0.0.1:1")]));
        let url = format!("http://{}", bound.address);
        let control = Self { seen: Arc::default(), changed, mood, witnesses, url, stop: Shutdown::new() };
        let router = Router::new()
            .route("/v1/pods/register", post(register))
            .route("/v1/pods/{pod}/heartbeat", post(heartbeat))
            .route("/v1/watch", get(follow))
            .with_state(control.clone());
        shared::shutdown::spawn(serve(bound, router, ServeLimits::default(), control.stop.clone()));
        control
    }

    pub(super) fn mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Names the witnesses in every grant from now on.
    pub(super) fn name_witnesses(&self, version: u64, pods: &[(&str, &str)]) {
        self.witnesses.send_replace(witnesses(version, pods));
    }

    /// Gives a target to a pod and tells everybody.
    pub(super) fn assign(&self, target: &str, pod: &str, epoch: u64) {
        let message = self.with(|seen| {
            seen.revision += 1;
            let assignment = Assignment {
                target: target.parse().expect("valid"),
                pod: pod.parse().expect("valid"),
                epoch: Epoch(epoch),
                revision: Revision(seen.revision),
                parent: None,
                reason: "first-contact".into(),
                since_ms: 0,
                state: Default::default(),
                data: None,
            };
            seen.assignments.retain(|known| known.target != assignment.target);
            seen.assignments.push(assignment.clone());
            Watch::Delta {
                revision: Revision(seen.revision),
                pods: vec![],
                assignments: vec![assignment],
                moves: vec![],
            }
        });
        self.tell(&message);
    }

    /// Becomes another database, without assignments, whose log ends at `revision`.
    pub(super) fn replace(&self, revision: u64) {
        self.with(|seen| (seen.revision, seen.assignments) = (revision, vec![]));
    }

    /// Sends a message to every open watch.
    pub(super) fn tell(&self, message: &Watch) {
        let text = written(message);
        self.with(|seen| seen.open.retain(|watcher| watcher.send(text.clone()).is_ok()));
    }

    /// Cuts every open watch.
    pub(super) fn cut(&self) {
        self.with(|seen| seen.open.clear());
    }

    /// Waits until `enough` holds of what was seen.
    async fn until(&self, enough: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !self.with(|seen| enough(seen)) {
                changed.changed().await.expect("the sender is here");
            }
        };
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("in time");
    }

    /// How many pods have registered, or one how often.
    pub(super) fn registered(&self) -> usize {
        self.with(|seen| seen.registrations.len())
    }

    pub(super) async fn registrations(&self, count: usize) -> Vec<Register> {
        self.until(|seen| seen.registrations.len() >= count).await;
        self.with(|seen| seen.registrations.clone())
    }

    /// The positions of the first `count` watches.
    pub(super) async fn watches(&self, count: usize) -> Vec<Option<String>> {
        self.until(|seen| seen.watches.len() >= count).await;
        self.with(|seen| seen.watches.clone())
    }

    pub(super) fn goodbyes(&self) -> usize {
        self.with(|seen| seen.goodbyes)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, work: impl FnOnce(&mut Seen)) {
        self.with(work);
        self.changed.send_modify(|changes| *changes += 1);
    }
}

fn witnesses(version: u64, pods: &[(&str, &str)]) -> Witnesses {
    let peer =
        |(pod, address): &(&str, &str)| Peer { pod: pod.parse().expect("valid"), address: (*address).to_owned() };
    Witnesses { version, pods: pods.iter().map(peer).collect() }
}

fn written(message: &Watch) -> String {
    let data = serde_json::to_string(message).expect("plain");
    sse::write(message.name(), message.completes().map(|revision| revision.0), &data)
}

async fn register(State(control): State<Control>, Json(request): Json<Register>) -> Json<Registered> {
    control.note(|seen| seen.registrations.push(request));
    let lease_id = LeaseId(control.with(|seen| seen.registrations.len() as u64));
    let lease_ms = u64::try_from(LEASE.as_millis()).expect("small");
    Json(Registered { version: 1, lease_id, generation: 0, heartbeat_ms: 50, lease_ms, fenced: vec![], report: false })
}

async fn heartbeat(State(control): State<Control>, Json(beat): Json<Heartbeat>) -> Response {
    if beat.leaving {
        control.note(|seen| seen.goodbyes += 1);
    }
    let mood = *control.mood.borrow();
    match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Conflict => Problem::conflict("stale-lease", "not this one").into_response(),
        Mood::Grant | Mood::WrongNonce => Json(Grant {
            lease_id: beat.lease_id,
            incarnation: beat.incarnation,
            nonce: beat.nonce ^ u64::from(mood == Mood::WrongNonce),
            term: Term(1),
            lease_ms: u64::try_from(LEASE.as_millis()).expect("small"),
            revision: Revision(control.with(|seen| seen.revision)),
            witnesses: control.witnesses.borrow().clone(),
        })
        .into_response(),
    }
}

async fn follow(State(control): State<Control>, headers: HeaderMap) -> Response {
    let position = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let (watcher, messages) = mpsc::unbounded_channel();
    control.note(|seen| {
        let revision = Revision(seen.revision);
        let first = match &position {
            None => Watch::Snapshot {
                moves: vec![],
                revision,
                first: true,
                more: false,
                pods: vec![],
                assignments: seen.assignments.clone(),
            },
            Some(_) => Watch::Bookmark { revision },
        };
        let _ = watcher.send(written(&first));
        seen.watches.push(position);
        seen.open.push(watcher);
    });
    let messages =
        stream::unfold(messages, |mut messages| async { messages.recv().await.map(|text| (text, messages)) });
    let body = Body::from_stream(messages.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text))));
    (StatusCode::OK, body).into_response()
}
