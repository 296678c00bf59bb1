//! `GET /v1/local/replication`: how the pod's replica stands.

use super::{App, Service};
use axum::{Json, extract::State};
use shared::wire::replication::ReplicationState;

pub(super) async fn get(_service: Service, State(app): State<App>) -> Json<ReplicationState> {
    Json(app.door.engine().replication_state())
}
