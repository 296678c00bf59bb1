//! Who leads, and letting another one lead.

use super::{
    Api,
    auth::{Operator, Reader},
    change::Change,
    docs::{Doc, Routes},
};
use crate::control::{ControlError, Errand};
use axum::{Json, extract::State};
use serde_json::json;
use shared::{
    Problem, Revision,
    wire::admin::{LeaderStatus, StepDown, SteppedDown},
};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let show_doc = Doc::new("Say who leads")
        .text("Every config-service answers for itself, with what it knows: the newest revision it has read, too.")
        .answers::<LeaderStatus>();
    let down_doc = Doc::new("Let another config-service lead")
        .text("The leader ends its term and does not bid for the next one until a term's time has passed.")
        .answers::<SteppedDown>()
        .example(json!({ "reason": "its machine is to be restarted" }));
    routes.get("/v1/leader", show, show_doc).post("/v1/leader/step-down", step_down, down_doc.asks_leader())
}

async fn show(State(api): State<Api>, _: Reader) -> Json<LeaderStatus> {
    let (reign, revision) = api.control.reign(&api.address, api.leader_lease);
    let leads = api.control.leads();
    let role = match (leads, api.control.follows()) {
        (true, _) => "leader",
        (_, true) => "follower",
        _ => "unready",
    };
    Json(LeaderStatus {
        leader: reign.leader().map(ToOwned::to_owned),
        term: reign.term,
        answered_by: api.address.to_string(),
        role: role.to_owned(),
        revision,
    })
}

async fn step_down(State(api): State<Api>, change: Change<Operator, StepDown>) -> Result<Json<SteppedDown>, Problem> {
    if !api.control.leads() {
        return Err(ControlError::NotLeader { leader: api.control.leader() }.into());
    }
    let (reign, _) = api.control.reign(&api.address, api.leader_lease);
    let (leader, term, dry_run) = (api.address.to_string(), reign.term, change.dry_run);
    let mut done = SteppedDown { leader, term, revision: Revision(0), dry_run };
    let errand = Errand::new("step-down", api.address.to_string(), None, change.by.clone(), &done);
    done.revision = api.perform(errand, dry_run).await?;
    if !dry_run {
        api.control.step_down();
    }
    Ok(Json(done))
}
