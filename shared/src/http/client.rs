//! A small client for calls between Berth's services: JSON in and out, problems as errors, streams for the watch.
//! Plain HTTP inside a cluster's own network; calls to the outside are reqwest's.

use crate::{problem::Problem, settings::Secret, telemetry::trace::TraceContext};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor, rt::TokioTimer};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// The largest answer that is read whole.
const MAX_ANSWER: usize = 64 << 20;

/// A client with a base URL. Cheap to clone; clones share connections. A call carries the span it is made in along.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
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
    /// Makes a client for `base`, for example `http://127.0.0.1:3001`. A call takes at most `timeout`.
    ///
    /// # Errors
    /// [`ClientError::Url`] unless `base` is an `http://` URL with a host.
    pub fn new(base: &str, token: Option<Secret>, timeout: Duration) -> Result<Self, ClientError> {
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| ClientError::Url(base.clone()))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(ClientError::Url(base));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout.min(Duration::from_secs(3))));
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(4))
            .build(connector);
        Ok(Self { base, token, timeout, inner })
    }

    /// Returns a client of the same service whose calls take at most `timeout`.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the base URL.
    pub fn base(&self) -> &str {
        &self.base
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
        let url = format!("{}{path}", self.base);
        let body = serde_json::to_vec(body).map_err(|why| ClientError::Answer { url, detail: why.to_string() })?;
        self.call(Method::POST, path, Some(body.into())).await
    }

    /// `DELETE path`, decoded from JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, None).await
    }

    /// `GET path` as a stream: returns the body once the head has come. The caller watches for silence.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Result<Incoming, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::get(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = tokio::time::timeout(self.timeout, self.send(request, Bytes::new(), &url))
            .await
            .map_err(|_| ClientError::Unreachable { url: url.clone(), detail: "no answer in time".to_owned() })??;
        if answer.status().is_success() { Ok(answer.into_body()) } else { Err(refused(answer, &url).await) }
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
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let whole = async {
            let (head, body) = self.send(request, body, &url).await?.into_parts();
            Ok(http::Response::from_parts(head, read(body, &url).await?))
        };
        tokio::time::timeout(self.timeout, whole)
            .await
            .map_err(|_| ClientError::Unreachable { url: url.clone(), detail: "no answer in time".to_owned() })?
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder().method(method).uri(&url).header(header::CONTENT_TYPE, "application/json");
        let whole = async {
            let answer = self.send(request, body.unwrap_or_default(), &url).await?;
            if !answer.status().is_success() {
                return Err(refused(answer, &url).await);
            }
            let body = read(answer.into_body(), &url).await?;
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            serde_json::from_slice(body)
                .map_err(|why| ClientError::Answer { url: url.clone(), detail: why.to_string() })
        };
        tokio::time::timeout(self.timeout, whole)
            .await
            .map_err(|_| ClientError::Unreachable { url: url.clone(), detail: "no answer in time".to_owned() })?
    }

    async fn send(
        &self,
        mut request: http::request::Builder,
        body: Bytes,
        url: &str,
    ) -> Result<http::Response<Incoming>, ClientError> {
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(trace) = TraceContext::current() {
            request = request.header("traceparent", trace.traceparent());
            if let Some(state) = trace.state() {
                request = request.header("tracestate", state);
            }
        }
        let request = request.body(Full::new(body)).map_err(|_| ClientError::Url(url.to_owned()))?;
        self.inner
            .request(request)
            .await
            .map_err(|why| ClientError::Unreachable { url: url.to_owned(), detail: root_cause(&why) })
    }
}

/// Returns what really happened: the outer errors only say in which part of the client.
fn root_cause(why: &dyn std::error::Error) -> String {
    why.source().map_or_else(|| why.to_string(), root_cause)
}

async fn read(body: Incoming, url: &str) -> Result<Bytes, ClientError> {
    let read = Limited::new(body, MAX_ANSWER).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|why| ClientError::Unreachable { url: url.to_owned(), detail: why.to_string() })
}

async fn refused(answer: http::Response<Incoming>, url: &str) -> ClientError {
    let status = answer.status();
    match read(answer.into_body(), url).await {
        Ok(body) => ClientError::Problem(serde_json::from_slice(&body).unwrap_or_else(|_| {
            let code = if status == StatusCode::NOT_FOUND { "not-found" } else { "http-error" };
            Problem::new(status, code, format!("{url} answered {status}"))
        })),
        Err(why) => why,
    }
}
