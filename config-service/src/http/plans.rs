//! Plans: made, shown, applied, ended; pins; and what the leader does by itself for an even share.

use super::{
    Api,
    auth::{Operator, Reader},
    body::{Name, Params},
    change::Change,
    docs::{Doc, Routes},
    page::{Cursor, Limit, cut, position, size},
};
use crate::{control::Errand, domain::By, store::PlanFilter};
use axum::{Json, extract::State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::wire::admin::{
    ApplyPlan, MakePlan, Plan, PlanHead, PlanKind, PlanList, PlanState, Reason, RebalanceStatus, Unpinned,
};
use shared::{PlanId, Problem, Revision, TargetId, wire::admin::PinTarget};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let make_doc = Doc::new("Make a plan")
        .text(
            "Nothing moves by that. `rebalance` takes nothing more, `drain` a `pod`, `scale` a number of `pods`, `pin` a \
             `target` and a `pod`, and maybe `until_ms`, `canary` a `share`, a list of `targets`, or both. Pods that `scale` needs and that are not there yet are planned for as \
             ordinary ones.",
        )
        .answers::<Plan>()
        .status(201)
        .fails(&["invalid", "unknown-pod", "not-found", "no-canary", "too-many-plans"])
        .example(json!({ "kind": "drain", "pod": "gateway-2", "reason": "kernel update" }))
        .asks_leader();
    let list_doc = Doc::new("List plans")
        .text("Newest first, without their moves. One that is over, or was never applied, is kept for as long as the setting `move-retention` says.")
        .answers::<PlanList>()
        .fails(&["bad-cursor", "store-unavailable"]);
    let get_doc = Doc::new("Show a plan").answers::<Plan>().fails(&["not-found", "store-unavailable"]);
    let apply_doc = Doc::new("Apply a plan")
        .text(
            "Answered when its moves begin; `GET /v1/plans/{id}` says how far it is. A plan is stale when a target, a pod or the \
             policy that it names is another than when it was made: then nothing moves, and `detail` says how a plan made now \
             differs.",
        )
        .answers::<PlanHead>()
        .status(202)
        .fails(&["not-found", "plan-decided", "plan-running", "stale-plan", "unknown-pod"])
        .example(json!({ "revision": 4711, "reason": "two new pods" }))
        .asks_leader();
    let end_doc = |summary, text| {
        let doc = Doc::new(summary).text(text).answers::<PlanHead>().fails(&["not-found", "plan-decided"]);
        doc.example(json!({ "reason": "not now" })).asks_leader()
    };
    let pin_doc = Doc::new("Pin a target to a pod")
        .text("It goes there and stays there, whatever the load, until it is unpinned or the time is over. Makes a plan and applies it.")
        .answers::<PlanHead>()
        .status(202)
        .fails(&["invalid", "not-found", "unknown-pod", "plan-running", "stale-plan"])
        .example(json!({ "pod": "gateway-1", "reason": "beside its voice server" }))
        .asks_leader();
    let unpin_doc = Doc::new("Unpin a target")
        .text("It stays where it is until something else moves it.")
        .answers::<Unpinned>()
        .fails(&["not-found", "not-pinned"])
        .example(json!({ "reason": "the event is over" }))
        .asks_leader();
    let rebalance_doc = Doc::new("Say what the leader moves by itself for an even share")
        .text("And why it does not. The setting `rebalance-paused` pauses it.")
        .answers::<RebalanceStatus>()
        .asks_leader();
    routes
        .post("/v1/plans", make, make_doc)
        .get("/v1/plans", list, list_doc)
        .get("/v1/plans/{id}", get, get_doc)
        .post("/v1/plans/{id}/apply", apply, apply_doc)
        .post(
            "/v1/plans/{id}/cancel",
            end,
            end_doc(
                "Call a plan off",
                "No move begins any more; those under way end, or their sources serve on. Drains that it began are ended. One that was never applied is discarded.",
            ),
        )
        .post("/v1/targets/{target}/pin", pin, pin_doc)
        .post("/v1/targets/{target}/unpin", unpin, unpin_doc)
        .get("/v1/rebalance", rebalance, rebalance_doc)
}

async fn make(State(api): State<Api>, change: Change<Operator, MakePlan>) -> Result<(StatusCode, Json<Plan>), Problem> {
    let plan = api.control.make_plan(change.body.clone(), change.by.clone(), change.dry_run).await?;
    Ok((StatusCode::CREATED, Json(plan)))
}

/// Which plans.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only those in this state.
    state: Option<PlanState>,
    /// Most plans of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn list(State(api): State<Api>, _: Reader, Params(page): Params<Filter>) -> Result<Json<PlanList>, Problem> {
    let (size, before) = (size(page.limit), position::<u64>(page.cursor.as_ref())?.map(PlanId));
    let mut plans = api.control.plans(PlanFilter { state: page.state, before }, size + 1).await?;
    let next = cut(&mut plans, size, |last: &PlanHead| last.id);
    Ok(Json(PlanList { plans, next }))
}

async fn get(State(api): State<Api>, _: Reader, Name(id): Name<PlanId>) -> Result<Json<Plan>, Problem> {
    Ok(Json(api.control.plan(id).await?))
}

async fn apply(
    State(api): State<Api>,
    Name(id): Name<PlanId>,
    change: Change<Operator, ApplyPlan>,
) -> Result<(StatusCode, Json<PlanHead>), Problem> {
    let head = api.control.apply_plan(id, change.body.revision, change.by.clone(), change.dry_run).await?;
    Ok((StatusCode::ACCEPTED, Json(head)))
}

async fn end(
    State(api): State<Api>,
    Name(id): Name<PlanId>,
    change: Change<Operator, Reason>,
) -> Result<Json<PlanHead>, Problem> {
    if change.dry_run {
        return Ok(Json(api.control.plan(id).await?.head));
    }
    Ok(Json(api.control.end_plan(id, change.by.clone()).await?))
}

async fn pin(
    State(api): State<Api>,
    Name(target): Name<TargetId>,
    change: Change<Operator, PinTarget>,
) -> Result<(StatusCode, Json<PlanHead>), Problem> {
    let PinTarget { pod, until_ms, reason } = change.body.clone();
    let make = MakePlan {
        kind: PlanKind::Pin,
        pod: Some(pod),
        target: Some(target),
        pods: None,
        until_ms,
        share: None,
        targets: Vec::new(),
        reason,
    };
    // The answer that is kept under the caller's key is the one to the second step.
    let by = By { key: None, ..change.by.clone() };
    let plan = api.control.make_plan(make, by, change.dry_run).await?;
    if change.dry_run {
        return Ok((StatusCode::ACCEPTED, Json(plan.head)));
    }
    let head = api.control.apply_plan(plan.head.id, plan.head.revision, change.by.clone(), false).await?;
    Ok((StatusCode::ACCEPTED, Json(head)))
}

async fn unpin(
    State(api): State<Api>,
    Name(target): Name<TargetId>,
    change: Change<Operator, Reason>,
) -> Result<Json<Unpinned>, Problem> {
    let mut answer = Unpinned { target: target.clone(), revision: Revision(0), dry_run: change.dry_run };
    let errand = Errand::new("unpin", target.as_str(), None, change.by.clone(), &answer).unpins(target);
    answer.revision = api.perform(errand, change.dry_run).await?;
    Ok(Json(answer))
}

async fn rebalance(State(api): State<Api>, _: Reader) -> Result<Json<RebalanceStatus>, Problem> {
    Ok(Json(api.control.read(|view| view.rebalance()).await?))
}
