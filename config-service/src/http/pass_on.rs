//! Passing on to the leader what only it can answer: one hop at most, with the caller's own headers, so that the leader
//! judges the caller and not this process. Says what the leader's silence reads like. Decides nothing about the request.

use super::{
    Api,
    auth::is_to_be_noted,
    docs::{Answerer, Doc},
};
use crate::control::ControlError;
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use shared::{
    Problem,
    http::{Client, ClientError, RequestId, relay::clean},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Marks a request that was passed on: it is not passed on again.
const PASSED_ON: HeaderName = HeaderName::from_static("berth-passed-on");

/// How long it is waited after the leader was told of a token's use, before it is told of another.
const NOTED: Duration = Duration::from_secs(1);

/// What passing on takes. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct PassOn(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    routes: HashMap<&'static str, Vec<(Method, Route)>>,
    seats: Semaphore,
    /// The way to the leader that was used last.
    client: Mutex<Option<Client>>,
    /// Held while the leader is told of a token's use.
    noting: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Route {
    by: Answerer,
    /// Whether it is a change by an operator, who will look at once what has become of it.
    change: bool,
}

impl PassOn {
    /// Takes who answers what from the routes' documentation. At most `most` requests are under way at once.
    pub(super) fn new(api: Api, docs: &[Doc], most: usize) -> Self {
        let mut routes: HashMap<_, Vec<_>> = HashMap::new();
        for doc in docs {
            let route = Route { by: doc.by, change: doc.keyed };
            routes.entry(doc.path).or_default().push((doc.method.clone(), route));
        }
        let (seats, noting) = (Semaphore::new(most), Arc::new(Semaphore::new(1)));
        Self(Arc::new(Inner { api, routes, seats, client: Mutex::default(), noting }))
    }

    fn route(&self, request: &Request) -> Option<Route> {
        let path = request.extensions().get::<MatchedPath>()?;
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let found = self.0.routes.get(path.as_str())?.iter().find(|(known, _)| known == method);
        found.map(|(_, route)| *route)
    }

    /// Returns whether a request takes the leader, as things are.
    fn takes_leader(&self, route: Route) -> bool {
        let control = &self.0.api.control;
        match route.by {
            Answerer::Anybody => false,
            Answerer::Replica => !control.leads() && !control.follows(),
            Answerer::Leader => !control.leads(),
        }
    }

    async fn pass(&self, request: Request) -> Result<Response, Problem> {
        let Inner { api, seats, .. } = &*self.0;
        let leader = api.control.leader();
        let unknown = || Problem::from(ControlError::NotLeader { leader: leader.clone() });
        if request.headers().contains_key(PASSED_ON) {
            return Err(unknown());
        }
        let Some(leader) = leader.clone() else { return Err(unknown()) };
        let _seat = seats.try_acquire().map_err(|_| {
            Problem::unavailable("too-many-passed-on", "as many requests as may be wait for the leader; try again")
        })?;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let most = match parts.uri.path() {
            path if path.ends_with("/erase") => api.patience * 2 + api.erase_wait,
            super::discord::PERMITS => api.patience * 2 + api.identify.patience(),
            _ => api.patience * 2,
        };
        let mut headers = parts.headers;
        clean(&mut headers);
        let body = self.read(body).await?;
        let id = parts.extensions.get::<RequestId>().map(ToString::to_string);
        let headers = passed(&headers, id);
        let client = self.client(&leader).ok_or_else(unknown)?.within(most);
        let answer = tokio::select! {
            answer = client.exchange(parts.method, path, &headers, body) => answer,
            // Whether the old one has done it, nobody knows.
            () = api.control.succeeded(&leader) => return Err(lost(&leader, "another leads now")),
        };
        answer.map(returned).map_err(|why| match why {
            ClientError::Unreachable { sent: false, detail, .. } => {
                let text =
                    format!("this config-service does not lead, and {leader} is not reached: {detail}; try again");
                Problem::unavailable("not-leader", text)
            }
            why => lost(&leader, &why.to_string()),
        })
    }

    /// A follower answers for itself; the leader, which alone writes, is shown the caller's token now and then, so that its
    /// use is noted. One at a time, and nobody waits for it. Where reads are open, nobody looks at a reader's token.
    fn note(&self, headers: &HeaderMap) {
        let Inner { api, noting, .. } = &*self.0;
        if api.open_reads || api.control.leads() || headers.contains_key(PASSED_ON) || !is_to_be_noted(headers, api) {
            return;
        }
        let client = api.control.leader().and_then(|leader| self.client(&leader));
        let (Some(client), Ok(turn)) = (client, Arc::clone(noting).try_acquire_owned()) else { return };
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let headers = [("authorization".to_owned(), said.to_owned()), (PASSED_ON.as_str().to_owned(), "1".to_owned())];
        let client = client.within(api.patience);
        shared::shutdown::spawn(async move {
            if let Err(why) = client.exchange(Method::GET, "/v1/leader", &headers, Bytes::new()).await {
                tracing::debug!(error = %why, "the leader could not be told that a token was used");
            }
            // It takes a moment until this is known here.
            tokio::time::sleep(NOTED).await;
            drop(turn);
        });
    }

    async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let Api { max_body, patience, .. } = &self.0.api;
        let slow = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time");
        let read = tokio::time::timeout(*patience, to_bytes(body, *max_body)).await.map_err(slow)?;
        read.map_err(|_| {
            let text = format!("the body could not be read, or has more than {max_body} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", text)
        })
    }

    fn client(&self, leader: &str) -> Option<Client> {
        let base = format!("http://{leader}");
        let mut kept = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|client| client.base() != base) {
            // Each call says how long it may take.
            *kept = Client::new(&base, None, Duration::from_secs(2)).ok();
        }
        kept.clone()
    }
}

fn lost(leader: &str, why: &str) -> Problem {
    let text = format!("the leader {leader} did not answer: {why}; it is not known whether it was done");
    Problem::unavailable("leader-unreachable", text)
}

/// The layer: lets through what this process can answer, and passes on the rest.
pub(super) async fn pass_on(State(way): State<PassOn>, request: Request, next: Next) -> Response {
    let Some(route) = way.route(&request).filter(|route| way.takes_leader(*route)) else {
        way.note(request.headers());
        return next.run(request).await;
    };
    match way.pass(request).await {
        Ok(response) => {
            if route.change && response.status().is_success() {
                way.0.api.control.catch_up().await;
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// The layer around pages of which only the leader knows what stands on them: its page when it answers, else this process'
/// own, which says what is missing.
pub(super) async fn as_the_leader_shows_it(State(way): State<PassOn>, request: Request, next: Next) -> Response {
    if way.0.api.control.leads() || request.headers().contains_key(PASSED_ON) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match way.pass(Request::from_parts(parts.clone(), Body::empty())).await {
        Ok(response) => response,
        Err(_) => next.run(Request::from_parts(parts, body)).await,
    }
}

/// A page's form that only the leader can do: it goes there whole, once.
pub(super) async fn as_the_leader_does_it(State(way): State<PassOn>, request: Request, next: Next) -> Response {
    if way.0.api.control.leads() || is_passed_on(request.headers()) {
        return next.run(request).await;
    }
    way.pass(request).await.unwrap_or_else(IntoResponse::into_response)
}

/// Returns whether another config-service has passed a request on. No form of another site's can say so.
pub(super) fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(PASSED_ON)
}

/// The headers that go along: the caller's but for those of the connection, and which request it is.
fn passed(headers: &HeaderMap, id: Option<String>) -> Vec<(String, String)> {
    let own = [header::HOST, header::CONTENT_LENGTH, HeaderName::from_static("x-request-id")];
    let traced = shared::telemetry::trace::TraceContext::current().is_some();
    let mine =
        |name: &HeaderName| own.contains(name) || (traced && matches!(name.as_str(), "traceparent" | "tracestate"));
    let said = headers.iter().filter(|(name, _)| !mine(name));
    let mut all: Vec<_> =
        said.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect();
    all.extend(id.map(|id| ("x-request-id".to_owned(), id)));
    all.push((PASSED_ON.as_str().to_owned(), "1".to_owned()));
    all
}

/// The leader's answer as it is, but for what belonged to the connection.
fn returned(answer: http::Response<Bytes>) -> Response {
    let (mut head, body) = answer.into_parts();
    clean(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove("x-request-id");
    head.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    head.extensions = http::Extensions::new();
    Response::from_parts(head, Body::from(body))
}
