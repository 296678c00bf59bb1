//! Pods: registering, heartbeats, and what they look like from here.

use super::{
    Api,
    auth::{Admin, Reader, Service},
    body::{Body, Name},
};
use axum::{Json, extract::State};
use shared::wire::admin::{AcceptDataLoss, DataLossAccepted, PodList, PodStatus};
use shared::wire::control::{Grant, Heartbeat, Register, Registered};
use shared::{PodId, Problem};

/// The longest reason for the audit, in bytes.
const MAX_REASON: usize = 1_000;

pub(super) async fn register(
    State(api): State<Api>,
    _: Service,
    Body(register): Body<Register>,
) -> Result<Json<Registered>, Problem> {
    Ok(Json(api.control.register(register).await?))
}

pub(super) async fn heartbeat(
    State(api): State<Api>,
    _: Service,
    Name(pod): Name<PodId>,
    Body(heartbeat): Body<Heartbeat>,
) -> Result<Json<Grant>, Problem> {
    Ok(Json(api.control.heartbeat(pod, heartbeat).await?))
}

pub(super) async fn accept_data_loss(
    State(api): State<Api>,
    _: Admin,
    Name(pod): Name<PodId>,
    Body(AcceptDataLoss { reason }): Body<AcceptDataLoss>,
) -> Result<Json<DataLossAccepted>, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON || reason.contains('\0') {
        return Err(Problem::bad_request("say why in `reason`, in at most 1000 bytes"));
    }
    Ok(Json(api.control.accept_loss(pod, reason.to_owned()).await?))
}

pub(super) async fn list(State(api): State<Api>, _: Reader) -> Result<Json<PodList>, Problem> {
    let list = api.control.read(|view| PodList { revision: view.model.revision(), pods: view.pods().collect() });
    Ok(Json(list.await?))
}

pub(super) async fn get(State(api): State<Api>, _: Reader, Name(pod): Name<PodId>) -> Result<Json<PodStatus>, Problem> {
    let status = api.control.read({
        let pod = pod.clone();
        move |view| view.pod(&pod)
    });
    status.await?.map(Json).ok_or_else(|| Problem::not_found(format!("pod {pod} is not known")))
}
