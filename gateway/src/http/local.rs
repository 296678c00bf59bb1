//! Reads of a target for the handler that is working for it, on the pod's own loopback listener. Decides who may ask: who
//! shows the token of a call that is out, about that call's target. Nothing can be written here.

use crate::handlers::{
    HandlerError, contract,
    remote::{Admitted, LocalCalls},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::{Problem, TargetId};

/// Entries of a scan when nothing else is asked for, and most of them.
const ENTRIES: usize = 100;
const MOST_ENTRIES: usize = 1_000;

#[derive(Serialize)]
struct Found {
    value: Box<RawValue>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    value: Box<RawValue>,
}

#[derive(Serialize)]
struct Page {
    entries: Vec<Entry>,
    more: bool,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
}

/// Returns the routes of the loopback listener.
pub(crate) fn routes(calls: LocalCalls) -> Router {
    Router::new()
        .route("/v1/local/targets/{target}/kv", get(scan))
        .route("/v1/local/targets/{target}/kv/{*key}", get(value))
        .route("/v1/local/targets/{target}/query", post(query))
        .route("/v1/local/targets/{target}/sessions/{*id}", get(session))
        .with_state(calls)
        .fallback(|| async { Problem::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
        })
}

async fn value(
    State(calls): State<LocalCalls>,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Found>, Problem> {
    let Path((target, key)) = path.map_err(|why| Problem::bad_request(why.body_text()))?;
    let found = admitted(&calls, &headers, &target)?.local.text(&key).await.map_err(failed)?;
    found_or_not(found, "the key is not set")
}

async fn session(
    State(calls): State<LocalCalls>,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Found>, Problem> {
    let Path((target, id)) = path.map_err(|why| Problem::bad_request(why.body_text()))?;
    let found = admitted(&calls, &headers, &target)?.local.session_text(&id).await.map_err(failed)?;
    found_or_not(found, "there is no such session, or its time is over")
}

async fn scan(
    State(calls): State<LocalCalls>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Path(target) = path.map_err(|why| Problem::bad_request(why.body_text()))?;
    let Admitted { local, .. } = admitted(&calls, &headers, &target)?;
    let Query(wanted) = wanted.map_err(|why| Problem::bad_request(why.body_text()))?;
    let most = wanted.limit.unwrap_or(ENTRIES).clamp(1, MOST_ENTRIES);
    let mut rows = local.texts(&wanted.prefix, most + 1).await.map_err(failed)?;
    let more = rows.len() > most;
    rows.truncate(most);
    let entries = rows.into_iter().map(|(key, text)| Ok(Entry { key, value: json(text)? }));
    Ok(Json(Page { entries: entries.collect::<Result<_, Problem>>()?, more }))
}

async fn query(
    State(calls): State<LocalCalls>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<Json<crate::handlers::sql::Rows>, Problem> {
    let Path(target) = path.map_err(|why| Problem::bad_request(why.body_text()))?;
    let Admitted { local, described } = admitted(&calls, &headers, &target)?;
    let query = contract::parse_query(&body, &described.statements);
    let (statement, params) = query.map_err(|why| Problem::bad_request(why.to_string()))?;
    Ok(Json(local.query(&statement, params).await.map_err(failed)?))
}

/// Returns what the shown token lets its bearer use.
fn admitted(calls: &LocalCalls, headers: &HeaderMap, target: &str) -> Result<Admitted, Problem> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Problem::unauthorized("send Authorization: Bearer with the token of the call"))?;
    let target: TargetId = target.parse().map_err(|why: shared::id::IdError| Problem::bad_request(why.to_string()))?;
    calls.find(token, &target).ok_or_else(|| {
        Problem::unauthorized("the token is valid only while its call is out, and only for the call's own target")
    })
}

fn found_or_not(found: Option<String>, otherwise: &str) -> Result<Json<Found>, Problem> {
    let text = found.ok_or_else(|| Problem::not_found(otherwise))?;
    Ok(Json(Found { value: json(text)? }))
}

fn json(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text).map_err(|why| {
        tracing::error!(error = %why, "a stored value is no JSON");
        Problem::internal()
    })
}

fn failed(why: HandlerError) -> Problem {
    match why {
        HandlerError::Permanent(why) | HandlerError::Refused(why) => Problem::bad_request(why),
        other => Problem::unavailable("read-failed", other.to_string()),
    }
}
