//! What requests carry: JSON bodies, path parts and query strings. Whatever is wrong with them is a problem.

use super::Api;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::Problem;
use std::str::FromStr;

/// A JSON body, bounded in size and in time.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        parse(&read(request, api).await?).map(Self)
    }
}

/// Reads a body that is to be JSON.
pub(super) async fn read(request: Request, api: &Api) -> Result<Bytes, Problem> {
    is_json(request.headers())?;
    tokio::time::timeout(api.patience, Bytes::from_request(request, api))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time"))?
        .map_err(|why| match why.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let text = format!("a body has at most {} bytes", api.max_body);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", text)
            }
            _ => Problem::bad_request("the body could not be read"),
        })
}

/// Reads what a body means. To JSON Schema `60.0` is an integer as good as `60`, and some callers write it so.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let read = serde_json::from_slice(bytes).or_else(|why| {
        let mut value: Value = serde_json::from_slice(bytes)?;
        whole_numbers(&mut value);
        serde_json::from_value(value).map_err(|_| why)
    });
    read.map_err(|why: serde_json::Error| Problem::bad_request(format!("the body is not what it should be: {why}")))
}

/// The largest number below which every integer is exact as a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| number.is_f64() && float.abs() <= EXACT);
            // What reads floats may be off by their last bit.
            if let Some(float) = float.filter(|float| (float - float.round()).abs() <= float.abs() * f64::EPSILON) {
                *value = Value::from(float.round() as i64);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// A body without a content type is taken for JSON; one that says it is something else is not.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = "send the body as application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", text))
}

/// A path part that is a name: a target or a pod, percent-encoded or not.
pub(super) struct Name<T>(pub(super) T);

impl<T: FromStr<Err: std::fmt::Display>> FromRequestParts<Api> for Name<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Parted(text) = Parted::<String>::from_request_parts(parts, api).await?;
        text.parse().map(Self).map_err(|why: T::Err| Problem::bad_request(why.to_string()))
    }
}

/// Several path parts, as a structure whose fields have their names.
pub(super) struct Parted<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Parted<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, api).await;
        path.map(|Path(path)| Self(path)).map_err(|why| Problem::bad_request(why.body_text()))
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

#[cfg(test)]
mod tests;
