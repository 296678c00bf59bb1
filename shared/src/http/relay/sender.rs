//! The client side of a hop: HTTP/1.1 connections that are kept and used again, heads within bounds, and the one fact
//! that decides about repeating: whether a byte can have left.

use super::{Flow, hop, quiet};
use crate::{shutdown::Shutdown, telemetry::trace::Tracer};
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor, rt::TokioTimer};
use std::time::Duration;

/// The bounds of a hop.
#[derive(Debug, Clone, Copy)]
pub struct SenderBounds {
    /// How long opening a connection may take.
    pub connect: Duration,
    /// How long nothing may move while an answer is awaited.
    pub idle: Duration,
    /// The largest head of an answer, and what is buffered of a connection, in bytes.
    pub max_head: usize,
    /// The most headers of an answer.
    pub max_headers: usize,
}

/// Sends requests on. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Sender {
    client: legacy::Client<HttpConnector, Body>,
    tracer: Tracer,
    bounds: SenderBounds,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No connection could be opened: not a byte has left.
    #[error("no connection: {0}")]
    Unreached(String),
    /// The connection was lost, or what came is no HTTP: the request may have been acted upon.
    #[error("the connection was lost before the answer: {0}")]
    Lost(String),
    /// Nothing moved for too long.
    #[error("nothing moved for too long")]
    Silent,
    /// It was told to end.
    #[error("cut off")]
    Cut,
}

impl Unanswered {
    /// Returns why in a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreached(_) => "unreached",
            Self::Lost(_) => "lost",
            Self::Silent => "silent",
            Self::Cut => "cut",
        }
    }
}

impl Sender {
    /// Makes a client.
    pub fn new(bounds: SenderBounds) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(bounds.connect));
        // Shorter than servers keep a connection: one that is used again is never just being closed.
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(4))
            .pool_max_idle_per_host(64)
            .set_host(false)
            .http1_max_buf_size(bounds.max_head.max(8_192))
            .http1_max_headers(bounds.max_headers)
            .build(connector);
        Self { client, tracer: Tracer::off(), bounds }
    }

    /// Gives what is sent spans.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Sends a request to the host its URL names, as it is. `flow` is that of the request's body.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(
        &self,
        mut request: Request<Body>,
        flow: &Flow,
        cut: &Shutdown,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut span = hop::begin(&self.tracer, &mut request);
        let sent = self.ask(request, flow, cut).await;
        hop::ended(&mut span, &sent);
        sent
    }

    async fn ask(&self, request: Request<Body>, flow: &Flow, cut: &Shutdown) -> Result<Response<Incoming>, Unanswered> {
        tokio::select! {
            answer = self.client.request(request) => answer.map_err(|why| {
                let cause = root_cause(&why);
                if why.is_connect() { Unanswered::Unreached(cause) } else { Unanswered::Lost(cause) }
            }),
            () = quiet(flow, self.bounds.idle) => Err(Unanswered::Silent),
            () = cut.cancelled() => Err(Unanswered::Cut),
        }
    }
}

fn root_cause(why: &dyn std::error::Error) -> String {
    why.source().map_or_else(|| why.to_string(), root_cause)
}
