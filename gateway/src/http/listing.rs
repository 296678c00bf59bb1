//! `GET /v1/local/owned`: all the targets this pod owns now, or whose rows it has put aside, as lines of JSON. Decides when
//! the answer may be believed: the last line says that it is whole.

use super::{App, Service, data::Asked};
use crate::{Engine, EngineError};
use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::header;
use serde::Deserialize;
use shared::{
    Epoch, PodId, Problem, Revision, TargetId,
    lease::Use,
    wire::control::{Assignment, AssignmentState},
};
use std::vec;

/// Lines sent at once.
const PART: usize = 2_000;
/// What a listing ends with.
const END: &[u8] = b"{\"end\":true}\n";

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kept {
    /// What the pod may act for.
    #[default]
    Owned,
    /// What it keeps the rows of, since another pod was given the target without this pod's release.
    Quarantined,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    state: Kept,
}

/// `GET /v1/local/owned?state=owned|quarantined`
pub(super) async fn owned(
    _service: Service,
    State(app): State<App>,
    Asked(Query { state }): Asked<Query>,
) -> Result<Response, Problem> {
    let (ownership, engine) = (app.door.ownership(), app.door.engine().clone());
    let line = Line { pod: ownership.pod().clone(), revision: ownership.revision(), state };
    let rows = match state {
        Kept::Owned => {
            // Without a lease what the pod remembers says nothing about who owns what now.
            ownership.check_lease(Use::Accept).map_err(|why| Problem::unavailable("not-serving", why.to_string()))?;
            Rows::Known(ownership.targets().into_iter())
        }
        Kept::Quarantined => Rows::Read(engine, None),
    };
    let parts = stream::try_unfold(Some(rows), move |rows| {
        let line = line.clone();
        async move {
            let Some(mut rows) = rows else { return Ok(None) };
            let part = rows.next().await?;
            let end = part.len() < PART;
            let mut text = Vec::new();
            for (target, epoch) in part {
                line.write(&mut text, target, epoch);
            }
            if end {
                text.extend_from_slice(END);
            }
            Ok::<_, EngineError>(Some((Bytes::from(text), (!end).then_some(rows))))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(parts)).into_response())
}

/// Where the targets come from.
enum Rows {
    Known(vec::IntoIter<(TargetId, Epoch)>),
    /// From the database, after this one.
    Read(Engine, Option<TargetId>),
}

impl Rows {
    /// Returns the next of them; fewer than [`PART`] are the last.
    async fn next(&mut self) -> Result<Vec<(TargetId, Epoch)>, EngineError> {
        match self {
            Self::Known(all) => Ok(all.take(PART).collect()),
            Self::Read(engine, after) => {
                let rows = engine.kept(true, after.take(), PART).await?;
                *after = rows.last().map(|row| row.target.clone());
                Ok(rows.into_iter().map(|row| (row.target, row.epoch)).collect())
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Line {
    pod: PodId,
    revision: Revision,
    state: Kept,
}

impl Line {
    fn write(&self, to: &mut Vec<u8>, target: TargetId, epoch: Epoch) {
        let (state, reason) = match self.state {
            Kept::Owned => (AssignmentState::Serving, "owned"),
            Kept::Quarantined => (AssignmentState::Quarantined, "quarantined"),
        };
        let assignment = Assignment {
            target,
            pod: self.pod.clone(),
            epoch,
            revision: self.revision,
            parent: None,
            reason: reason.to_owned(),
            since_ms: 0,
            state,
            data: None,
        };
        // Writing into memory does not fail, and an assignment has nothing that JSON cannot say.
        if serde_json::to_writer(&mut *to, &assignment).is_ok() {
            to.push(b'\n');
        }
    }
}
