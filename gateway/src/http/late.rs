//! `POST /v1/late/{target}`: a pod that was failed over sends the end of the journal that it had for a target of this pod.
//! Decides who may, and how much at once.

use super::{App, Service, owned::Owned};
use crate::reconcile;
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use shared::{
    Problem,
    wire::quarantine::{Late, LateTaken},
};

/// The largest body: one event of the largest frame, as base64.
pub(super) const LARGEST: usize = 64 << 20;
/// Events and calls in one request at most.
const MOST: usize = 1_000;

/// `POST /v1/late/{target}`
pub(super) async fn take(
    _service: Service,
    State(app): State<App>,
    owned: Owned,
    late: Result<Json<Late>, JsonRejection>,
) -> Result<Json<LateTaken>, Problem> {
    let Json(late) = late.map_err(|why| Problem::bad_request(why.body_text()))?;
    if late.events.len() > MOST || late.calls.len() > MOST {
        return Err(Problem::bad_request(format!("at most {MOST} events, and as many calls")));
    }
    let _slot = app.late.acquire().await.map_err(|_| Problem::unavailable("busy", "this pod is stopping"))?;
    let taken = reconcile::take(app.door.engine(), || owned.guard(&app), &owned.target, late).await?;
    Ok(Json(taken))
}
