//! HTTP to a handler that is not trusted: one request, one answer within bounds. Redirects are not followed, nothing that
//! has left is sent again, and what lies about its length ends its connection. The caller bounds the time.

use super::RemoteSettings;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{client::legacy, client::legacy::connect::HttpConnector, rt::TokioExecutor, rt::TokioTimer};
use shared::{settings::Secret, telemetry::trace::TraceContext};
use std::{error::Error, time::Duration};

/// How long a connection may take to be made; the handler is near.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a connection is kept for the next call; shorter than servers keep theirs.
const IDLE: Duration = Duration::from_secs(4);
/// The smallest buffer that hyper takes for heads.
const LEAST_HEAD: usize = 8_192;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The URL cannot be called.
    #[error("{0} is not an http:// URL with a host; give --handler (BERTH_HANDLER) one like http://127.0.0.1:8080")]
    Url(String),
    /// No connection could be made.
    #[error("the handler at {url} cannot be reached: {cause}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// The cause.
        cause: String,
    },
    /// A connection ended before the answer did, or what came is no HTTP.
    #[error("the handler broke off its answer: {0}")]
    Broken(String),
    /// The answer is larger than it may be.
    #[error(
        "the handler's answer has more than {0} bytes, as many as --handler-max-answer (BERTH_HANDLER_MAX_ANSWER) allows"
    )]
    TooLarge(usize),
}

impl WireError {
    /// Returns whether the handler seems to be gone.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken(_))
    }

    /// Returns why in a word.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Unreachable { .. } => "unreachable",
            Self::Broken(_) => "broken",
            Self::TooLarge(_) => "too-large",
        }
    }
}

/// The way to a handler. It keeps connections for the next call.
#[derive(Debug)]
pub(crate) struct Wire {
    base: String,
    token: Option<Secret>,
    max_answer: usize,
    client: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Wire {
    /// Makes the way to a handler.
    pub(super) fn new(settings: &RemoteSettings) -> Result<Self, WireError> {
        let base = settings.url.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base.parse().ok();
        let plain = |uri: &Uri| {
            let host = uri.host().is_some_and(|host| !host.is_empty());
            uri.scheme_str() == Some("http") && host && uri.query().is_none()
        };
        if !uri.as_ref().is_some_and(plain) {
            return Err(WireError::Url(settings.url.clone()));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(settings.max_head.max(LEAST_HEAD))
            .http1_max_headers(settings.max_headers)
            .build(connector);
        Ok(Self { base, token: settings.token.clone(), max_answer: settings.max_answer, client })
    }

    /// Returns the URL that all paths are below.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and returns the status and the whole body of its answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), WireError> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(trace) = TraceContext::current() {
            request = request.header("traceparent", trace.traceparent());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).map_err(|_| WireError::Url(url))?;
        let (head, body) = self.client.request(request).await.map_err(|why| self.failed(&why))?.into_parts();
        let read = Limited::new(body, self.max_answer).collect().await;
        match read {
            Ok(whole) => Ok((head.status, whole.to_bytes())),
            Err(why) if why.downcast_ref::<LengthLimitError>().is_some() => Err(WireError::TooLarge(self.max_answer)),
            Err(why) => Err(WireError::Broken(root(&*why))),
        }
    }

    fn failed(&self, why: &legacy::Error) -> WireError {
        let cause = root(why);
        if why.is_connect() {
            WireError::Unreachable { url: self.base.clone(), cause }
        } else {
            WireError::Broken(cause)
        }
    }
}

/// Returns what really happened: the outer errors only say in which part of the client.
fn root(why: &dyn Error) -> String {
    why.source().map_or_else(|| why.to_string(), root)
}
