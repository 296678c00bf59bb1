//! What requests carry: JSON bodies, path parts and query strings. Whatever is wrong with them is a problem.

use super::Api;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use shared::Problem;
use std::str::FromStr;

/// A JSON body, bounded in size and in time. The content type is not looked at: only services and operators send here.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let bytes = tokio::time::timeout(api.patience, Bytes::from_request(request, api))
            .await
            .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time"))?
            .map_err(|why| match why.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    let text = format!("a body has at most {} bytes", api.max_body);
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", text)
                }
                _ => Problem::bad_request("the body could not be read"),
            })?;
        let body = serde_json::from_slice(&bytes);
        body.map(Self).map_err(|why| Problem::bad_request(format!("the body is not what it should be: {why}")))
    }
}

/// A path part that is a name: a target or a pod, percent-encoded or not.
pub(super) struct Name<T>(pub(super) T);

impl<T: FromStr<Err = shared::id::IdError>> FromRequestParts<Api> for Name<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|_| Problem::bad_request("the path is not valid UTF-8"))?;
        text.parse().map(Self).map_err(|why: shared::id::IdError| Problem::bad_request(why.to_string()))
    }
}

/// A query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, api).await;
        query.map(|Query(query)| Self(query)).map_err(|why| Problem::bad_request(why.body_text()))
    }
}
