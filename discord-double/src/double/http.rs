//! The double's port: which request is the gateway's, which is REST's and which is the page's. Turns HTTP into values and back.

use super::{Shared, page, socket};
use crate::{gateway::Entrance, rest::Request};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::Deserialize;
use serde_json::Value;
use std::{fmt, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};

/// The largest message that reaches the rules, which then refuse it by their own bound.
const LARGEST: usize = 1 << 20;

#[derive(Debug, Deserialize)]
struct Asked {
    v: Option<String>,
    encoding: Option<String>,
    compress: Option<String>,
}

/// Serves the port until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/", get(gateway))
        .route("/resume", get(resume))
        .route("/resume/", get(resume))
        .route("/api/{*path}", any(rest))
        .merge(page::routes())
        .with_state(shared);
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // An answer of a few bytes must not wait for the acknowledgement of those before it.
        let _ = stream.set_nodelay(true);
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let answered = router.call(request);
            async move {
                let Ok(response) = answered.await;
                // Whoever fails here writes nothing, and the connection ends.
                if response.extensions().get::<Lost>().is_some() { Err(Lost) } else { Ok(response) }
            }
        });
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

/// An answer that nobody gets.
#[derive(Debug, Clone, Copy)]
struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("told to lose the answer")
    }
}

impl std::error::Error for Lost {}

/// Whether a WebSocket is asked for.
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// The gateway for bots, and the page for browsers.
async fn gateway(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>, upgrade: Upgrade) -> Response {
    match upgrade {
        Ok(upgrade) => enter(shared, asked, upgrade, false),
        Err(_) => page::page(),
    }
}

async fn resume(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>, upgrade: WebSocketUpgrade) -> Response {
    if shared.is_stale() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    enter(shared, asked, upgrade, true)
}

fn enter(shared: Arc<Shared>, asked: Asked, upgrade: WebSocketUpgrade, by_resume_url: bool) -> Response {
    let Asked { v, encoding, compress } = asked;
    let entrance = Entrance { by_resume_url, version: v, encoding, compress };
    let upgrade = upgrade.max_message_size(LARGEST).max_frame_size(LARGEST);
    upgrade.on_upgrade(|socket| socket::serve(socket, entrance, shared))
}

async fn rest(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let reply = shared.rest(&Request {
        method: method.to_string(),
        path: uri.path().strip_prefix("/api").unwrap_or_default().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        authorization: authorization.map(ToOwned::to_owned),
        body: body.to_vec(),
    });
    let (kind, text) = match reply.body {
        Value::Null => (None, String::new()),
        // Not the API's own words.
        Value::String(text) => (Some("text/plain"), text),
        json => (Some("application/json"), json.to_string()),
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in kind.map(|kind| ("content-type", kind.to_owned())).into_iter().chain(reply.headers) {
        response = response.header(name, value);
    }
    if reply.lost {
        response = response.extension(Lost);
    }
    response.body(Body::from(text)).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
