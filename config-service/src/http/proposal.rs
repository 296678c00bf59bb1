//! Paths of the original proposal, in its shapes.

use super::{
    Api,
    auth::Reader,
    docs::{Doc, Routes},
};
use axum::{Json, extract::State};
use shared::wire::{admin::Health, control::PodState};
use shared::{Kind, PodId, Problem, Revision, TargetId, Term};
use std::collections::BTreeMap;

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let health_doc = Doc::new("Say how the control plane is").text("A follower answers too, and names the leader.");
    let guilds_doc = Doc::new("Say where every guild is").text("Guild id → pod, of all platforms.");
    routes.get("/health", health, health_doc.answers::<Health>()).get(
        "/guild-assignments",
        guild_assignments,
        guilds_doc.answers::<BTreeMap<String, PodId>>().asks_leader(),
    )
}

/// `GET /health`: answered by a follower too.
async fn health(State(api): State<Api>, _: Reader) -> Json<Health> {
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

/// Assignments read at once; others have their turn in between.
const CHUNK: usize = 5_000;

/// `GET /guild-assignments`: guild id → pod. Read in pieces, so that nobody waits for a large one: each entry was true when
/// it was read.
async fn guild_assignments(State(api): State<Api>, _: Reader) -> Result<Json<BTreeMap<String, PodId>>, Problem> {
    let (mut guilds, mut after) = (BTreeMap::new(), None::<TargetId>);
    loop {
        let from = after.take();
        let piece = api.control.read(move |view| {
            let from = from.as_ref().map(|target| target.as_str());
            let piece = view.model.assignments(from).take(CHUNK);
            piece.map(|assignment| (assignment.target.clone(), assignment.pod.clone())).collect::<Vec<_>>()
        });
        let piece = piece.await?;
        if piece.len() == CHUNK {
            after = piece.last().map(|(target, _)| target.clone());
        }
        let found = piece.into_iter().filter(|(target, _)| target.kind() == Kind::Guild);
        guilds.extend(found.map(|(target, pod)| (target.id().to_owned(), pod)));
        if after.is_none() {
            return Ok(Json(guilds));
        }
    }
}
