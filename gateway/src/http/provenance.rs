//! `GET /v1/local/targets/{target}/provenance`: where a target's rows come from that were restored from a replica.

use super::{App, Service, owned::Owned};
use axum::{Json, extract::State};
use shared::{Problem, wire::provenance::RestoredFrom};

pub(super) async fn get(
    _service: Service,
    State(app): State<App>,
    Owned { target, .. }: Owned,
) -> Result<Json<Vec<RestoredFrom>>, Problem> {
    app.door.engine().provenance(&target).await.map(Json).map_err(|why| {
        tracing::error!(error = %why, "cannot read where a target's rows come from");
        Problem::internal()
    })
}
