//! What somebody does on a page. Each deed is shown first, with what it would mean; a form with a reason does it, in the name of
//! the token that the pass was made with, and as far as its role goes. The same ways through `control` as the API's.

use super::{Pages, Path, cannot, door, show, unknown};
use crate::{
    control::{ControlError, Marking, View},
    domain::{By, Edit, Setting, SettingRecord},
    http::{auth::Actor, change::writable, settings},
    page::{DeedFacts, deed, notice},
    store::MoveFilter,
};
use axum::{
    Form,
    extract::{FromRequest, Request, State},
    response::Response,
};
use door::Visitor;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use shared::http::RequestId;
use shared::wire::admin::{MAX_REASON, MakePlan, PlanHead, PlanKind, PlanState, Role};
use shared::wire::control::PodState;
use shared::{MoveId, PlanId, PodId, Problem, Revision};
use std::{cmp::Reverse, collections::BTreeMap};

/// The setting that pauses the look for an even share.
const PAUSED: &str = "rebalance-paused";

/// What can be done on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    Mark(PodId, Marking),
    Apply(PlanId),
    End(PlanId),
    Cancel(MoveId),
    /// The look for an even share is paused, or goes on.
    Pause(bool),
}

impl Deed {
    /// Reads it from the parts of a path.
    fn of((what, which, verb): &(String, String, String)) -> Option<Self> {
        Some(match (what.as_str(), verb.as_str()) {
            ("pod", "cordon") => Self::Mark(which.parse().ok()?, Marking::Cordon),
            ("pod", "uncordon") => Self::Mark(which.parse().ok()?, Marking::Uncordon),
            ("pod", "drain") => Self::Mark(which.parse().ok()?, Marking::Drain),
            ("pod", "undrain") => Self::Mark(which.parse().ok()?, Marking::Undrain),
            ("plan", "apply") => Self::Apply(which.parse().ok()?),
            ("plan", "discard" | "cancel") => Self::End(which.parse().ok()?),
            ("move", "cancel") => Self::Cancel(which.parse().ok()?),
            ("rebalance", "pause") if which == "all" => Self::Pause(true),
            ("rebalance", "resume") if which == "all" => Self::Pause(false),
            _ => return None,
        })
    }
}

/// `GET /do/{what}/{which}/{verb}`: asks whether it is to be done.
pub(super) async fn ask(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(path): Path<(String, String, String)>,
) -> Response {
    let Some(deed) = Deed::of(&path) else { return unknown(&visitor.frame, "action", &path.2) };
    pages.shown(&visitor, &deed, &path, StatusCode::OK, None).await
}

#[derive(Debug, Default, Deserialize)]
struct Filled {
    #[serde(default)]
    reason: String,
    revision: Option<u64>,
}

/// `POST /do/{what}/{which}/{verb}`: does it.
pub(super) async fn done(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(path): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let Some(deed) = Deed::of(&path) else { return unknown(&visitor.frame, "action", &path.2) };
    let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let filled = tokio::time::timeout(pages.api.patience, Form::<Filled>::from_request(request, &pages)).await;
    let Filled { reason, revision } = filled.ok().and_then(Result::ok).map(|Form(filled)| filled).unwrap_or_default();
    let tried = match pages.may(&visitor) {
        Ok(actor) => match because(&reason) {
            Ok(reason) => {
                let by = By { actor: actor.name.clone(), reason: reason.to_owned(), request_id, key: None };
                pages.perform(&deed, revision.map(Revision), by).await
            }
            Err(why) => Err(why),
        },
        Err(why) => Err(why),
    };
    match tried {
        Ok(()) => door::see_other(&back(&deed)),
        Err(why) => {
            let status = StatusCode::from_u16(why.status).unwrap_or(StatusCode::CONFLICT);
            pages.shown(&visitor, &deed, &path, status, Some((why, reason))).await
        }
    }
}

/// Says that a form came from somewhere else.
pub(super) fn from_elsewhere(frame: &crate::page::Frame) -> Response {
    let sentence = "This form was not sent from this page. Nothing was done; go back, and send it from here.";
    show(StatusCode::FORBIDDEN, &notice(frame, "Not done", sentence))
}

fn because(reason: &str) -> Result<&str, Problem> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
        return Err(Problem::bad_request("say why, in at most 1000 characters"));
    }
    Ok(reason)
}

/// Where to go afterwards.
fn back(deed: &Deed) -> String {
    match deed {
        Deed::Mark(pod, _) => format!("/pods/{pod}"),
        Deed::Apply(id) | Deed::End(id) => format!("/plans/{id}"),
        Deed::Cancel(_) => "/".to_owned(),
        Deed::Pause(_) => "/plans".to_owned(),
    }
}

impl Pages {
    /// Says who does it.
    ///
    /// # Errors
    /// Nobody may here, or not with that token.
    fn may<'v>(&self, visitor: &'v Visitor) -> Result<&'v Actor, Problem> {
        let forbidden = |text: String| Problem::new(StatusCode::FORBIDDEN, "forbidden", text);
        let Some(actor) = visitor.actor() else {
            return Err(forbidden("sign in with a token of role operator for that".to_owned()));
        };
        if actor.role < Role::Operator {
            return Err(forbidden(format!("{} has role {}; this takes role operator", actor.name, actor.role)));
        }
        self.api.control.standing().map_or(Ok(()), |standing| writable(&standing))?;
        Ok(actor)
    }

    /// Shows what it would mean, and why it was not done when it was tried.
    async fn shown(
        &self,
        visitor: &Visitor,
        what: &Deed,
        path: &(String, String, String),
        status: StatusCode,
        tried: Option<(Problem, String)>,
    ) -> Response {
        match self.facts(what).await {
            Ok(facts) => {
                let (wrong, reason) = tried.unzip();
                let facts = DeedFacts {
                    path: format!("/do/{}/{}/{}", path.0, path.1, path.2),
                    back: back(what),
                    refused: self.may(visitor).err().map(|why| why.detail),
                    wrong: wrong.map(|why| why.detail),
                    reason: reason.unwrap_or_default(),
                    ..facts
                };
                show(status, &deed(&visitor.frame, &facts))
            }
            Err(ControlError::UnknownPod(_) | ControlError::UnknownPlan(_) | ControlError::UnknownMove(_)) => {
                unknown(&visitor.frame, &path.0, &path.1)
            }
            Err(why) => cannot(&visitor.frame, &why),
        }
    }

    async fn perform(&self, deed: &Deed, revision: Option<Revision>, by: By) -> Result<(), Problem> {
        let control = &self.api.control;
        match deed.clone() {
            Deed::Mark(pod, marking) => control.mark(pod, marking, by).await.map(drop)?,
            Deed::Apply(id) => {
                let seen = revision.ok_or_else(|| Problem::bad_request("which revision of the plan was looked at?"))?;
                control.apply_plan(id, seen, by, false).await.map(drop)?;
            }
            Deed::End(id) => control.end_plan(id, by).await.map(drop)?,
            Deed::Cancel(id) => control.cancel_move(id, by).await.map(drop)?,
            Deed::Pause(paused) => {
                let setting = Setting::named(PAUSED).ok_or_else(|| Problem::not_found("there is no such setting"))?;
                let value = json!(paused);
                let (name, actor, reason) = (setting.name.to_owned(), by.actor.clone(), by.reason.clone());
                let record =
                    || Ok(SettingRecord { name: name.clone(), value: setting.check(&value)?, actor, reason, at_ms: 0 });
                let edit = match paused {
                    true => Edit::Set(record().map_err(|why: String| Problem::bad_request(why))?),
                    false => Edit::Clear(name.clone()),
                };
                drop(settings::apply(&self.api, setting, value.clone(), edit, by, false).await?);
            }
        }
        Ok(())
    }

    /// Says what it would mean.
    async fn facts(&self, deed: &Deed) -> Result<DeedFacts, ControlError> {
        match deed {
            Deed::Mark(pod, marking) => self.marking(pod, *marking).await,
            Deed::Apply(id) => {
                let PlanHead { kind, cost, revision, warnings, drains, state, .. } =
                    self.api.control.plan(*id).await?.head;
                let mut means = vec![format!(
                    "{} targets move by it; the fullest pod has {:.2} of the mean now, and {:.2} then.",
                    cost.targets, cost.skew_before, cost.skew_after
                )];
                means.extend(drains.iter().map(|pod| format!("{pod} is drained by it.")));
                if state != PlanState::Proposed {
                    means.push(format!("It is {} already.", state.as_str()));
                }
                Ok(DeedFacts {
                    name: format!("Apply {} plan {id}", kind.as_str()),
                    means,
                    minds: warnings.into_iter().map(|warning| format!("{warning}.")).collect(),
                    revision: Some(revision),
                    line: format!("berth plan apply {id} --revision {revision} --reason …"),
                    ..DeedFacts::default()
                })
            }
            Deed::End(id) => {
                let PlanHead { kind, state, .. } = self.api.control.plan(*id).await?.head;
                let (verb, word, means) = match state {
                    PlanState::Proposed => ("Discard", "discard", "Nothing has moved by it, and nothing will."),
                    _ => (
                        "Call off",
                        "cancel",
                        "No move of it begins any more. Those that have frozen their targets end; the others are called off, and their sources serve on. Drains that it began end.",
                    ),
                };
                Ok(DeedFacts {
                    name: format!("{verb} {} plan {id}", kind.as_str()),
                    means: vec![means.to_owned()],
                    line: format!("berth plan {word} {id} --reason …"),
                    ..DeedFacts::default()
                })
            }
            Deed::Cancel(id) => {
                let wanted = MoveFilter { ids: Some(vec![*id]), ..MoveFilter::default() };
                let found = self.api.control.moves(wanted, 1).await?.pop().ok_or(ControlError::UnknownMove(*id))?;
                Ok(DeedFacts {
                    name: format!("Call off move {id}"),
                    means: vec![format!(
                        "{} stays at {} and is served there. The move to {} is {}.",
                        found.target,
                        found.from,
                        found.to,
                        found.state.as_str()
                    )],
                    line: format!("berth move cancel {id} --reason …"),
                    ..DeedFacts::default()
                })
            }
            Deed::Pause(paused) => {
                let (name, means, word) = if *paused {
                    (
                        "Pause rebalancing",
                        "Nothing moves by itself for an even share until somebody resumes it. Drains, failovers and plans that you apply go on.",
                        "pause",
                    )
                } else {
                    (
                        "Resume rebalancing",
                        "The leader looks again by itself whether every pod has its share, and moves what is beyond.",
                        "resume",
                    )
                };
                let line = format!("berth rebalance {word} --reason …");
                Ok(DeedFacts { name: name.to_owned(), means: vec![means.to_owned()], line, ..DeedFacts::default() })
            }
        }
    }

    async fn marking(&self, pod: &PodId, marking: Marking) -> Result<DeedFacts, ControlError> {
        let asked = pod.clone();
        let (targets, highest) = self
            .read(move |view: &View<'_>| {
                let targets = view.pod(&asked).map(|status| status.targets);
                let alive = view.pods().filter(|status| status.state != PodState::Dead);
                (targets, alive.map(|status| status.info.pod).max_by_key(PodId::ordinal))
            })
            .await?;
        let targets = targets.ok_or_else(|| ControlError::UnknownPod(pod.clone()))?;
        let what = if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") };
        let means = match marking {
            Marking::Cordon => {
                format!("{pod} gets no new targets. It keeps what it has ({what}), and serves it.")
            }
            Marking::Uncordon => format!("{pod} gets new targets again."),
            Marking::Drain => format!(
                "Everything moves away from {pod}: {what}. Each is served all the time but for a short pause. This stands until it is taken back, also when the pod restarts."
            ),
            Marking::Undrain => format!(
                "{pod} keeps what it still has ({what}), and gets new targets. What has moved stays where it is."
            ),
        };
        let verb = marking.as_str();
        let mut facts = DeedFacts {
            name: format!("{}{} {pod}", verb[..1].to_uppercase(), &verb[1..]),
            means: vec![means],
            line: format!("berth pod {verb} {pod} --reason …"),
            ..DeedFacts::default()
        };
        if marking == Marking::Drain {
            (facts.shares, facts.minds) = self.emptied(pod).await?;
            if let Some(highest) = highest.filter(|highest| highest != pod) {
                facts.minds.push(format!(
                    "A StatefulSet that gets fewer replicas removes the pod with the highest number, and that is {highest}, not {pod}. To have fewer pods, use `berth scale to`; a drain is for a pod that is repaired or replaced."
                ));
            }
        }
        Ok(facts)
    }

    /// Says where a pod's targets would go, most first, and what to mind of that.
    async fn emptied(&self, pod: &PodId) -> Result<(Vec<(PodId, u64)>, Vec<String>), ControlError> {
        let make = MakePlan {
            kind: PlanKind::Drain,
            pod: Some(pod.clone()),
            target: None,
            pods: None,
            until_ms: None,
            share: None,
            targets: Vec::new(),
            reason: String::new(),
        };
        // Nobody hears of a plan that is only shown.
        let by = By { actor: String::new(), reason: String::new(), request_id: String::new(), key: None };
        let plan = self.api.control.make_plan(make, by, true).await?;
        let mut shares = BTreeMap::<PodId, u64>::new();
        for step in plan.moves.iter().filter(|step| step.from == *pod) {
            *shares.entry(step.to.clone()).or_default() += 1;
        }
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by_key(|(_, targets)| Reverse(*targets));
        Ok((shares, plan.head.warnings.into_iter().map(|warning| format!("{warning}.")).collect()))
    }
}
