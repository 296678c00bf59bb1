//! The local API about rows that are aside: list, export, drop. Decides when they may be dropped, by the rule of
//! `shared::wire::quarantine`; who may ask is config-service's to say.

use super::{App, Service, data};
use crate::{EngineError, store::AsideRow};
use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use shared::{
    Problem,
    wire::quarantine::{AsideDropped, Asides, DropOrder},
};
use std::time::Duration;

/// Copies on a page unless asked otherwise, and at most: each is counted row by row.
const PAGE: usize = 20;
const MAX_PAGE: usize = 100;
/// How long the end of a drop is waited for. It goes on without.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<usize>,
    cursor: Option<u64>,
}

/// `GET /v1/local/quarantine?limit&cursor`
pub(super) async fn list(
    _service: Service,
    State(app): State<App>,
    data::Asked(query): data::Asked<Query>,
) -> Result<Json<Asides>, Problem> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let engine = app.door.engine();
    let after = query.cursor.map(AsideRow::number).transpose().map_err(Problem::bad_request)?;
    let mut rows = engine.asides(after, limit + 1).await.map_err(unreadable)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let items = engine.measured(rows).await.map_err(unreadable)?;
    let next = items.last().filter(|_| more).map(|last| last.copy.to_string());
    Ok(Json(Asides { pod: app.door.ownership().pod().clone(), items, next }))
}

/// `GET /v1/local/quarantine/{copy}/export`: JSON lines, as of a target that is served.
pub(super) async fn export(
    _service: Service,
    State(app): State<App>,
    copy: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let row = find(&app, copy).await?;
    data::exported(app.door.engine().export_aside(&row))
}

/// `POST /v1/local/quarantine/{copy}/drop`
pub(super) async fn drop(
    _service: Service,
    State(app): State<App>,
    copy: Result<Path<u64>, PathRejection>,
    order: Result<Json<DropOrder>, JsonRejection>,
) -> Result<Json<AsideDropped>, Problem> {
    let Json(DropOrder { by, i_know }) = order.map_err(|why| Problem::bad_request(why.body_text()))?;
    let row = find(&app, copy).await?;
    let target = row.target.clone();
    let found = row.told((0, 0));
    let copy = found.copy;
    if !i_know && !found.dropping {
        let may = found.may_go(app.door.ownership().clock().wall_ms(), app.aside_kept);
        may.map_err(|why| {
            let text = format!("{why}; nothing was dropped. Look at it, export it, then say --i-know");
            Problem::new(StatusCode::CONFLICT, "still-needed", text)
        })?;
    }
    let dropped = match tokio::time::timeout(PATIENCE, app.door.engine().drop_aside(copy, by)).await {
        Ok(Ok(dropped)) => Some(dropped.ok_or_else(|| unknown(copy))?),
        Ok(Err(why)) => {
            let text = format!("the pod could not commit it: {why}; look whether it was done, then try again");
            return Err(Problem::unavailable("not-committed", text));
        }
        Err(_) => None,
    };
    let (done, rows) = (dropped.is_some(), dropped.map(|(_, rows)| rows).unwrap_or_default());
    Ok(Json(AsideDropped { pod: app.door.ownership().pod().clone(), copy, target, done, rows }))
}

async fn find(app: &App, copy: Result<Path<u64>, PathRejection>) -> Result<AsideRow, Problem> {
    let Path(copy) = copy.map_err(|why| Problem::bad_request(why.body_text()))?;
    app.door.engine().aside(copy).await.map_err(unreadable)?.ok_or_else(|| unknown(copy))
}

fn unknown(copy: u64) -> Problem {
    Problem::not_found(format!("no rows are aside under the number {copy}; `berth pod quarantine list` shows what is"))
}

fn unreadable(why: EngineError) -> Problem {
    tracing::error!(error = %why, "cannot read the pod's database");
    Problem::internal()
}
