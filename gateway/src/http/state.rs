//! `GET /v1/local/targets/{target}/state`: what the owner's database says of a target.

use super::{App, Service};
use axum::{Json, extract::Path, extract::State, extract::rejection::PathRejection};
use http::StatusCode;
use shared::{Problem, TargetId, wire::control::TargetState};

pub(super) async fn get(
    _service: Service,
    State(app): State<App>,
    target: Result<Path<String>, PathRejection>,
) -> Result<Json<TargetState>, Problem> {
    let Path(target) = target.map_err(|why| Problem::bad_request(why.body_text()))?;
    let target: TargetId = target.parse().map_err(|why: shared::id::IdError| Problem::bad_request(why.to_string()))?;
    let (ownership, engine) = (app.door.ownership(), app.door.engine());
    let Some(epoch) = ownership.epoch(&target) else {
        let detail = match ownership.owner(&target) {
            Some(owner) => format!("this pod does not own {target}; {owner} does"),
            None => format!("this pod does not own {target}"),
        };
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "not-owner", detail));
    };
    let row = engine.state(&target).await.map_err(|why| {
        tracing::error!(error = %why, "cannot read a target's state");
        Problem::internal()
    })?;
    let (applied, duplicates, last_event_id, journal_seq) =
        row.map_or((0, 0, None, 0), |row| (row.applied, row.duplicates, row.last_event_id, row.journal_seq));
    let pod = ownership.pod().clone();
    Ok(Json(TargetState { target, pod, epoch, applied, duplicates, last_event_id, journal_seq }))
}
