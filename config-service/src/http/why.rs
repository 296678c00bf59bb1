//! Why a target is where it is: who owned it before, and what placement would say today.

use super::{
    Api,
    auth::Reader,
    body::{Name, Params},
    docs::{Doc, Routes},
    page::{Cursor, Limit, cut, position, size},
};
use crate::{
    control::{ControlError, View, word},
    planner::{self, Consideration},
};
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use shared::{
    Problem, Revision, TargetId,
    wire::admin::{Candidate, DeciderVerdict, Explanation, History, Ownership},
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
            history_doc.answers::<History>().fails(&["not-found", "bad-cursor", "invalid"]).asks_replica(),
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
    /// Only who owned it then, in milliseconds since the Unix epoch.
    at_ms: Option<u64>,
}

/// How many ownerships are read at once when one is looked for.
const AT_ONCE: usize = 500;

async fn history(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
    Params(page): Params<Page>,
) -> Result<Json<History>, Problem> {
    let (size, before) = (size(page.limit), position::<u64>(page.cursor.as_ref())?.map(Revision));
    if let Some(at_ms) = page.at_ms {
        if i64::try_from(at_ms).is_err() {
            return Err(ControlError::Invalid("at_ms is later than any time that is kept".to_owned()).into());
        }
        let found = owned_at(&api, &target, at_ms).await?;
        let text = || format!("nobody owned {target} then, as far as is remembered");
        let ownerships = vec![found.ok_or_else(|| Problem::not_found(text()))?];
        return Ok(Json(History { ownerships: api.control.told(&target, ownerships).await?, target, next: None }));
    }
    let mut ownerships = api.control.history(target.clone(), before, size + 1).await?;
    if ownerships.is_empty() && before.is_none() {
        return Err(Problem::not_found(format!("nobody ever owned {target}, as far as is remembered")));
    }
    let next = cut(&mut ownerships, size, |last: &Ownership| last.revision);
    Ok(Json(History { ownerships: api.control.told(&target, ownerships).await?, target, next }))
}

/// Finds who owned a target at a time.
async fn owned_at(api: &Api, target: &TargetId, at_ms: u64) -> Result<Option<Ownership>, Problem> {
    let mut before = None;
    loop {
        let page = api.control.history(target.clone(), before, AT_ONCE).await?;
        let (all, last) = (page.len(), page.last().map(|owned| owned.revision));
        if let Some(found) = page.into_iter().find(|owned| owned.since_ms <= at_ms) {
            return Ok(Some(found).filter(|owned| owned.until_ms.is_none_or(|until| at_ms < until)));
        }
        if all < AT_ONCE {
            return Ok(None);
        }
        before = last;
    }
}

async fn explain(
    State(api): State<Api>,
    _: Reader,
    Name(target): Name<TargetId>,
) -> Result<Json<Explanation>, Problem> {
    let (mut told, question) = api
        .control
        .read(move |view| {
            let question = view.model.owner(&target).map(|_| view.question(&target));
            (explanation(view, target), question)
        })
        .await?;
    if let Some(question) = question {
        // A million targets take the planner longer than the leader's task may be away.
        let considered = tokio::task::spawn_blocking(move || question.answer()).await;
        if let Some(considered) = considered.map_err(|_| Problem::internal())? {
            consider(&mut told, considered);
        }
        let newest = api.control.history(told.target.clone(), None, 1).await?;
        told.ownership = api.control.told(&told.target, newest).await?.pop();
        if let Some(plan) = told.ownership.as_ref().and_then(|owned| owned.plan) {
            told.summary.push_str(&format!(", by plan {plan}"));
        }
    }
    Ok(Json(told))
}

/// Adds what the planner says.
fn consider(told: &mut Explanation, considered: Consideration) {
    let Consideration { desired, reason, pods, .. } = considered;
    told.desired = desired;
    told.unwanted = reason.map(|reason| reason.sentence().to_owned());
    for of in pods {
        let Some(candidate) = told.candidates.iter_mut().find(|candidate| candidate.pod == of.pod) else { continue };
        candidate.answer = Some(word(of.answer));
        let verdict = |verdict: planner::Verdict| DeciderVerdict {
            decider: word(verdict.decider),
            answer: word(verdict.answer),
            sentence: verdict.sentence,
            remedy: verdict.remedy,
        };
        candidate.verdicts = of.verdicts.into_iter().map(verdict).collect();
    }
}

/// Puts together what the leader knows about a target's place.
pub(super) fn explanation(view: &View<'_>, target: TargetId) -> Explanation {
    let assignment = view.model.assignment(&target);
    let owner = assignment.as_ref().and_then(|assignment| view.pod(&assignment.pod));
    let candidates: Vec<_> = view
        .candidates(&target)
        .into_iter()
        .map(|seen| {
            let crate::planner::Seen { pod, eligible, score, load, targets, chosen } = seen;
            Candidate { pod, eligible, score, load, targets, chosen, answer: None, verdicts: Vec::new() }
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
                "rebalance" => "it moved there for an even share",
                "pinned" => "an operator has pinned it there",
                "canary" => "it moved to the pods of its track",
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
    let pin = view.model.hold(&target).and_then(|hold| hold.pin.clone());
    Explanation {
        desired: assignment.as_ref().map(|owner| owner.pod.clone()),
        unwanted: None,
        pin,
        ownership: None,
        target,
        assignment,
        owner_state,
        summary,
        candidates,
        revision: view.model.revision(),
    }
}
