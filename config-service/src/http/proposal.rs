//! Paths of the original proposal, in its shapes.

use super::{Api, auth::Reader};
use axum::{Json, extract::State};
use shared::wire::{admin::Health, control::PodState};
use shared::{Kind, PodId, Problem, Revision, Term};
use std::collections::BTreeMap;

/// `GET /health`: answered by a follower too.
pub(super) async fn health(State(api): State<Api>, _: Reader) -> Json<Health> {
    let leading = api.control.read(|view| {
        let ready = view.pods().filter(|pod| pod.state == PodState::Ready).count();
        Health {
            status: if ready > 0 { "ok" } else { "degraded" }.to_owned(),
            leader: true,
            leader_address: None,
            term: view.term,
            revision: view.model.revision(),
            pods: view.model.pods().len() as u64,
            ready_pods: ready as u64,
            targets: view.model.len() as u64,
        }
    });
    Json(leading.await.unwrap_or_else(|_| Health {
        status: "follower".to_owned(),
        leader: false,
        leader_address: api.control.leader(),
        term: Term(0),
        revision: Revision(0),
        pods: 0,
        ready_pods: 0,
        targets: 0,
    }))
}

/// `GET /guild-assignments`: guild id → pod.
pub(super) async fn guild_assignments(
    State(api): State<Api>,
    _: Reader,
) -> Result<Json<BTreeMap<String, PodId>>, Problem> {
    let guilds = api.control.read(|view| {
        let guilds = view.model.assignments(None).filter(|assignment| assignment.target.kind() == Kind::Guild);
        guilds.map(|assignment| (assignment.target.id().to_owned(), assignment.pod.clone())).collect()
    });
    Ok(Json(guilds.await?))
}
