//! Targets: first contact, who owns them, and their owner's word on their state.

use super::{
    Api,
    auth::{Reader, Service},
    body::{Body, Name, Params},
};
use crate::{control::ControlError, domain::Batch, planner::Wanted};
use axum::{Json, extract::State};
use serde::Deserialize;
use shared::http::{Client, ClientError};
use shared::wire::admin::TargetList;
use shared::wire::control::{Assignment, Place, PlaceTarget, Placed, TargetState};
use shared::{Kind, Platform, PodId, Problem, TargetId};

/// Targets on a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

pub(super) async fn place(
    State(api): State<Api>,
    _: Service,
    Body(place): Body<Place>,
) -> Result<Json<Placed>, Problem> {
    if place.targets.len() > Batch::MAX_WRITES {
        return Err(Problem::bad_request(format!("at most {} targets at once", Batch::MAX_WRITES)));
    }
    let wanted = place.targets.into_iter().map(wanted).collect::<Result<_, _>>()?;
    Ok(Json(api.control.place(wanted).await?))
}

fn wanted(PlaceTarget { target, parent }: PlaceTarget) -> Result<Wanted, Problem> {
    let fits = parent.as_ref().is_none_or(|parent| {
        parent.kind() == Kind::Guild && parent.platform() == target.platform() && *parent != target
    });
    if fits {
        return Ok(Wanted { target, parent });
    }
    Err(Problem::bad_request(format!("the parent of {target} is a guild of the same platform, and not itself")))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    platform: Option<Platform>,
    pod: Option<PodId>,
    limit: Option<usize>,
    cursor: Option<TargetId>,
}

pub(super) async fn list(
    State(api): State<Api>,
    _: Reader,
    Params(page): Params<Page>,
) -> Result<Json<TargetList>, Problem> {
    let limit = page.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is a number from 1 to {MAX_PAGE}")));
    }
    let list = api.control.read(move |view| {
        let matches = |assignment: &&Assignment| {
            page.platform.is_none_or(|platform| assignment.target.platform() == platform)
                && page.pod.as_ref().is_none_or(|pod| assignment.pod == *pod)
        };
        let mut matching = view.model.assignments(page.cursor.as_ref()).filter(matches);
        let targets: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let more = matching.next().is_some();
        let next = targets.last().filter(|_| more).map(|last| last.target.to_string());
        TargetList { revision: view.model.revision(), targets, next }
    });
    Ok(Json(list.await?))
}

pub(super) async fn get(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
) -> Result<Json<Assignment>, Problem> {
    let found = api.control.read({
        let target = target.clone();
        move |view| view.model.assignment(&target).cloned()
    });
    Ok(Json(found.await?.ok_or(ControlError::UnknownTarget(target))?))
}

pub(super) async fn state(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
) -> Result<Json<TargetState>, Problem> {
    Ok(Json(ask_owner(&api, &target).await?))
}

/// Asks the owner of a target for its word on it.
///
/// # Errors
/// When nobody owns it, or the owner does not answer in time.
pub(super) async fn ask_owner(api: &Api, target: &TargetId) -> Result<TargetState, Problem> {
    let owner = api.control.read({
        let target = target.clone();
        move |view| {
            let assignment = view.model.assignment(&target)?;
            view.model.pod(&assignment.pod).map(|record| record.info.clone())
        }
    });
    let owner = owner.await?.ok_or_else(|| ControlError::UnknownTarget(target.clone()))?;
    let unreachable = |why: &dyn std::fmt::Display| {
        Problem::unavailable("owner-unreachable", format!("{} owns the target and does not answer: {why}", owner.pod))
    };
    let token = api.service.current().cloned();
    let client = Client::new(&format!("http://{}", owner.address), token, api.patience);
    let client = client.map_err(|why| unreachable(&why))?;
    match client.get(&format!("/v1/local/targets/{target}/state")).await {
        Ok(state) => Ok(state),
        Err(ClientError::Problem(problem)) if !matches!(problem.status, 401 | 403) => Err(problem),
        Err(why) => Err(unreachable(&why)),
    }
}
