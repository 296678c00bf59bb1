//! The canary: how the tracks do side by side, and its end. It is begun and grown by plans.

use super::{
    Api,
    auth::{Operator, Reader},
    change::Change,
    docs::{Doc, Routes},
};
use crate::{
    control::{ControlError, Errand},
    domain::{By, Canary},
};
use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::json;
use shared::wire::admin::{CanaryEnded, CanaryState, CanaryStatus, MakePlan, PlanHead, PlanKind, PlanState, Reason};
use shared::{PlanId, Problem, Revision};
use std::time::Duration;

/// How often it is looked whether a plan that was called off is over.
const LOOK: Duration = Duration::from_millis(200);

/// How often at most: then whoever asked is told to ask again.
const LOOKS: u32 = 100;

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let status_doc = Doc::new("Say how the canary does")
        .text(
            "Events, errors and times of both tracks side by side, over the same last minutes, as their pods have reported them to \
             this leader.",
        )
        .answers::<CanaryStatus>()
        .asks_leader();
    let promote_doc = Doc::new("Promote the canary")
        .text(
            "Its pods count as ordinary ones from then on, until another canary begins. Nothing has to move; the rebalancer sees to \
             an even share.",
        )
        .answers::<CanaryEnded>()
        .fails(&["no-canary"])
        .example(json!({ "reason": "a day without errors" }))
        .asks_leader();
    let abort_doc = Doc::new("Abort the canary")
        .text(
            "Its targets go back to the pods of track stable, by a plan that is made and applied. A plan for the canary, or one of the \
             rebalancer's, that is carried out is called off first.",
        )
        .answers::<CanaryEnded>()
        .status(202)
        .fails(&["no-canary", "plan-running", "stale-plan"])
        .example(json!({ "reason": "twice as many errors" }))
        .asks_leader();
    routes.get("/v1/canary", status, status_doc).post("/v1/canary/promote", promote, promote_doc).post(
        "/v1/canary/abort",
        abort,
        abort_doc,
    )
}

async fn status(State(api): State<Api>, _: Reader) -> Result<Json<CanaryStatus>, Problem> {
    Ok(Json(api.control.read(|view| view.canary()).await?))
}

async fn promote(State(api): State<Api>, change: Change<Operator, Reason>) -> Result<Json<CanaryEnded>, Problem> {
    let (state, revision, dry_run) = (CanaryState::Promoted, Revision(0), change.dry_run);
    let mut ended = CanaryEnded { state, plan: None, revision, dry_run };
    let kept = Canary { state, ..Canary::default() };
    let edit = Some(kept.edit(&change.by));
    let errand = Errand::new("promote-canary", "canary", edit, change.by.clone(), &ended).unnames();
    if !dry_run {
        call_off(&api, &change.by).await?;
    }
    ended.revision = api.perform(errand, dry_run).await?;
    Ok(Json(ended))
}

async fn abort(
    State(api): State<Api>,
    change: Change<Operator, Reason>,
) -> Result<(StatusCode, Json<CanaryEnded>), Problem> {
    let (reason, dry_run) = (change.body.reason.clone(), change.dry_run);
    // The answer that is kept under the caller's key is the one to the last step.
    let by = By { key: None, ..change.by.clone() };
    if !dry_run {
        call_off(&api, &by).await?;
    }
    let make = MakePlan {
        kind: PlanKind::Canary,
        pod: None,
        target: None,
        pods: None,
        until_ms: None,
        share: Some(0.0),
        targets: Vec::new(),
        reason,
    };
    let plan = api.control.make_plan(make, by.clone(), dry_run).await?;
    let head = match dry_run {
        true => plan.head,
        false => api.control.apply_plan(plan.head.id, plan.head.revision, by, false).await?,
    };
    let revision = head.revision;
    let ended = CanaryEnded { state: CanaryState::Aborted, plan: Some(head), revision, dry_run };
    Ok((StatusCode::ACCEPTED, Json(ended)))
}

/// Calls off what is carried out for a canary that runs, and what the rebalancer does by itself, and waits for its end.
///
/// # Errors
/// No canary runs, what is carried out does not end, or it is somebody else's.
async fn call_off(api: &Api, by: &By) -> Result<(), Problem> {
    if !api.control.look(|model| model.canary().runs()).await? {
        return Err(ControlError::NoCanary.into());
    }
    let by = By { key: None, ..by.clone() };
    let mut called: Vec<PlanId> = Vec::new();
    for _ in 0..LOOKS {
        let running = api.control.read(|view| view.plans()).await?;
        let Some(head) = running.into_iter().find(in_the_way) else { return Ok(()) };
        if head.state == PlanState::Applying && !called.contains(&head.id) {
            called.push(head.id);
            match api.control.end_plan(head.id, by.clone()).await {
                // It was over meanwhile, or somebody was quicker.
                Ok(_) | Err(ControlError::PlanDecided { .. }) => {}
                Err(why) => return Err(why.into()),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let left = called.last().copied().unwrap_or(PlanId(0));
    Err(ControlError::PlanRunning(left).into())
}

fn in_the_way(head: &PlanHead) -> bool {
    head.kind == PlanKind::Canary || (head.kind == PlanKind::Rebalance && head.actor == crate::control::REBALANCER)
}
