//! Targets: first contact, who owns them, and their owner's word on their state.

use super::{
    Api,
    auth::{Admin, Reader, Service},
    body::{Body, Name, Params},
    change::Change,
    docs::{Doc, Routes},
    owner::Owner,
    page::{Cursor, Limit, cut, position, size},
    problems::unprocessable,
};
use crate::{control::ControlError, domain::Batch, planner::Wanted};
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::wire::admin::{AcceptDataLoss, TargetList, TargetLossAccepted};
use shared::wire::control::{Assignment, AssignmentState, Beside, Place, PlaceTarget, Placed, TargetState};
use shared::{Kind, Platform, PodId, Problem, TargetId};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let place_doc = Doc::new("Say where targets are, and give those a home that have none")
        .text("Routers do this on first contact. At most 5000 targets; what cannot be placed is in `refused` with its reason. A guild may name the shard that it would best be `beside`.")
        .answers::<Placed>()
        .fails(&["invalid", "place-queue-full", "generation-unsettled", "revision-ahead"])
        .example(json!({ "targets": [{ "target": "discord:guild:81384788765712384" }] }))
        .asks_leader();
    let list_doc = Doc::new("List targets with their owners").text("Ordered by target.").answers::<TargetList>();
    let get_doc = Doc::new("Say who owns a target").answers::<Assignment>().fails(&["not-found"]).asks_replica();
    let state_doc = Doc::new("Ask a target's owner for its state").answers::<TargetState>();
    let loss_doc = Doc::new("Give up the data that a quarantined target waits for")
        .text("Only when its copy is gone for good: the target begins empty where it is, under a new epoch.")
        .answers::<TargetLossAccepted>()
        .fails(&["not-found", "not-quarantined", "pod-not-ready", "revision-ahead"])
        .example(json!({ "reason": "that disk died, no copy" }))
        .asks_leader();
    routes
        .post("/v1/targets/place", place, place_doc)
        .post("/v1/targets/{target}/accept-data-loss", accept_data_loss, loss_doc)
        .get("/v1/targets", list, list_doc.fails(&["bad-cursor", "unknown-pod"]).asks_replica())
        .get("/v1/targets/{target}", get, get_doc)
        .get("/v1/targets/{target}/state", state, state_doc.fails(&["not-found", "owner-unreachable"]).asks_replica())
}

async fn place(State(api): State<Api>, _: Service, Body(place): Body<Place>) -> Result<Json<Placed>, Problem> {
    if place.targets.len() > Batch::MAX_WRITES {
        return Err(unprocessable("invalid", &format!("at most {} targets at once", Batch::MAX_WRITES)));
    }
    let wanted = place.targets.into_iter().map(wanted).collect::<Result<_, _>>()?;
    Ok(Json(api.control.place(wanted).await?))
}

fn wanted(PlaceTarget { target, parent, beside }: PlaceTarget) -> Result<Wanted, Problem> {
    let of = |beside: &Beside| beside.target.kind() == Kind::Shard && beside.target.platform() == target.platform();
    if !beside.as_ref().is_none_or(of) {
        return Err(unprocessable("invalid", &format!("{target} can be beside a shard of the same platform only")));
    }
    let fits = parent.as_ref().is_none_or(|parent| {
        parent.kind() == Kind::Guild && parent.platform() == target.platform() && *parent != target
    });
    if fits {
        return Ok(Wanted { target, parent, beside });
    }
    Err(unprocessable("invalid", &format!("the parent of {target} is a guild of the same platform, and not itself")))
}

/// Which targets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this platform's.
    platform: Option<Platform>,
    /// Only this pod's.
    pod: Option<PodId>,
    /// Only those that are served, or only those whose data is not reachable.
    state: Option<AssignmentState>,
    /// Most targets of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn list(State(api): State<Api>, _: Reader, Params(page): Params<Filter>) -> Result<Json<TargetList>, Problem> {
    let (size, after) = (size(page.limit), position::<String>(page.cursor.as_ref())?);
    let list = api.control.look(move |model| {
        if let Some(unknown) = page.pod.as_ref().filter(|pod| model.pod(pod).is_none()) {
            return Err(ControlError::UnknownPod(unknown.clone()));
        }
        let (mut targets, after) = (Vec::new(), after.as_deref());
        let of = |assignment: &Assignment| {
            page.platform.is_none_or(|one| assignment.target.platform() == one)
                && page.state.is_none_or(|one| assignment.state == one)
        };
        match &page.pod {
            None if page.state == Some(AssignmentState::Quarantined) => {
                targets.extend(model.quarantined(after).filter(of).take(size + 1));
            }
            Some(pod) => {
                targets.extend(model.assignments_of(pod, after).filter(of).take(size + 1));
            }
            None => targets.extend(model.assignments_on(page.platform, after).filter(of).take(size + 1)),
        }
        let next = cut(&mut targets, size, |last: &Assignment| last.target.clone());
        Ok(TargetList { revision: model.revision(), targets, next })
    });
    Ok(Json(list.await??))
}

async fn get(State(api): State<Api>, _: Reader, Name(target): Name<TargetId>) -> Result<Json<Assignment>, Problem> {
    let found = api.control.look({
        let target = target.clone();
        move |model| model.assignment(&target)
    });
    Ok(Json(found.await?.ok_or(ControlError::UnknownTarget(target))?))
}

async fn accept_data_loss(
    State(api): State<Api>,
    Name(target): Name<TargetId>,
    change: Change<Admin, AcceptDataLoss>,
) -> Result<Json<TargetLossAccepted>, Problem> {
    if change.dry_run {
        return Ok(Json(api.control.read(move |view| view.would_lose_of(&target)).await??));
    }
    Ok(Json(api.control.accept_loss_of(target, change.by.clone()).await?))
}

async fn state(State(api): State<Api>, _: Reader, Name(target): Name<TargetId>) -> Result<Json<TargetState>, Problem> {
    Ok(Json(ask_owner(&api, &target).await?))
}

/// Asks the owner of a target for its word on it.
///
/// # Errors
/// When nobody owns it, or the owner does not answer in time.
pub(super) async fn ask_owner(api: &Api, target: &TargetId) -> Result<TargetState, Problem> {
    Owner::of(api, target).await?.get(&format!("/v1/local/targets/{target}/state")).await
}
