//! Request ids: the caller's `X-Request-Id` when it is well formed, otherwise one made here. It is in the answer, in every
//! problem, in the log of what failed, and wherever a handler puts it. Decides nothing about the request.

use crate::problem::Problem;
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The header, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a caller, in bytes.
const MAX: usize = 64;

/// The id of one request: 1 to 64 characters of `[A-Za-z0-9._-]`. It is among the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn given(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(HEADER)?.to_str().ok()?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        ((1..=MAX).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes ids that no other process and no other request has, as far as chance goes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RequestIds(Arc<Source>);

#[derive(Debug, Default)]
struct Source {
    random: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> RequestId {
        let n = self.0.next.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("{:016x}", self.0.random.hash_one(n)).into())
    }
}

/// The layer: gives the request its id, and completes what went wrong with it and with the request's path.
pub async fn identified(State(ids): State<RequestIds>, mut request: Request, next: Next) -> Response {
    let id = RequestId::given(request.headers()).unwrap_or_else(|| ids.next());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let problem = problem.of(&path, id.as_str());
        if response.status().is_server_error() {
            let Problem { code, status, detail, .. } = &problem;
            tracing::warn!(request_id = %id, %method, path, status, code, detail, "a request failed");
        }
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(problem.body());
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware, routing::get};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(id: Option<&str>) -> (String, serde_json::Value) {
        let router = Router::new()
            .route("/there", get(|| async { Problem::not_found("nothing") }))
            .layer(middleware::from_fn_with_state(RequestIds::default(), identified));
        let mut request = Request::get("/there");
        if let Some(id) = id {
            request = request.header("X-Request-Id", id);
        }
        let answer = router.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        let echoed = answer.headers()[HEADER].to_str().expect("ascii").to_owned();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (echoed, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_well_formed_id_is_kept_and_stands_in_the_problem() {
        let (echoed, problem) = ask(Some("deploy-7.a_b")).await;
        assert_eq!(echoed, "deploy-7.a_b");
        assert_eq!((&problem["request_id"], &problem["instance"]), (&"deploy-7.a_b".into(), &"/there".into()));
        assert_eq!(problem["type"], "urn:berth:problem:not-found");
    }

    #[tokio::test]
    async fn another_one_is_replaced() {
        for bad in [None, Some(""), Some("a b"), Some("<script>"), Some("x".repeat(65).as_str())] {
            let (echoed, problem) = ask(bad).await;
            assert!(echoed.len() == 16 && Some(echoed.as_str()) != bad, "{bad:?}: {echoed}");
            assert_eq!(problem["request_id"], echoed.as_str());
        }
    }
}
