//! Rows of targets that pods have put aside: what there is, export, and their end. The pods hold them and say when they may
//! go; here is who may ask, and what stands in the audit.

use super::{
    Api,
    auth::{Admin, Reader},
    body::{Name, Params, Parted},
    change::Change,
    docs::{Doc, Routes},
    owner::Owner,
    page::{Cursor, Limit, position, size},
};
use crate::{control::Errand, domain::By};
use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use shared::{
    PodId, Problem,
    http::RequestId,
    wire::data::OnBehalf,
    wire::quarantine::{Aside, AsideDropped, Asides, DropAside, DropOrder},
};
use std::time::Duration;

/// Copies on a page of a pod's list at most: it counts the rows of each.
const MOST: usize = 100;
/// How long a pod may count, or delete.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let asked = ["not-found", "owner-unreachable"];
    let list_doc = Doc::new("List the rows that a pod has put aside")
        .text(
            "Copies of targets that another pod was given without this pod's release: why, since when, how large, and whether \
             the target's owner knows everything that was acknowledged here.",
        )
        .answers::<Asides>()
        .fails(&["bad-cursor"]);
    let export_doc = Doc::new("Export rows that a pod has put aside")
        .text("In the form of a target's export. It holds what people wrote.")
        .answers_as("application/jsonl")
        .fails(&["too-many-exports"]);
    let drop_doc = Doc::new("Delete rows that a pod has put aside")
        .text(
            "For good. Refused while something that was acknowledged here may be nowhere else, or while they are younger than \
             the pod's `--quarantine-retention`, unless `i_know` is true.",
        )
        .answers::<AsideDropped>()
        .fails(&["still-needed", "not-committed"])
        .example(json!({ "reason": "looked through, nothing missing" }));
    routes
        .get("/v1/pods/{pod}/quarantine", list, list_doc.fails(&asked).asks_leader())
        .get("/v1/pods/{pod}/quarantine/{copy}/export", export, export_doc.fails(&asked).asks_leader())
        .post("/v1/pods/{pod}/quarantine/{copy}/drop", drop, drop_doc.fails(&asked).asks_leader())
}

/// Which copies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Most copies of the page; 100 when it is left out, which is the most.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

/// One copy.
#[derive(Debug, Deserialize, JsonSchema)]
struct One {
    /// The pod.
    pod: PodId,
    /// The copy's number there.
    copy: u64,
}

async fn list(
    State(api): State<Api>,
    _: Reader,
    Name(pod): Name<PodId>,
    Params(window): Params<Window>,
) -> Result<Json<Asides>, Problem> {
    let (size, after) = (size(window.limit).min(MOST), position::<u64>(window.cursor.as_ref())?);
    let mut page = page(&Owner::named(&api, &pod).await?, size, after).await?;
    page.next = page.next.map(|next| Cursor::after(&next));
    Ok(Json(page))
}

async fn page(pod: &Owner, size: usize, after: Option<u64>) -> Result<Asides, Problem> {
    let after = after.map(|after| format!("&cursor={after}")).unwrap_or_default();
    pod.get(&format!("/v1/local/quarantine?limit={size}{after}")).await
}

/// Finds one copy.
async fn find(pod: &Owner, one: &One) -> Result<Aside, Problem> {
    let found = page(pod, 1, one.copy.checked_sub(1)).await?.items.into_iter().find(|aside| aside.copy == one.copy);
    found.ok_or_else(|| Problem::not_found(format!("{} has put nothing aside under the number {}", one.pod, one.copy)))
}

/// What a copy is called in the audit.
fn name(one: &One, aside: &Aside) -> String {
    format!("{}/{}/{}", one.pod, one.copy, aside.target)
}

async fn export(
    State(api): State<Api>,
    Admin(actor): Admin,
    Parted(one): Parted<One>,
    request_id: Option<Extension<RequestId>>,
) -> Result<Response, Problem> {
    let pod = Owner::named(&api, &one.pod).await?.patient(PATIENCE);
    let aside = find(&pod, &one).await?;
    let request_id = request_id.map(|Extension(id)| id.to_string()).unwrap_or_default();
    let by = By { actor: actor.name, reason: String::new(), request_id, key: None };
    // Who reads what people wrote stands in the audit before the first byte of it leaves.
    api.perform(Errand::new("export-quarantined", name(&one, &aside), None, by, &()), false).await?;
    let body = pod.stream(&format!("/v1/local/quarantine/{}/export", one.copy)).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::new(body)).into_response())
}

async fn drop(
    State(api): State<Api>,
    Parted(one): Parted<One>,
    change: Change<Admin, DropAside>,
) -> Result<Json<AsideDropped>, Problem> {
    let pod = Owner::named(&api, &one.pod).await?.patient(PATIENCE);
    let aside = find(&pod, &one).await?;
    if change.dry_run {
        let (copy, target, rows) = (one.copy, aside.target, Default::default());
        return Ok(Json(AsideDropped { pod: one.pod, copy, target, done: false, rows }));
    }
    let (actor, reason) = (change.by.actor.clone(), change.by.reason.clone());
    let by = OnBehalf { actor, reason, request_id: change.by.request_id.clone() };
    let order = DropOrder { by, i_know: change.body.i_know };
    let dropped: AsideDropped = pod.post(&format!("/v1/local/quarantine/{}/drop", one.copy), &order).await?;
    let action = if change.body.i_know { "drop-quarantined-i-know" } else { "drop-quarantined" };
    api.perform(Errand::new(action, name(&one, &aside), None, change.by.clone(), &dropped), false).await?;
    Ok(Json(dropped))
}
