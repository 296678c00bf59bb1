//! Errors on the wire: RFC 9457 problems with a stable `code`. One file per service maps its errors to these.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A problem as RFC 9457 has it. `code` is stable and meant for programs, `detail` says what to do and is meant for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable word, for example `not-found`.
    pub code: String,
    /// A short title of the kind of problem.
    pub title: String,
    /// What went wrong here, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Which request it was, when the service says so.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<Asked>>,
    /// After what time it makes sense to ask again, when the answer said so. Travels in its own header, not in the body.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// The request that a problem is the answer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its path.
    pub instance: String,
    /// The id under which it stands in logs and in the audit.
    pub request_id: String,
}

/// A problem with the URN of its kind, as it is written.
#[derive(Serialize)]
struct Typed<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    problem: &'a Problem,
}

impl Problem {
    /// Makes a problem; the title is the status' reason phrase.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("error").to_owned();
        let (code, detail) = (code.to_owned(), detail.into());
        Self { status: status.as_u16(), code, title, detail, request: None, retry_after: None }
    }

    /// Adds which request it was.
    #[must_use]
    pub fn of(mut self, path: &str, request_id: &str) -> Self {
        let (instance, request_id) = (path.to_owned(), request_id.to_owned());
        self.request = Some(Box::new(Asked { instance, request_id }));
        self
    }

    /// Returns the body as it is sent, `application/problem+json`.
    pub fn body(&self) -> String {
        let kind = format!("urn:berth:problem:{}", self.code);
        serde_json::to_string(&Typed { kind: &kind, problem: self }).unwrap_or_default()
    }

    /// 400 `bad-request`.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 401 `unauthorized`.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 404 `not-found`.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409 with the given code.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 503 with the given code: try again later.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// 500 `internal`. The cause belongs into the log, not into the answer.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "an internal error; the log of this service has the cause",
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{text} ({}, {})", self.code, self.status)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let head = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, head, self.body()).into_response();
        // For whoever knows which request it was.
        response.extensions_mut().insert(self);
        response
    }
}
