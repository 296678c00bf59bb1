//! What operators do with targets' data: dead letters, journals, exports and erasures. The pods do it; here is who may, and
//! what stands in the audit.

mod letters;

use super::{
    Api,
    auth::{Admin, Operator, Reader},
    body::{Name, Params, Parted},
    change::Change,
    docs::{Doc, Routes},
    owner::Owner,
    page::{Cursor, Limit, position, size},
    problems::unprocessable,
};
use crate::{control::ControlError, control::Errand, domain::By};
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
    Problem, TargetId,
    http::RequestId,
    wire::data::{Decided, Erase, Erased, JournalPage, LetterKind, OnBehalf, Reason, Verb},
};
use std::time::Duration;

/// How much longer than the pod this service waits for the end of an erasure.
const TRAVEL: Duration = Duration::from_secs(2);

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let asked = ["not-found", "owner-unreachable"];
    let decide_doc = Doc::new("Decide about a dead letter")
        .text(
            "`retry`: an event goes back into its target's mailbox, behind what waits there; a call is made again, also one \
             that may have been made before. `drop`: it is shown no more, and kept with who dropped it until its retention \
             is over; `retry` has it back until then.",
        )
        .answers::<Decided>()
        .fails(&["not-found", "owner-unreachable", "not-serving", "mailbox-full", "not-committed"])
        .example(json!({ "reason": "handler mended" }));
    let journal_doc = Doc::new("List a target's events")
        .text("As its owner has committed them, newest first, without headers and bodies.")
        .answers::<JournalPage>()
        .fails(&["bad-cursor"]);
    let export_doc = Doc::new("Export a target")
        .text(
            "Everything its owner has of it at one moment, as JSON lines: a head, a line per row, and an end with the \
             number of rows and the SHA-256 of every byte before it. Without that line it is not whole. It holds what \
             people wrote.",
        )
        .answers_as("application/jsonl")
        .fails(&["too-many-exports"]);
    let erase_doc = Doc::new("Erase a target")
        .text(
            "Deletes everything its owner has of it, for good, and says what remains where. `confirm` is the target's name \
             once more. When `done` is false, it goes on by itself, also through a restart of the pod.",
        )
        .answers::<Erased>()
        .fails(&["not-confirmed", "not-serving", "not-committed"])
        .example(json!({ "reason": "the guild asked for it", "confirm": "discord:guild:81384788765712384" }));
    letters::routes(routes)
        .post("/v1/dead-letters/{target}/{kind}/{seq}/{verb}", decide, decide_doc.asks_leader())
        .get("/v1/targets/{target}/events", journal, journal_doc.fails(&asked).asks_replica())
        .get("/v1/targets/{target}/export", export, export_doc.fails(&asked).asks_replica())
        .post("/v1/targets/{target}/erase", erase, erase_doc.fails(&asked).asks_leader())
}

/// A dead letter, and what is to become of it.
#[derive(Debug, Deserialize, JsonSchema)]
struct Letter {
    /// The target.
    target: TargetId,
    /// `events` or `calls`.
    kind: Plural,
    /// Its place in the target's journal or outbox.
    seq: u64,
    /// `retry` or `drop`.
    verb: Verb,
}

/// The word of paths for a kind.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Plural {
    Events,
    Calls,
}

async fn decide(
    State(api): State<Api>,
    Parted(letter): Parted<Letter>,
    change: Change<Operator, Reason>,
) -> Result<Json<Decided>, Problem> {
    let Letter { target, kind, seq, verb } = letter;
    let kind = match kind {
        Plural::Events => LetterKind::Event,
        Plural::Calls => LetterKind::Call,
    };
    let (name, action) = (
        format!("{target}/{}/{seq}", kind.plural()),
        match verb {
            Verb::Retry => "retry-dead-letter",
            Verb::Drop => "drop-dead-letter",
        },
    );
    let owner = Owner::of(&api, &target).await?;
    if change.dry_run {
        return letters::find(&owner, &target, kind, seq, verb).await.map(Json);
    }
    let path = format!("/v1/local/targets/{target}/dead/{}/{seq}/{}", kind.plural(), verb.word());
    let decided: Decided = owner.post(&path, &on_behalf(&change.by)).await?;
    api.perform(Errand::new(action, name, None, change.by.clone(), &decided), false).await?;
    Ok(Json(decided))
}

fn on_behalf(by: &By) -> OnBehalf {
    OnBehalf { actor: by.actor.clone(), reason: by.reason.clone(), request_id: by.request_id.clone() }
}

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Most events of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn journal(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
    Params(window): Params<Window>,
) -> Result<Json<JournalPage>, Problem> {
    let (size, before) = (size(window.limit), position::<u64>(window.cursor.as_ref())?);
    let before = before.map(|before| format!("&cursor={before}")).unwrap_or_default();
    let path = format!("/v1/local/targets/{target}/events?limit={size}{before}");
    let mut page: JournalPage = Owner::of(&api, &target).await?.get(&path).await?;
    page.next = page.next.map(|next| Cursor::after(&next));
    Ok(Json(page))
}

async fn export(
    State(api): State<Api>,
    Admin(actor): Admin,
    Name(target): Name<TargetId>,
    request_id: Option<Extension<RequestId>>,
) -> Result<Response, Problem> {
    let owner = Owner::of(&api, &target).await?;
    let request_id = request_id.map(|Extension(id)| id.to_string()).unwrap_or_default();
    let by = By { actor: actor.name, reason: String::new(), request_id, key: None };
    // Who reads what people wrote stands in the audit before the first byte of it leaves.
    api.perform(Errand::new("export-target", target.as_str(), None, by, &()), false).await?;
    let body = owner.stream(&format!("/v1/local/targets/{target}/export")).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::new(body)).into_response())
}

async fn erase(
    State(api): State<Api>,
    Name(target): Name<TargetId>,
    change: Change<Admin, Erase>,
) -> Result<Json<Erased>, Problem> {
    if change.body.confirm != target {
        let text = format!("`confirm` is to be {target}, the target's name; nothing was erased");
        return Err(unprocessable("not-confirmed", &text));
    }
    let owner = Owner::of(&api, &target).await?.patient(api.erase_wait + TRAVEL);
    if change.dry_run {
        let state: shared::wire::control::TargetState = owner.get(&format!("/v1/local/targets/{target}/state")).await?;
        let (pod, epoch, rows) = (state.pod, state.epoch, Default::default());
        let remains = vec!["everything: nothing was erased".to_owned()];
        return Ok(Json(Erased { target, pod, epoch, done: false, rows, remains }));
    }
    // Asked for, and later done: each stands in the audit.
    let asked = By { key: None, ..change.by.clone() };
    api.perform(Errand::new("erase-target", target.as_str(), None, asked, &()), false).await?;
    let path = format!("/v1/local/targets/{target}/erase?wait_ms={}", api.erase_wait.as_millis());
    let mut erased: Erased = owner.post(&path, &on_behalf(&change.by)).await?;
    erased.remains.extend(remains(&api)?);
    if erased.done {
        api.perform(Errand::new("target-erased", target.as_str(), None, change.by.clone(), &erased), false).await?;
    }
    Ok(Json(erased))
}

/// What an erasure on the pod does not reach.
fn remains(api: &Api) -> Result<Vec<String>, Problem> {
    let standing = api.control.standing().ok_or_else(|| ControlError::NotLeader { leader: api.control.leader() })?;
    let days = |time: Duration| format!("{} days", time.as_secs().div_ceil(24 * 60 * 60));
    let (history, audit) = (days(standing.values.history), days(standing.values.audit));
    Ok(vec![
        "in config-service: who owns the target, since when and why, as long as it is assigned".to_owned(),
        format!("in config-service: who owned it before, for {history} (setting history-retention)"),
        format!("in config-service: who asked for this and why, for {audit} (setting audit-retention)"),
        "copies of the pod's data folder and exports that somebody made; this version keeps no replicas".to_owned(),
        "what was sent to the platform and to others already".to_owned(),
    ])
}
