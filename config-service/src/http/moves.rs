//! Planned moves: begun and called off by operators, reported on by pods, listed for everybody; and what operators say of
//! pods: cordon and drain.

use super::{
    Api,
    auth::{Operator, Reader, Service},
    body::{Body, Name, Params},
    change::Change,
    docs::{Doc, Routes},
    page::{Cursor, Limit, cut, position, size},
    problems::unprocessable,
};
use crate::{
    control::{ControlError, Marking, View},
    store::MoveFilter,
};
use axum::{Json, extract::State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::wire::admin::{MoveList, MoveTarget, PodMarked, Reason};
use shared::wire::handoff::{Move, MoveState, Reported, Reports};
use shared::{MoveId, PodId, Problem, TargetId};

/// Most reports of one request.
const REPORTS: usize = 1_000;

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let move_doc = Doc::new("Move a target to another pod")
        .text(
            "Answered when the move has begun; `GET /v1/moves/{id}` says how far it is. Without `to` the planner chooses. \
             A guild's channels go with it, each as a move of its own, unless they have gone elsewhere before.",
        )
        .answers::<Move>()
        .status(202)
        .fails(&["not-found", "target-quarantined", "move-running", "pod-not-ready", "no-destination", "too-many-moves"])
        .example(json!({ "to": "gateway-1", "reason": "hot guild" }))
        .asks_leader();
    let list_doc = Doc::new("List moves")
        .text("Newest first. One that is over is kept for as long as the setting `move-retention` says.")
        .answers::<MoveList>()
        .fails(&["bad-cursor", "store-unavailable"]);
    let get_doc = Doc::new("Show a move").answers::<Move>().fails(&["not-found", "store-unavailable"]);
    let cancel_doc = Doc::new("Call a move off")
        .text(
            "Until it is committed: the source serves on. A committed move whose destination never came back can be closed \
             this way once its target has begun anew elsewhere, on the word that the destination's data is lost: the source \
             then drops the rows that it has kept.",
        )
        .answers::<Move>()
        .fails(&["not-found", "move-decided"])
        .example(json!({ "reason": "not now" }))
        .asks_leader();
    let reports_doc = Doc::new("Report on moves")
        .text("Pods do this themselves, for moves from or to them. Every report may be repeated.")
        .answers::<Reported>()
        .fails(&["unknown-pod", "incarnation-mismatch", "invalid"])
        .asks_leader();
    let routes = routes
        .post("/v1/targets/{target}/move", begin, move_doc)
        .get("/v1/moves", list, list_doc)
        .post("/v1/moves/reports", report, reports_doc)
        .get("/v1/moves/{id}", get, get_doc)
        .post("/v1/moves/{id}/cancel", cancel, cancel_doc);
    let mark_doc = |summary, text| {
        let doc = Doc::new(summary).text(text).answers::<PodMarked>().fails(&["unknown-pod"]);
        doc.example(json!({ "reason": "kernel update" })).asks_leader()
    };
    routes
        .post(
            "/v1/pods/{pod}/cordon",
            cordon,
            mark_doc("Give a pod no new targets", "It keeps what it has. Stands until it is taken back."),
        )
        .post("/v1/pods/{pod}/uncordon", uncordon, mark_doc("Give a pod new targets again", ""))
        .post(
            "/v1/pods/{pod}/drain",
            drain,
            mark_doc(
                "Move everything away from a pod",
                "`GET /v1/pods/{pod}` says how far it is; in state `drained` the pod is safe to remove. Stands until it is \
                 taken back, also over restarts of the pod.",
            ),
        )
        .post(
            "/v1/pods/{pod}/undrain",
            undrain,
            mark_doc("End the drain of a pod", "What has moved stays where it is."),
        )
}

async fn begin(
    State(api): State<Api>,
    Name(target): Name<TargetId>,
    change: Change<Operator, MoveTarget>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let to = change.body.to.clone();
    begun(&api, target, to, change).await
}

/// Begins a move, wherever it was asked for; or says only what would begin.
pub(super) async fn begun<T>(
    api: &Api,
    target: TargetId,
    to: Option<PodId>,
    change: Change<Operator, T>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let by = change.by.clone();
    if change.dry_run {
        let would = move |view: &View<'_>| view.would_move(&target, to.as_ref(), &by.actor);
        return Ok((StatusCode::ACCEPTED, Json(api.control.read(would).await??)));
    }
    Ok((StatusCode::ACCEPTED, Json(api.control.move_target(target, to, by).await?)))
}

/// Which moves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only those in this state.
    state: Option<MoveState>,
    /// Only this target's.
    target: Option<TargetId>,
    /// Only those from or to this pod.
    pod: Option<PodId>,
    /// Most moves of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn list(State(api): State<Api>, _: Reader, Params(page): Params<Filter>) -> Result<Json<MoveList>, Problem> {
    let (size, before) = (size(page.limit), position::<u64>(page.cursor.as_ref())?.map(MoveId));
    let wanted = MoveFilter { ids: None, state: page.state, target: page.target, pod: page.pod, before };
    let mut moves = api.control.moves(wanted, size + 1).await?;
    let next = cut(&mut moves, size, |last: &Move| last.id);
    Ok(Json(MoveList { moves, next }))
}

async fn get(State(api): State<Api>, _: Reader, Name(id): Name<MoveId>) -> Result<Json<Move>, Problem> {
    Ok(Json(find(&api, id).await?))
}

async fn cancel(
    State(api): State<Api>,
    Name(id): Name<MoveId>,
    change: Change<Operator, Reason>,
) -> Result<Json<Move>, Problem> {
    if change.dry_run {
        let found = find(&api, id).await?;
        if matches!(found.state, MoveState::Copying | MoveState::Frozen | MoveState::Imported)
            || api.control.read(move |view: &View<'_>| view.would_close(id)).await?
        {
            return Ok(Json(found));
        }
        return Err(ControlError::MoveDecided { id, state: found.state }.into());
    }
    Ok(Json(api.control.cancel_move(id, change.by.clone()).await?))
}

async fn find(api: &Api, id: MoveId) -> Result<Move, ControlError> {
    let wanted = MoveFilter { ids: Some(vec![id]), ..MoveFilter::default() };
    api.control.moves(wanted, 1).await?.pop().ok_or(ControlError::UnknownMove(id))
}

async fn report(State(api): State<Api>, _: Service, Body(said): Body<Reports>) -> Result<Json<Reported>, Problem> {
    if said.reports.len() > REPORTS {
        return Err(unprocessable("invalid", &format!("at most {REPORTS} reports at once")));
    }
    Ok(Json(api.control.report(said).await?))
}

async fn cordon(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Operator, Reason>,
) -> Result<Json<PodMarked>, Problem> {
    mark(&api, pod, Marking::Cordon, change).await
}

async fn uncordon(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Operator, Reason>,
) -> Result<Json<PodMarked>, Problem> {
    mark(&api, pod, Marking::Uncordon, change).await
}

async fn drain(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Operator, Reason>,
) -> Result<Json<PodMarked>, Problem> {
    mark(&api, pod, Marking::Drain, change).await
}

async fn undrain(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Operator, Reason>,
) -> Result<Json<PodMarked>, Problem> {
    mark(&api, pod, Marking::Undrain, change).await
}

async fn mark(
    api: &Api,
    pod: PodId,
    marking: Marking,
    change: Change<Operator, Reason>,
) -> Result<Json<PodMarked>, Problem> {
    if change.dry_run {
        let would = move |view: &View<'_>| view.would_mark(&pod, marking);
        return Ok(Json(PodMarked { dry_run: true, ..api.control.read(would).await?? }));
    }
    Ok(Json(api.control.mark(pod, marking, change.by.clone()).await?))
}
