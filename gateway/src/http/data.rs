//! The local API about a target's data: what is dead and what an operator decides about it, the journal's listing, export
//! and erasure. Maps what the engine refuses to problems; who may ask for what is config-service's to say.

use super::{App, Service, owned::Owned};
use crate::{
    dispatch::{decisions::Undecided, erasure::EraseError},
    engine::{EngineError, Erasure, Export, NotDone, Wanted},
};
use axum::{
    Json,
    body::Body,
    extract::{FromRequestParts, Path, Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};
use serde::{Deserialize, de::DeserializeOwned};
use shared::{
    Problem, TargetId,
    wire::data::{DeadLetters, Decided, Erased, JournalPage, LetterKind, OnBehalf, Place, Verb},
};
use std::time::Duration;

/// Rows on a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;
/// The longest a caller may wait for the end of an erasure.
const MOST_PATIENT: Duration = Duration::from_secs(600);

/// A query string; what is wrong with it is a problem.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(query)| Self(query)).map_err(|why| Problem::bad_request(why.body_text()))
    }
}

fn page(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::bad_request(format!("limit is a number from 1 to {MAX_PAGE}")))
}

fn unreadable(why: &EngineError) -> Problem {
    tracing::error!(error = %why, "cannot read the pod's database");
    Problem::internal()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadQuery {
    kind: Option<LetterKind>,
    target: Option<TargetId>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /v1/local/dead?kind&target&limit&cursor`
pub(super) async fn dead(
    _service: Service,
    State(app): State<App>,
    Asked(query): Asked<DeadQuery>,
) -> Result<Json<DeadLetters>, Problem> {
    let after = query.cursor.as_deref().map(str::parse::<Place>).transpose().map_err(Problem::bad_request)?;
    let wanted = Wanted { kind: query.kind, target: query.target, after, most: page(query.limit)? };
    let (items, next) = app.door.engine().dead_letters(wanted).await.map_err(|why| unreadable(&why))?;
    Ok(Json(DeadLetters { items, pods: Vec::new(), next: next.map(|place| place.to_string()) }))
}

/// `POST /v1/local/targets/{target}/dead/{events|calls}/{seq}/{retry|drop}`
pub(super) async fn decide(
    _service: Service,
    State(app): State<App>,
    owned: Owned,
    Path((_, kind, seq, verb)): Path<(String, String, String, String)>,
    by: Result<Json<OnBehalf>, JsonRejection>,
) -> Result<Json<Decided>, Problem> {
    let kind =
        LetterKind::from_plural(&kind).ok_or_else(|| Problem::not_found("a dead letter is one of events or calls"))?;
    let seq: u64 = seq.parse().map_err(|_| Problem::bad_request("the place of a dead letter is a number"))?;
    let verb: Verb = verb.parse().map_err(Problem::not_found)?;
    let Json(by) = by.map_err(|why| Problem::bad_request(why.body_text()))?;
    let guard = owned.guard(&app)?;
    let decided = app.door.engine().decide(guard, (kind, seq), verb, by).await;
    decided.map(Json).map_err(|why| match why {
        NotDone::Refused(Undecided::Unknown) => Problem::not_found(format!("{kind} {seq} of {}: {why}", owned.target)),
        NotDone::Refused(Undecided::NotServing) => Problem::unavailable("not-serving", format!("{why}; try again")),
        NotDone::Refused(Undecided::Full) => Problem::unavailable("mailbox-full", format!("{why}; try again later")),
        NotDone::Unknown => {
            Problem::unavailable("not-committed", format!("{why}; look whether it was done, then try again"))
        }
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalQuery {
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// `GET /v1/local/targets/{target}/events?limit&cursor`
pub(super) async fn events(
    _service: Service,
    State(app): State<App>,
    Owned { target, .. }: Owned,
    Asked(query): Asked<JournalQuery>,
) -> Result<Json<JournalPage>, Problem> {
    let limit = page(query.limit)?;
    let mut events =
        app.door.engine().journal(&target, query.cursor, limit + 1).await.map_err(|why| unreadable(&why))?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|last| last.seq.to_string());
    let pod = app.door.ownership().pod().clone();
    Ok(Json(JournalPage { target, pod, events, next }))
}

/// `GET /v1/local/targets/{target}/export`: JSON lines, see docs/data.md.
pub(super) async fn export(_service: Service, State(app): State<App>, owned: Owned) -> Result<Response, Problem> {
    exported(app.door.engine().export(&owned.target, owned.epoch))
}

/// Answers with an export, if one could be begun.
pub(super) fn exported(export: Option<Export>) -> Result<Response, Problem> {
    let Some(export) = export else {
        let text = "as many exports as --exports allows are being written; try again later";
        return Err(Problem::unavailable("too-many-exports", text));
    };
    let parts = futures_util::stream::unfold(export, |mut export| async { Some((export.next().await?, export)) });
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(parts)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EraseQuery {
    wait_ms: u64,
}

/// `POST /v1/local/targets/{target}/erase?wait_ms`
pub(super) async fn erase(
    _service: Service,
    State(app): State<App>,
    owned: Owned,
    Asked(EraseQuery { wait_ms }): Asked<EraseQuery>,
    by: Result<Json<OnBehalf>, JsonRejection>,
) -> Result<Json<Erased>, Problem> {
    let Json(by) = by.map_err(|why| Problem::bad_request(why.body_text()))?;
    owned.guard(&app)?;
    tracing::info!(target = %owned.target, actor = by.actor, request_id = by.request_id, "an erasure was asked for");
    let wait = Duration::from_millis(wait_ms).min(MOST_PATIENT);
    let erased = match tokio::time::timeout(wait, app.door.engine().erase(&owned.target)).await {
        Ok(Ok(erasure)) => Some(erasure),
        Ok(Err(NotDone::Refused(why @ EraseError::NotServing))) => {
            return Err(Problem::unavailable("not-serving", format!("{why}; try again")));
        }
        Ok(Err(NotDone::Refused(EraseError::Store(why)))) => {
            tracing::error!(error = %why, "an erasure cannot be recorded");
            return Err(Problem::unavailable("not-committed", "the pod cannot write its database; nothing was erased"));
        }
        Ok(Err(NotDone::Unknown)) | Err(_) => None,
    };
    let pod = app.door.ownership().pod().clone();
    let epoch = erased.as_ref().map_or(owned.epoch, |erasure| erasure.epoch);
    let remains = remains(erased.as_ref());
    let (done, rows) = (erased.is_some(), erased.map(|erasure| erasure.rows).unwrap_or_default());
    Ok(Json(Erased { target: owned.target, pod, epoch, done, rows, remains }))
}

/// What is still on the pod's own disk.
fn remains(erased: Option<&Erasure>) -> Vec<String> {
    let mut all = vec![
        "in the pod's database: the target's name, its epoch and how far its journal and outbox were counted"
            .to_owned(),
    ];
    match erased {
        None => {
            all.push("everything, until the pod is through with it; it is recorded and survives a restart".to_owned())
        }
        Some(erasure) => {
            if !erasure.compacted {
                all.push(
                    "traces of deleted rows in unused parts of the database's pages, until they are written over: the \
                     database is larger than --erase-compact"
                        .to_owned(),
                );
            }
            if !erasure.truncated {
                all.push(
                    "deleted rows in the WAL, until who reads an older state of the database has ended".to_owned(),
                );
            }
        }
    }
    all
}
