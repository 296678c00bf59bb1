//! A small client for calls between Berth's services: JSON in and out, problems as errors, streams for the watch. A service
//! that runs several times has several addresses: a call goes to the one that answered last, and on to the next when that
//! one does not. Plain HTTP inside a cluster's own network; calls to the outside are reqwest's.

mod places;

use crate::{problem::Problem, settings::Secret, telemetry::trace::TraceContext};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor, rt::TokioTimer};
use places::Places;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// The largest answer that is read whole.
const MAX_ANSWER: usize = 64 << 20;

/// How long one address is waited for at least when there are others.
const LEAST: Duration = Duration::from_millis(500);

/// A client with one or several base URLs. Cheap to clone; clones share connections, and which address is in use. A call
/// carries the span it is made in along.
#[derive(Debug, Clone)]
pub struct Client {
    places: Arc<Places>,
    token: Option<Secret>,
    timeout: Duration,
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL or path is no `http://` URL.
    #[error("{0} is not an http:// URL")]
    Url(String),
    /// No answer: not reached, cut, or too late.
    #[error("cannot reach {url}: {detail}")]
    Unreachable {
        /// What was called.
        url: String,
        /// The cause.
        detail: String,
        /// Whether it may have been acted upon all the same.
        sent: bool,
    },
    /// The service answered with a problem.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// The answer is not what it should be.
    #[error("{url} answered something unexpected: {detail}")]
    Answer {
        /// What was called.
        url: String,
        /// What is wrong.
        detail: String,
    },
}

impl ClientError {
    /// Returns the problem, when the service was reached and said one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

impl Client {
    /// Makes a client for `base`, for example `http://127.0.0.1:3001`; replicas of one service have commas between them.
    /// A call takes at most `timeout`.
    ///
    /// # Errors
    /// [`ClientError::Url`] unless each of `base` is an `http://` URL with a host.
    pub fn new(base: &str, token: Option<Secret>, timeout: Duration) -> Result<Self, ClientError> {
        let places = Places::parse(base)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(share(timeout, places.count()).min(Duration::from_secs(3))));
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(4))
            .build(connector);
        Ok(Self { places: Arc::new(places), token, timeout, inner })
    }

    /// Returns a client of the same replicas that chooses among them by itself.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { places: Arc::new(self.places.anew()), ..self.clone() }
    }

    /// Returns a client of the same service whose calls take at most `timeout`.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the base URL in use.
    pub fn base(&self) -> &str {
        self.places.current()
    }

    /// Returns all base URLs, with commas between them.
    pub fn bases(&self) -> String {
        self.places.all()
    }

    /// Goes on with the next address if `base` is still in use: what came from it is not to be relied on.
    pub fn leave(&self, base: &str) {
        self.places.leave(base);
    }

    /// `GET path`, decoded from JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None).await
    }

    /// `POST path` with a JSON body, decoded from JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let url = || format!("{}{path}", self.base());
        let body =
            serde_json::to_vec(body).map_err(|why| ClientError::Answer { url: url(), detail: why.to_string() })?;
        self.call(Method::POST, path, Some(body.into())).await
    }

    /// `DELETE path`, decoded from JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, None).await
    }

    /// `GET path` as a stream: returns the body once the head has come. The caller watches for silence, and may then
    /// [`Client::leave`] the address.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Result<Incoming, ClientError> {
        let question = Question { method: Method::GET, path, headers, body: Bytes::new() };
        let body = async |answer: http::Response<Incoming>, url: String| {
            if answer.status().is_success() { Ok(answer.into_body()) } else { Err(refused(answer, &url).await) }
        };
        self.ask(question, body).await
    }

    /// Sends a request as it is to `path` and returns whatever answer comes, of any status: for those who want the answer
    /// itself, not what is in it.
    ///
    /// # Errors
    /// [`ClientError::Url`] and [`ClientError::Unreachable`] only.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<http::Response<Bytes>, ClientError> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let question = Question { method, path, headers: &headers, body };
        let whole = async |answer: http::Response<Incoming>, url: String| {
            let (head, body) = answer.into_parts();
            Ok(http::Response::from_parts(head, read(body, &url).await?))
        };
        self.ask(question, whole).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<T, ClientError> {
        let headers = &[(header::CONTENT_TYPE.as_str(), "application/json")];
        let question = Question { method, path, headers, body: body.unwrap_or_default() };
        let decoded = async |answer: http::Response<Incoming>, url: String| {
            if !answer.status().is_success() {
                return Err(refused(answer, &url).await);
            }
            let body = read(answer.into_body(), &url).await?;
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            serde_json::from_slice(body)
                .map_err(|why| ClientError::Answer { url: url.clone(), detail: why.to_string() })
        };
        self.ask(question, decoded).await
    }

    /// Asks the address in use, and the others in turn while nothing can have been done twice by it. `take` makes of an
    /// answer what is wanted.
    async fn ask<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        question: Question<'_>,
        take: impl Fn(http::Response<Incoming>, String) -> F,
    ) -> Result<T, ClientError> {
        let (safe, deadline) = (question.method.is_safe(), Instant::now() + self.timeout);
        let mut others = self.places.count();
        loop {
            others -= 1;
            let attempt = self.places.attempt();
            let url = format!("{}{}", attempt.base(), question.path);
            let left = deadline.saturating_duration_since(Instant::now());
            // A request that may not be repeated has all the time there is for its one answer.
            let most = if safe { share(left, others + 1) } else { left };
            let once = async { take(self.send(&question, &url).await?, url.clone()).await };
            let outcome = timeout(most, once).await.unwrap_or_else(|_| {
                let (url, detail) = (url.clone(), "no answer in time".to_owned());
                Err(ClientError::Unreachable { url, detail, sent: true })
            });
            let again = attempt.ended(&outcome, safe);
            if !again || others == 0 || Instant::now() >= deadline {
                return outcome;
            }
        }
    }

    async fn send(&self, question: &Question<'_>, url: &str) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = Request::builder().method(question.method.clone()).uri(url);
        for (name, value) in question.headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(trace) = TraceContext::current() {
            request = request.header("traceparent", trace.traceparent());
            if let Some(state) = trace.state() {
                request = request.header("tracestate", state);
            }
        }
        let body = Full::new(question.body.clone());
        let request = request.body(body).map_err(|_| ClientError::Url(url.to_owned()))?;
        self.inner.request(request).await.map_err(|why| {
            let sent = !why.is_connect();
            ClientError::Unreachable { url: url.to_owned(), detail: root_cause(&why), sent }
        })
    }
}

/// What is asked.
struct Question<'a> {
    method: Method,
    path: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Bytes,
}

/// Returns the time that one of `count` addresses gets.
fn share(time: Duration, count: usize) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    (time / count).max(LEAST).min(time)
}
/// Returns what really happened: the outer errors only say in which part of the client.
fn root_cause(why: &dyn std::error::Error) -> String {
    why.source().map_or_else(|| why.to_string(), root_cause)
}

async fn read(body: Incoming, url: &str) -> Result<Bytes, ClientError> {
    let read = Limited::new(body, MAX_ANSWER).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|why| ClientError::Unreachable {
        url: url.to_owned(),
        detail: why.to_string(),
        sent: true,
    })
}

async fn refused(answer: http::Response<Incoming>, url: &str) -> ClientError {
    let status = answer.status();
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match read(answer.into_body(), url).await {
        Ok(body) => {
            let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
                let code = if status == StatusCode::NOT_FOUND { "not-found" } else { "http-error" };
                Problem::new(status, code, format!("{url} answered {status}"))
            });
            ClientError::Problem(Problem { retry_after: after.map(Duration::from_secs), ..problem })
        }
        Err(why) => why,
    }
}
