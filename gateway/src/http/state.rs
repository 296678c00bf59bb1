//! `GET /v1/local/targets/{target}/state`: what the owner's database says of a target.

use super::{App, Service, owned::Owned};
use axum::{Json, extract::State};
use shared::{Problem, wire::control::TargetState};

pub(super) async fn get(
    _service: Service,
    State(app): State<App>,
    Owned { target, epoch }: Owned,
) -> Result<Json<TargetState>, Problem> {
    let row = app.door.engine().state(&target).await.map_err(|why| {
        tracing::error!(error = %why, "cannot read a target's state");
        Problem::internal()
    })?;
    let (applied, duplicates, last_event_id, journal_seq) =
        row.map_or((0, 0, None, 0), |row| (row.applied, row.duplicates, row.last_event_id, row.journal_seq));
    let pod = app.door.ownership().pod().clone();
    Ok(Json(TargetState { target, pod, epoch, applied, duplicates, last_event_id, journal_seq }))
}
