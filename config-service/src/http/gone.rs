//! Pods that are gone and come back, and a database that was restored: what pods report to hold, who is dead, and a new
//! generation of the cluster.

use super::{
    Api,
    auth::{Admin, Service},
    body::{Body, Name},
    change::Change,
    docs::{Doc, Routes},
    problems::unprocessable,
};
use crate::control::Proof;
use axum::{Json, extract::State};
use serde_json::json;
use shared::wire::admin::{DeadDeclared, DeclareDead, GenerationBegun, NewGeneration, PodRecovery, Reaped, RecoverPod};
use shared::wire::control::{Holdings, HoldingsKept, Restored, RestoredTaken};
use shared::{PodId, Problem};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let dead_doc = Doc::new("Say that a pod is dead for good")
        .text(
            "Only when its process certainly has ended and its machine acts no more: its targets get other owners, and \
             wait there for its data.",
        )
        .answers::<DeadDeclared>()
        .fails(&["unknown-pod", "lease-held", "not-confirmed"])
        .example(json!({ "i_know": true, "reason": "the machine was scrapped" }))
        .asks_leader();
    let reaped_doc = Doc::new("Say that a pod's process was reaped")
        .text(
            "The supervisor that started the process does this, once nothing can go on under its lease. The pod is failed \
             over at once.",
        )
        .answers::<DeadDeclared>()
        .fails(&["unknown-pod", "incarnation-mismatch", "lease-superseded"])
        .asks_leader();
    let holdings_doc = Doc::new("Say what a pod's database holds")
        .text("Pods do this themselves, in parts, when their registration was answered with `report`.")
        .answers::<HoldingsKept>()
        .fails(&["unknown-pod", "incarnation-mismatch", "lease-superseded", "invalid"])
        .asks_leader();
    let restored_doc = Doc::new("Say what was restored from a dead pod's replica")
        .text("Pods do this themselves, for the targets whose data says `restoring`.")
        .answers::<RestoredTaken>()
        .fails(&["unknown-pod", "incarnation-mismatch", "lease-superseded", "invalid"])
        .asks_leader();
    let recover_doc = Doc::new("Restore what a dead pod had from its replica")
        .text(
            "What the setting `restore` does by itself, now: also when it is `by-hand`, and after an attempt that came to \
             nothing.",
        )
        .answers::<PodRecovery>()
        .fails(&["unknown-pod", "nothing-to-recover"])
        .example(json!({ "reason": "the disk is gone for good" }))
        .asks_leader();
    let generation_doc = Doc::new("Begin a new generation of the cluster")
        .text(
            "After the database was restored from a backup, or promoted without the newest changes. All pods register \
             anew and say what they hold; the highest epoch of each target wins, and nothing is placed before every \
             known pod has reported or was declared dead.",
        )
        .answers::<GenerationBegun>()
        .example(json!({ "reason": "restored last night's backup" }))
        .asks_leader();
    routes
        .post("/v1/pods/{pod}/declare-dead", declare_dead, dead_doc)
        .post("/v1/pods/{pod}/reaped", reaped, reaped_doc)
        .post("/v1/pods/{pod}/holdings", holdings, holdings_doc)
        .post("/v1/pods/{pod}/restored", restored, restored_doc)
        .post("/v1/pods/{pod}/recover", recover, recover_doc)
        .post("/v1/generation", generation, generation_doc)
}

async fn declare_dead(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Admin, DeclareDead>,
) -> Result<Json<DeadDeclared>, Problem> {
    if !change.body.i_know {
        let text = "a pod that acts on is not noticed by this, and its targets would have two owners: say `i_know` when its \
                    process has ended for good";
        return Err(unprocessable("not-confirmed", text));
    }
    let proof = Proof::Declared(change.by.clone());
    if change.dry_run {
        return Ok(Json(api.control.read(move |view| view.would_bury(&pod, &proof)).await??));
    }
    Ok(Json(api.control.bury(pod, proof).await?))
}

async fn reaped(
    State(api): State<Api>,
    _: Service,
    Name(pod): Name<PodId>,
    Body(reaped): Body<Reaped>,
) -> Result<Json<DeadDeclared>, Problem> {
    Ok(Json(api.control.bury(pod, Proof::Reaped(reaped.incarnation, reaped.lease_id)).await?))
}

async fn holdings(
    State(api): State<Api>,
    _: Service,
    Name(pod): Name<PodId>,
    Body(part): Body<Holdings>,
) -> Result<Json<HoldingsKept>, Problem> {
    Ok(Json(api.control.holdings(pod, part).await?))
}

async fn restored(
    State(api): State<Api>,
    _: Service,
    Name(pod): Name<PodId>,
    Body(said): Body<Restored>,
) -> Result<Json<RestoredTaken>, Problem> {
    Ok(Json(api.control.restored(pod, said).await?))
}

async fn recover(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Admin, RecoverPod>,
) -> Result<Json<PodRecovery>, Problem> {
    if change.dry_run {
        return Ok(Json(api.control.read(move |view| view.would_recover(&pod)).await??));
    }
    Ok(Json(api.control.recover(pod, change.by.clone()).await?))
}

async fn generation(
    State(api): State<Api>,
    change: Change<Admin, NewGeneration>,
) -> Result<Json<GenerationBegun>, Problem> {
    if change.dry_run {
        return Ok(Json(api.control.read(|view| view.would_begin_generation()).await?));
    }
    Ok(Json(api.control.begin_generation(change.by.clone()).await?))
}
