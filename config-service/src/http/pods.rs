//! Pods: registering, heartbeats, and what they look like from here.

use super::{
    Api,
    auth::{Admin, Reader, Service},
    body::{Body, Name},
    change::Change,
    docs::{Doc, Routes},
    problems::unprocessable,
};
use axum::{Json, extract::State};
use serde_json::json;
use shared::wire::admin::{AcceptDataLoss, DataLossAccepted, PodList, PodStatus};
use shared::wire::control::{Grant, Heartbeat, LastLife, Register, Registered};
use shared::{Epoch, PodId, Problem};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let list_doc = Doc::new("List pods").answers::<PodList>().asks_leader();
    let get_doc = Doc::new("Show a pod").answers::<PodStatus>().fails(&["not-found"]).asks_leader();
    let loss_doc = Doc::new("Give up what a pod's lost data folder held")
        .text("Only when the folder is gone for good: the pod's targets get new epochs and begin empty.")
        .answers::<DataLossAccepted>()
        .fails(&["unknown-pod", "lease-held"])
        .example(json!({ "reason": "disk died, no copy" }))
        .asks_leader();
    let life_doc = Doc::new("Say what is known of the last life of a pod's data folder")
        .text(
            "`berth gateway prepare` asks this before it begins another life. A pod that was never heard of has none.",
        )
        .answers::<LastLife>()
        .asks_leader();
    routes
        .post("/v1/pods/register", register, register_doc())
        .post("/v1/pods/{pod}/heartbeat", heartbeat, heartbeat_doc())
        .post("/v1/pods/{pod}/accept-data-loss", accept_data_loss, loss_doc)
        .get("/v1/pods", list, list_doc)
        .get("/v1/pods/{pod}", get, get_doc)
        .get("/v1/pods/{pod}/life", life, life_doc)
}

/// What is to be known of registering.
pub(super) fn register_doc() -> Doc {
    let refused = [
        "generation-ahead",
        "revision-ahead",
        "incarnation-buried",
        "incarnation-mismatch",
        "invalid",
        "lease-held",
        "version-mismatch",
    ];
    Doc::new("Register a gateway pod")
        .text("Pods do this themselves. The lease is valid only once a heartbeat has been granted.")
        .answers::<Registered>()
        .fails(&refused)
        .asks_leader()
}

/// What is to be known of heartbeats.
pub(super) fn heartbeat_doc() -> Doc {
    Doc::new("Renew a pod's lease")
        .text("Pods do this themselves, every second.")
        .answers::<Grant>()
        .fails(&[
            "unknown-pod",
            "incarnation-buried",
            "incarnation-mismatch",
            "invalid",
            "lease-superseded",
            "report-first",
            "revision-ahead",
        ])
        .asks_leader()
}

pub(super) async fn register(
    State(api): State<Api>,
    _: Service,
    Body(register): Body<Register>,
) -> Result<Json<Registered>, Problem> {
    issuable("highest_epoch", register.highest_epoch.generation())?;
    issuable("term", Epoch(register.term.0).generation())?;
    Ok(Json(api.control.register(register).await?))
}

pub(super) async fn heartbeat(
    State(api): State<Api>,
    _: Service,
    Name(pod): Name<PodId>,
    Body(heartbeat): Body<Heartbeat>,
) -> Result<Json<Grant>, Problem> {
    issuable("revision", Epoch(heartbeat.revision.0).generation())?;
    issuable("term", Epoch(heartbeat.term.0).generation())?;
    Ok(Json(api.control.heartbeat(pod, heartbeat).await?))
}

/// No database can have issued what lies beyond the last generation, and none could begin one above it. Epochs, revisions
/// and terms carry their generation in the same bits.
fn issuable(field: &str, generation: u32) -> Result<(), Problem> {
    if generation <= Epoch::LAST_GENERATION {
        return Ok(());
    }
    Err(unprocessable("invalid", &format!("{field} is of generation {generation}; no database issues that")))
}

async fn accept_data_loss(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Admin, AcceptDataLoss>,
) -> Result<Json<DataLossAccepted>, Problem> {
    if change.dry_run {
        return Ok(Json(api.control.read(move |view| view.would_lose(&pod)).await??));
    }
    Ok(Json(api.control.accept_loss(pod, change.by.clone()).await?))
}

async fn list(State(api): State<Api>, _: Reader) -> Result<Json<PodList>, Problem> {
    let list = api.control.read(|view| PodList { revision: view.model.revision(), pods: view.pods().collect() });
    Ok(Json(list.await?))
}

async fn get(State(api): State<Api>, _: Reader, Name(pod): Name<PodId>) -> Result<Json<PodStatus>, Problem> {
    let status = api.control.read({
        let pod = pod.clone();
        move |view| view.pod(&pod)
    });
    status.await?.map(Json).ok_or_else(|| Problem::not_found(format!("pod {pod} is not known")))
}

async fn life(State(api): State<Api>, _: Service, Name(pod): Name<PodId>) -> Result<Json<LastLife>, Problem> {
    Ok(Json(api.control.read(move |view| view.life(&pod)).await?))
}
