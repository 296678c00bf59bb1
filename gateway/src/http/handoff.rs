//! `POST /v1/handoff/{move}/parcels` and `/v1/handoff/parcels`: rows that one move, or several, bring from another pod, and
//! `/v1/handoff/ask`, what that pod wants to know before, and `/v1/handoff/shard`, what it says before. Decides who may bring them and what their sender is told; what
//! becomes of them is the moves' matter.

use super::{App, Service};
use crate::discord::Coming;
use crate::handoff::{Fates, Handoffs, Known, Received, Refused};
use crate::store::transfer::{Bundle, Parcel};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection, rejection::JsonRejection, rejection::PathRejection},
};
use http::StatusCode;
use shared::{MoveId, Problem};

/// The largest parcel: one row may be as large as the largest event.
pub(super) const LARGEST: usize = 80 << 20;

pub(super) async fn parcels(
    _service: Service,
    State(app): State<App>,
    path: Result<Path<u64>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Received>, Problem> {
    let Path(id) = path.map_err(|why| Problem::bad_request(why.body_text()))?;
    let body = body.map_err(|why| Problem::bad_request(why.body_text()))?;
    received(&app.handoffs, MoveId(id), &body).await
}

pub(super) async fn ask(
    _service: Service,
    State(app): State<App>,
    asked: Result<Json<Known>, JsonRejection>,
) -> Result<Json<Known>, Problem> {
    let Json(asked) = asked.map_err(|why| Problem::bad_request(why.body_text()))?;
    Ok(Json(app.handoffs.ready_for(asked).await))
}

pub(super) async fn shard(
    _service: Service,
    State(app): State<App>,
    coming: Result<Json<Coming>, JsonRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let Json(coming) = coming.map_err(|why| Problem::bad_request(why.body_text()))?;
    app.shards.prepare(coming).await;
    Ok(Json(serde_json::json!({})))
}

pub(super) async fn bundles(
    _service: Service,
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Fates>, Problem> {
    let body = body.map_err(|why| Problem::bad_request(why.body_text()))?;
    received_all(&app.handoffs, &body).await
}

/// Takes the parcels of several moves in, and says what came of each.
///
/// # Errors
/// A problem when the body is no bundle of parcels.
pub(crate) async fn received_all(handoffs: &Handoffs, body: &[u8]) -> Result<Json<Fates>, Problem> {
    let pieces = Bundle::read(body).map_err(|why| Problem::bad_request(why.to_string()))?;
    Ok(Json(handoffs.take_all(pieces).await))
}

/// Takes a parcel in, and says what came of it.
///
/// # Errors
/// A problem with a code of its own for everything its sender has to tell apart.
pub(crate) async fn received(handoffs: &Handoffs, id: MoveId, body: &[u8]) -> Result<Json<Received>, Problem> {
    let parcel = Parcel::read(body).map_err(|why| Problem::bad_request(why.to_string()))?;
    handoffs.take(id, parcel).await.map(Json).map_err(|why| {
        let detail = why.to_string();
        match why {
            Refused::Lost => Problem::new(StatusCode::CONFLICT, "begin-anew", detail),
            Refused::Over => Problem::new(StatusCode::CONFLICT, "move-over", detail),
            Refused::Spoiled(_) => Problem::new(StatusCode::CONFLICT, "not-kept", detail),
            Refused::Later(_) => Problem::unavailable("later", detail),
        }
    })
}
