//! `GET /v1/local/replication`: how the pod's replica stands.

use super::{App, Service};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
};
use shared::{
    Problem,
    wire::drill::DrillState,
    wire::lineages::{CleanLineages, LineageList},
    wire::replication::ReplicationState,
};

pub(super) async fn get(_service: Service, State(app): State<App>) -> Json<ReplicationState> {
    Json(app.door.engine().replication_state())
}

/// `GET /v1/local/replication/drill`: what the last restore drill came to.
pub(super) async fn drill(_service: Service, State(app): State<App>) -> Result<Json<DrillState>, Problem> {
    let drills = app.drills.as_ref().ok_or_else(|| Problem::not_found("this pod runs without a replica"))?;
    Ok(Json(drills.state()))
}

/// `POST /v1/local/replication/drill`: makes one now; what it comes to is asked for later.
pub(super) async fn make_drill(_service: Service, State(app): State<App>) -> Result<Json<DrillState>, Problem> {
    let drills = app.drills.as_ref().ok_or_else(|| Problem::not_found("this pod runs without a replica"))?;
    drills.ask();
    Ok(Json(drills.state()))
}

/// `POST /v1/local/replication/lineages`: says what becomes of lineages, and removes those that go.
pub(super) async fn clean(
    _service: Service,
    State(app): State<App>,
    wanted: Result<Json<CleanLineages>, JsonRejection>,
) -> Result<Json<LineageList>, Problem> {
    let Json(wanted) = wanted.map_err(|why| Problem::bad_request(why.body_text()))?;
    let retention = app.retention.as_ref().ok_or_else(|| Problem::not_found("this pod runs without a replica"))?;
    let list = retention.clean(wanted).await;
    list.map(Json).map_err(|why| Problem::unavailable("lineages-unknown", why.to_string()))
}
