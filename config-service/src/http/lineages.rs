//! Lineages of replicas that are needed no more: what is needed, which this service knows; what becomes of each, which the pods
//! decide; and their removal, which stands in the audit before it is done.

use super::{
    Api,
    auth::{Admin, Service},
    body::Body,
    change::Change,
    docs::{Doc, Routes},
    owner::Owner,
};
use crate::{
    control::{ControlError, Errand, View},
    domain::By,
};
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    PodId, Problem,
    wire::admin::Because,
    wire::control::{PodInfo, PodState},
    wire::data::OnBehalf,
    wire::lineages::{CleanLineages, LineageList, LineageNeeds, MayRemove, RemoveLineage, Unasked},
};
use std::time::Duration;

/// How long a pod may list, and remove.
const PATIENCE: Duration = Duration::from_secs(120);

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let gc_doc = Doc::new("Remove lineages of replicas whose time is over")
        .text(
            "What the pods do themselves once a day, now. Every lineage is named with what becomes of it, and why: nothing that \
             is not certainly dispensable goes, and never the last good one of a pod.",
        )
        .answers::<LineageList>()
        .fails(&["unknown-pod"])
        .example(json!({ "reason": "the bucket is full", "pod": "gateway-1" }))
        .asks_leader();
    let needs_doc = Doc::new("Say which lives' replicas are needed")
        .text("Pods ask this before they judge lineages.")
        .answers::<LineageNeeds>()
        .asks_leader();
    let removal_doc = Doc::new("Note that a lineage is about to be removed")
        .text("Pods do this themselves, before the first file is gone. What is needed now may not be removed.")
        .answers::<MayRemove>()
        .asks_leader();
    routes.post("/v1/replication/gc", gc, gc_doc).get("/v1/replication/needs", needs, needs_doc).post(
        "/v1/replication/removals",
        removal,
        removal_doc,
    )
}

/// Which lineages, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gc {
    /// Why, for the audit: 1 to 1000 characters.
    #[schemars(regex(pattern = shared::wire::admin::REASON), length(max = 1000))]
    reason: String,
    /// Only this pod's; all pods' when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<PodId>,
}

impl Because for Gc {
    fn reason(&self) -> &str {
        &self.reason
    }
}

/// Who is asked about whose lineages.
#[derive(Debug, Default)]
struct Asking {
    calls: Vec<(PodInfo, Vec<PodId>)>,
    unasked: Vec<Unasked>,
}

async fn gc(State(api): State<Api>, change: Change<Admin, Gc>) -> Result<Json<LineageList>, Problem> {
    let only = change.body.pod.clone();
    let Asking { calls, unasked } = api.control.read(move |view| asking(view, only.as_ref())).await??;
    let By { actor, reason, request_id, .. } = change.by.clone();
    let by = OnBehalf { actor, reason, request_id };
    let mut all = LineageList { lineages: Vec::new(), unasked, dry_run: change.dry_run };
    for (info, pods) in calls {
        let wanted = CleanLineages { pods: pods.clone(), dry_run: change.dry_run, by: by.clone() };
        let asked = async {
            let pod = Owner::at(&api, &info)?.just_a_pod().patient(PATIENCE);
            pod.post::<LineageList>("/v1/local/replication/lineages", &wanted).await
        };
        match asked.await {
            Ok(list) => all.lineages.extend(list.lineages),
            Err(why) => all.unasked.extend(pods.into_iter().map(|pod| Unasked { pod, why: why.detail.clone() })),
        }
    }
    Ok(Json(all))
}

/// A pod is asked about its own lineages, and the first that is ready about those of pods that are gone.
fn asking(view: &View<'_>, only: Option<&PodId>) -> Result<Asking, ControlError> {
    let mut asking = Asking::default();
    let all: Vec<_> = view.pods().filter(|pod| pod.replica.is_some()).collect();
    if let Some(pod) = only
        && view.model.pod(pod).is_none()
    {
        return Err(ControlError::UnknownPod(pod.clone()));
    }
    let wanted = |pod: &PodId| only.is_none_or(|only| only == pod);
    for pod in &all {
        let name = &pod.info.pod;
        let mut others = Vec::new();
        if wanted(name) && pod.state != PodState::Dead {
            others.push(name.clone());
        }
        let first = all.iter().find(|other| other.state == PodState::Ready && other.replica == pod.replica);
        if first.is_some_and(|first| first.info.pod == *name) {
            let dead = all.iter().filter(|other| other.state == PodState::Dead && other.replica == pod.replica);
            others.extend(dead.map(|other| other.info.pod.clone()).filter(|name| wanted(name)));
        }
        if !others.is_empty() {
            asking.calls.push((pod.info.clone(), others));
        }
        if wanted(name) && pod.state == PodState::Dead && first.is_none() {
            let why = "it is dead, and no pod is ready that has the same replica".to_owned();
            asking.unasked.push(Unasked { pod: name.clone(), why });
        }
    }
    if let Some(pod) = only.filter(|only| all.iter().all(|pod| pod.info.pod != **only)) {
        asking.unasked.push(Unasked { pod: pod.clone(), why: "it has no replica".to_owned() });
    }
    Ok(asking)
}

async fn needs(State(api): State<Api>, _: Service) -> Result<Json<LineageNeeds>, Problem> {
    let now_ms = api.clock.wall_ms();
    Ok(Json(api.control.read(move |view| view.needs(now_ms)).await?))
}

async fn removal(
    State(api): State<Api>,
    _: Service,
    Body(removal): Body<RemoveLineage>,
) -> Result<Json<MayRemove>, Problem> {
    let (life, now_ms) = (removal.life.clone(), api.clock.wall_ms());
    let may = !api.control.read(move |view| view.needs_life(&life, now_ms)).await?;
    if may {
        let OnBehalf { actor, reason, request_id } = removal.by;
        let by = By { actor, reason: format!("{reason}: {}", removal.why), request_id, key: None };
        api.perform(Errand::new("remove-lineage", removal.lineage, None, by, &MayRemove { may }), false).await?;
    }
    Ok(Json(MayRemove { may }))
}
