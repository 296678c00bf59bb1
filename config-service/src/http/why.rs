//! Why a target is where it is: who owned it before, and what placement would say today.

use super::{
    Api,
    auth::Reader,
    body::{Name, Params},
    docs::{Doc, Routes},
    page::{Cursor, Limit, cut, position, size},
};
use crate::control::View;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use shared::{
    Problem, Revision, TargetId,
    wire::admin::{Candidate, Explanation, History, Ownership},
};

/// Adds the routes.
pub(super) fn routes(routes: Routes) -> Routes {
    let history_doc = Doc::new("List who owned a target")
        .text("Newest first. An ownership that is over is kept for as long as the setting `history-retention` says.");
    let explain_doc = Doc::new("Explain where a target is").text(
        "Also for a target that has no home: `candidates` says what placement would do. Nothing is placed by asking.",
    );
    routes
        .get(
            "/v1/targets/{target}/history",
            history,
            history_doc.answers::<History>().fails(&["not-found", "bad-cursor"]).asks_replica(),
        )
        .get("/v1/targets/{target}/explain", explain, explain_doc.answers::<Explanation>().asks_leader())
}

/// Which part of the history.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// Most entries of the page; 100 when it is left out.
    limit: Option<Limit>,
    /// Where the page before ended.
    cursor: Option<Cursor>,
}

async fn history(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
    Params(page): Params<Page>,
) -> Result<Json<History>, Problem> {
    let (size, before) = (size(page.limit), position::<u64>(page.cursor.as_ref())?.map(Revision));
    let mut ownerships = api.control.history(target.clone(), before, size + 1).await?;
    if ownerships.is_empty() && before.is_none() {
        return Err(Problem::not_found(format!("nobody ever owned {target}, as far as is remembered")));
    }
    let next = cut(&mut ownerships, size, |last: &Ownership| last.revision);
    Ok(Json(History { target, ownerships, next }))
}

async fn explain(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(api.control.read(move |view| explanation(view, target)).await?))
}

/// Puts together what the leader knows about a target's place.
pub(super) fn explanation(view: &View<'_>, target: TargetId) -> Explanation {
    let assignment = view.model.assignment(&target).cloned();
    let owner = assignment.as_ref().and_then(|assignment| view.pod(&assignment.pod));
    let candidates: Vec<_> = view
        .candidates(&target)
        .into_iter()
        .map(|seen| {
            let crate::planner::Seen { pod, eligible, score, load, targets, chosen } = seen;
            Candidate { pod, eligible, score, load, targets, chosen }
        })
        .collect();
    let summary = match (&assignment, candidates.first().filter(|first| first.chosen)) {
        (Some(assignment), _) => {
            let why = match assignment.reason.as_str() {
                "first-contact" => "it was placed there when it was first heard of, and stays",
                "never-begun" => {
                    "the pod it was given to died before it heard of it, and it began there when that was back"
                }
                "data-loss-accepted" => "an operator accepted that its data was lost, and it began anew there",
                "manual" => "an operator moved it there",
                "with-parent" => "its guild moved there",
                "drain" => "the pod it was at was drained",
                other => other,
            };
            let moving = view.model.move_of(&target).filter(|entry| entry.from == assignment.pod);
            let moving = moving.map(|entry| format!("; it is moving to {}: {}", entry.to, entry.state.as_str()));
            format!("{target} is on {}: {why}{}", assignment.pod, moving.unwrap_or_default())
        }
        (None, Some(first)) => format!("{target} has no home yet; it would be placed on {}", first.pod),
        (None, None) => format!("{target} has no home yet, and no pod is ready to take it"),
    };
    let owner_state = owner.map(|owner| owner.state);
    Explanation { target, assignment, owner_state, summary, candidates, revision: view.model.revision() }
}
