//! A keep-alive HTTP client that says what came back and judges nothing.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy,
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioTimer},
};
use std::time::Duration;

/// The client. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// Returns the body as text; what is no UTF-8 shows as such.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON; `null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the body as what it says.
    ///
    /// # Panics
    /// When it says something else.
    pub fn json_as<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {} {}", self.status, self.text()))
    }

    /// Returns a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A body that is read piece by piece.
#[derive(Debug)]
pub struct Pieces(hyper::body::Incoming);

impl Pieces {
    /// Returns the next piece as text; none when there is no more.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let frame = self.0.frame().await?.ok()?;
            if let Some(piece) = frame.data_ref() {
                return Some(String::from_utf8_lossy(piece).into_owned());
            }
        }
    }
}

impl Client {
    /// Makes a client whose calls take at most `timeout`.
    pub fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        // Shorter than the services keep an idle connection: a reused connection is never just being closed.
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(2))
            .build(connector);
        Self { inner, timeout }
    }

    /// Returns the same client with calls that take at most `timeout`.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Calls `url`.
    ///
    /// # Errors
    /// A sentence when no whole answer came in time.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(String, String)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).map_err(|why| why.to_string())?;
        let whole = async {
            let answer = self.inner.request(request).await.map_err(|why| format!("{why:?}"))?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|why| why.to_string())?.to_bytes();
            Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(self.timeout, whole).await.unwrap_or_else(|_| Err(format!("{url}: no answer in time")))
    }

    /// `GET url`, read piece by piece.
    ///
    /// # Errors
    /// A sentence when no head came in time, or it was no 200.
    pub async fn stream(&self, url: &str) -> Result<Pieces, String> {
        let request = Request::get(url).body(Full::default()).map_err(|why| why.to_string())?;
        let answer = tokio::time::timeout(self.timeout, self.inner.request(request)).await;
        let answer = answer.map_err(|_| format!("{url}: no answer in time"))?.map_err(|why| format!("{why:?}"))?;
        if answer.status() == 200 { Ok(Pieces(answer.into_body())) } else { Err(answer.status().to_string()) }
    }

    /// `GET url`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn get(&self, url: &str) -> Result<Reply, String> {
        self.call(Method::GET, url, &[], Bytes::new()).await
    }
}
