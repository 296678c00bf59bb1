//! How many pods there are: the autoscaler as it stands, orders to scale, what a supervisor reports, and what a pod asks that
//! was told to stop.

use super::{
    Api,
    auth::{Operator, Reader, Service},
    body::{Body, Name},
    change::Change,
    docs::{Doc, Routes},
    problems::{conflict, unprocessable},
};
use crate::scale::ScaleError;
use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::json;
use shared::wire::admin::{AutoscalerReport, AutoscalerStatus, ScaleOrdered, ScaleTo, Stopping, Supervise, Supervised};
use shared::{PodId, Problem};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let status_doc = Doc::new("Say what the autoscaler sees and wants")
        .text("With the reason for it, everything that speaks against acting on it, and what was done before.")
        .answers::<AutoscalerStatus>()
        .asks_leader();
    let report_doc =
        Doc::new("Say what the autoscaler sees and wants, with its counts").answers::<AutoscalerReport>().asks_leader();
    let order_doc = Doc::new("Have so many pods run")
        .text("New ones are started; those that go, the highest numbers, are drained first and then stopped. A later order replaces an earlier one.")
        .answers::<ScaleOrdered>()
        .status(202)
        .fails(&["no-home", "invalid"])
        .example(json!({ "to": 5, "reason": "a launch tonight" }))
        .asks_leader();
    let supervisor_doc = Doc::new("Report the pods that a supervisor runs")
        .text("Supervisors like `berth up` do this themselves, every second; the answer says how many they are to run.")
        .answers::<Supervise>()
        .asks_leader();
    let stopping_doc = Doc::new("Ask whether a pod that was told to stop leaves for good")
        .text("Pods do this themselves on SIGTERM. One whose number is not to run any more is drained, and asks until it may stop.")
        .answers::<Stopping>()
        .asks_leader();
    routes
        .get("/v1/autoscaler", status, status_doc)
        .get("/api/admin/autoscaler/status", report, report_doc)
        .post("/v1/scale", order, order_doc)
        .post("/v1/scale/supervisor", supervisor, supervisor_doc)
        .post("/v1/pods/{pod}/stopping", stopping, stopping_doc)
}

async fn status(State(api): State<Api>, _: Reader) -> Result<Json<AutoscalerStatus>, Problem> {
    Ok(Json(AutoscalerStatus::clone(&*api.scaling.status().await?)))
}

async fn report(State(api): State<Api>, _: Reader) -> Result<Json<AutoscalerReport>, Problem> {
    let status = AutoscalerStatus::clone(&*api.scaling.status().await?);
    Ok(Json(AutoscalerReport { counts: status.statistics.clone(), status }))
}

async fn order(
    State(api): State<Api>,
    change: Change<Operator, ScaleTo>,
) -> Result<(StatusCode, Json<ScaleOrdered>), Problem> {
    let ordered = api.scaling.order(change.body.to, change.by.clone(), change.dry_run).await;
    ordered.map(|ordered| (StatusCode::ACCEPTED, Json(ordered))).map_err(|why| match why {
        ScaleError::NoHome(_) => conflict("no-home", &why.to_string()),
        ScaleError::Bounds => unprocessable("invalid", &why.to_string()),
        ScaleError::Control(why) => why.into(),
    })
}

async fn supervisor(State(api): State<Api>, _: Service, Body(said): Body<Supervised>) -> Json<Supervise> {
    Json(api.scaling.supervised(said))
}

async fn stopping(State(api): State<Api>, _: Service, Name(pod): Name<PodId>) -> Result<Json<Stopping>, Problem> {
    Ok(Json(api.scaling.stopping(pod).await?))
}
