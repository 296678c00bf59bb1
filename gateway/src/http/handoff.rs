//! `POST /v1/handoff/{move}/parcels`: rows that a move brings from another pod. Decides who may bring them and what its sender
//! is told; what becomes of them is the move's matter.

use super::{App, Service};
use crate::handoff::{Handoffs, Received, Refused};
use crate::store::transfer::Parcel;
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection, rejection::PathRejection},
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
