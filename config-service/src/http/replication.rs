//! How the pods' replicas stand, and restore drills. The pods know and do it; every one is asked, a few at a time, and one that does
//! not answer is named and hides nobody else's.

use super::{
    Api,
    auth::{Operator, Reader},
    body::{Name, Params},
    change::Change,
    docs::{Doc, Routes},
    owner::Owner,
};
use crate::control::{ControlError, Errand};
use axum::{Json, extract::State};
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::{
    PodId, Problem,
    wire::control::PodInfo,
    wire::data::Reason,
    wire::drill::{DrillState, PodReplication, ReplicationList},
};

/// Pods asked at once.
const AT_ONCE: usize = 16;

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let asked = ["not-found", "owner-unreachable"];
    let list_doc = Doc::new("Show how the replicas stand")
        .text(
            "Of each pod: its lineage, how far its replica is behind, and what its last restore drill came to. A pod that does \
             not answer says why in `error`.",
        )
        .answers::<ReplicationList>()
        .fails(&["unknown-pod"]);
    let drill_doc = Doc::new("Show a pod's last restore drill").answers::<DrillState>().fails(&asked);
    let make_doc = Doc::new("Have a pod restore its replica and compare it")
        .text("It begins now, or joins the one that runs; what it came to is in the pod's `last` drill once `at_ms` is later.")
        .answers::<DrillState>()
        .fails(&asked)
        .example(json!({ "reason": "before the upgrade" }));
    routes
        .get("/v1/replication", list, list_doc.asks_leader())
        .get("/v1/pods/{pod}/drill", drill, drill_doc.asks_leader())
        .post("/v1/pods/{pod}/drill", make, make_doc.asks_leader())
}

/// Which pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only this one.
    pod: Option<PodId>,
}

async fn list(
    State(api): State<Api>,
    _: Reader,
    Params(filter): Params<Filter>,
) -> Result<Json<ReplicationList>, Problem> {
    let pods: Result<Vec<PodInfo>, ControlError> = api
        .control
        .read(move |view| {
            if let Some(unknown) = filter.pod.as_ref().filter(|pod| view.model.pod(pod).is_none()) {
                return Err(ControlError::UnknownPod(unknown.clone()));
            }
            let asked = |info: &PodInfo| filter.pod.as_ref().is_none_or(|only| *only == info.pod);
            Ok(view.model.pods().map(|record| record.info.clone()).filter(asked).collect())
        })
        .await?;
    let ask = |info: PodInfo| {
        let api = &api;
        async move {
            let said = ask(api, &info).await;
            let error = said.as_ref().err().map(ToString::to_string);
            let (replication, drill) = said.map_or((None, None), |(state, drill)| (Some(state), drill));
            PodReplication { pod: info.pod, replication, drill, error }
        }
    };
    let pods = stream::iter(pods?).map(ask).buffered(AT_ONCE).collect().await;
    Ok(Json(ReplicationList { pods }))
}

async fn ask(
    api: &Api,
    info: &PodInfo,
) -> Result<(shared::wire::replication::ReplicationState, Option<DrillState>), Problem> {
    let pod = Owner::at(api, info)?.just_a_pod();
    let state = pod.get("/v1/local/replication").await?;
    match pod.get("/v1/local/replication/drill").await {
        Ok(drill) => Ok((state, Some(drill))),
        // It runs without a replica.
        Err(why) if why.status == 404 => Ok((state, None)),
        Err(why) => Err(why),
    }
}

async fn drill(State(api): State<Api>, _: Reader, Name(pod): Name<PodId>) -> Result<Json<DrillState>, Problem> {
    Owner::named(&api, &pod).await?.get("/v1/local/replication/drill").await.map(Json)
}

async fn make(
    State(api): State<Api>,
    Name(pod): Name<PodId>,
    change: Change<Operator, Reason>,
) -> Result<Json<DrillState>, Problem> {
    let owner = Owner::named(&api, &pod).await?;
    if change.dry_run {
        return owner.get("/v1/local/replication/drill").await.map(Json);
    }
    let state: DrillState = owner.post("/v1/local/replication/drill", &()).await?;
    api.perform(Errand::new("restore-drill", pod.as_str(), None, change.by.clone(), &state), false).await?;
    Ok(Json(state))
}
