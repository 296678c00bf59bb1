//! `GET /v1/watch`: the feed as server-sent events. The body is pulled, so a slow reader slows only itself.

use super::{
    Api,
    auth::Reader,
    body::Params,
    docs::{Doc, Routes},
};
use crate::control::From;
use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::Deserialize;
use shared::wire::{control::Watch, sse};
use shared::{PodId, Problem, Revision};
use std::convert::Infallible;

/// Adds the route.
pub(super) fn routes(routes: Routes) -> Routes {
    let text = "Server-sent events: `snapshot` in parts, then `delta` and `bookmark`; `Last-Event-ID` resumes from a \
        revision, `resync` says to begin without one. The stream ends when this config-service begins or ceases to lead; it goes on at any other.";
    let doc = Doc::new("Follow assignments and pods").text(text).answers_as("text/event-stream");
    routes.get("/v1/watch", watch, doc.fails(&["bad-request", "too-many-watchers"]).asks_replica())
}

/// What is followed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this pod's assignments.
    pod: Option<PodId>,
}

async fn watch(
    State(api): State<Api>,
    _: Reader,
    Params(filter): Params<Filter>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = api.control.watch(position(&headers)?, filter.pod).await?;
    let events = stream::unfold(feed, async |mut feed| {
        let message = feed.next().await?;
        Some((Ok::<_, Infallible>(event(&message)), feed))
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(events)).into_response())
}

fn position(headers: &HeaderMap) -> Result<From, Problem> {
    let Some(id) = headers.get("last-event-id") else { return Ok(From::Start) };
    let revision = id.to_str().ok().and_then(|id| id.parse().ok()).map(Revision);
    revision.map(From::After).ok_or_else(|| Problem::bad_request("Last-Event-ID is the number of a revision"))
}

fn event(message: &Watch) -> Bytes {
    // Nothing in a message can fail to be JSON; were it so, an empty comment keeps the stream in order.
    let data = serde_json::to_string(message).unwrap_or_default();
    sse::write(message.name(), message.completes().map(|revision| revision.0), &data).into()
}
