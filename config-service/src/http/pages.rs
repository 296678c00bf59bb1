//! The page's routes: reads what the leader knows, asks a target's owner, and sends what `crate::page` renders. Nothing is
//! kept or computed while nobody looks.

mod deeds;
mod door;
mod pass;

#[cfg(test)]
pub(crate) use pass::LASTS as PASS_LASTS;

use super::{
    Api,
    pass_on::{PassOn, as_the_leader_does_it, as_the_leader_shows_it},
    targets::ask_owner,
};
use crate::{
    control::{ControlError, View},
    page::{
        Actions, Changes, Facts, Frame, Listing, Moves, PlansFacts, PodFacts, Standing, TargetFacts,
        content_security_policy, find, notice, overview, plan, plans, pod, target, targets,
    },
    store::{EventFilter, MoveFilter, PlanFilter},
};
use axum::{
    Router,
    extract::{FromRequestParts, Path, Query, State},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use door::Visitor;
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use maud::Markup;
use serde::{Deserialize, de::DeserializeOwned};
use shared::{PlanId, PodId, TargetId, http::Probes, wire::control::AssignmentState};
use std::convert::Infallible;

/// Changes on the first page.
const CHANGES: usize = 12;

/// What people did, on the first page.
const ACTIONS: usize = 8;

/// Moves on the first page, and on a target's.
const MOVES: usize = 10;

/// Ownerships on a target's page.
const OWNERSHIPS: usize = 20;

/// Plans on their page.
const PLANS: usize = 30;

/// Targets on a page of a list.
const LISTED: usize = 50;

/// Where something is asked about, and done.
const DEED: &str = "/do/{what}/{which}/{verb}";

/// What the pages need beside the API. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) api: Api,
    /// Why this process does not lead, when it does not.
    pub(crate) probes: Probes,
    /// Where this process is reached.
    pub(crate) address: String,
}

/// Returns the routes of the page.
pub(crate) fn routes(pages: Pages) -> Router {
    let way = PassOn::new(pages.api.clone(), &[], pages.api.pass_on);
    let done = Router::new()
        .route(DEED, post(deeds::done))
        .route_layer(middleware::from_fn_with_state(way.clone(), as_the_leader_does_it))
        .route_layer(middleware::from_fn_with_state(pages.clone(), door::only_from_here));
    Router::new()
        .route("/targets", get(all_targets))
        .route("/targets/{target}", get(one_target))
        .route("/pods/{pod}", get(one_pod))
        .route("/plans", get(all_plans))
        .route("/plans/{plan}", get(one_plan))
        .route(DEED, get(deeds::ask))
        .route_layer(middleware::from_fn_with_state(way, as_the_leader_shows_it))
        .merge(done)
        .route("/", get(first))
        .route("/sign-in", get(door::ask).post(door::sign_in))
        .route("/sign-out", post(door::sign_out))
        .layer(door::FORM_LIMIT)
        .with_state(pages)
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    after: Option<String>,
    state: Option<String>,
}

impl Asked {
    /// A cursor that is no target's name begins the list anew.
    fn after(&self) -> Option<TargetId> {
        self.after.as_deref()?.parse().ok()
    }

    /// Whether only those targets are asked for that wait for their data.
    fn quarantined(&self) -> bool {
        self.state.as_deref() == Some(AssignmentState::Quarantined.as_str())
    }
}

/// A query string of which nothing is refused: what cannot be read was not asked.
struct Loose<T>(T);

impl<T: DeserializeOwned + Default + Send, S: Send + Sync> FromRequestParts<S> for Loose<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        Ok(Self(query.map(|Query(query)| query).unwrap_or_default()))
    }
}

async fn first(State(pages): State<Pages>, visitor: Visitor, Loose(asked): Loose<Asked>) -> Response {
    let standing = pages.standing(asked.q).await;
    let (changes, actions) = match &standing {
        Standing::Leading(facts) => tokio::join!(pages.changes(facts), pages.actions()),
        _ => (Ok(Vec::new()), Ok(Vec::new())),
    };
    let status = match &standing {
        Standing::Leaderless { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    show(status, &overview(&visitor.frame, &standing, &changes, &actions))
}

async fn all_targets(State(pages): State<Pages>, visitor: Visitor, Loose(asked): Loose<Asked>) -> Response {
    let (after, only) = (asked.after(), asked.quarantined());
    match pages.read(move |view| listing(view, None, only, after)).await {
        Ok(listing) => show(StatusCode::OK, &targets(&visitor.frame, &listing)),
        Err(why) => cannot(&visitor.frame, &why),
    }
}

async fn one_target(State(pages): State<Pages>, visitor: Visitor, Path(name): Path<String>) -> Response {
    let Ok(id) = name.parse::<TargetId>() else { return unknown(&visitor.frame, "target", &name) };
    let read = pages.read(move |view| {
        let assignment = view.model.assignment(&id)?;
        Some(TargetFacts { owner: view.pod(&assignment.pod), assignment, moves: Ok(Vec::new()) })
    });
    match read.await {
        Ok(Some(mut facts)) => {
            facts.moves = pages.moves(&facts.assignment.target).await;
            let id = &facts.assignment.target;
            let owners = pages.api.control.history(id.clone(), None, OWNERSHIPS);
            let (says, owners) = tokio::join!(ask_owner(&pages.api, id), owners);
            let (says, owners) = (says.map_err(|why| why.detail), owners.map_err(|why| why.to_string()));
            show(StatusCode::OK, &target(&visitor.frame, &facts, &says, &owners))
        }
        Ok(None) => unknown(&visitor.frame, "target", &name),
        Err(why) => cannot(&visitor.frame, &why),
    }
}

async fn one_pod(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(name): Path<String>,
    Loose(asked): Loose<Asked>,
) -> Response {
    let Ok(id) = name.parse::<PodId>() else { return unknown(&visitor.frame, "pod", &name) };
    let after = asked.after();
    let read = pages.read(move |view| {
        let status = view.pod(&id)?;
        Some(PodFacts { status, listing: listing(view, Some(&id), false, after) })
    });
    match read.await {
        Ok(Some(facts)) => show(StatusCode::OK, &pod(&visitor.frame, &facts)),
        Ok(None) => unknown(&visitor.frame, "pod", &name),
        Err(why) => cannot(&visitor.frame, &why),
    }
}

async fn all_plans(State(pages): State<Pages>, visitor: Visitor) -> Response {
    let read = pages.read(|view| {
        let paused = crate::domain::Values::new(view.model.settings()).rebalance_paused.is_some();
        (view.canary(), view.rebalance(), paused)
    });
    let (canary, rebalance, paused) = match read.await {
        Ok(read) => read,
        Err(why) => return cannot(&visitor.frame, &why),
    };
    let plans_of = pages.api.control.plans(PlanFilter::default(), PLANS).await.map_err(|why| why.to_string());
    let autoscaler = pages.api.scaling.status().await.ok().map(|status| (*status).clone());
    let facts = PlansFacts { canary, rebalance, paused, autoscaler, plans: plans_of };
    show(StatusCode::OK, &plans(&visitor.frame, &facts))
}

async fn one_plan(State(pages): State<Pages>, visitor: Visitor, Path(name): Path<String>) -> Response {
    let Ok(id) = name.parse::<PlanId>() else { return unknown(&visitor.frame, "plan", &name) };
    match pages.api.control.plan(id).await {
        Ok(found) => show(StatusCode::OK, &plan(&visitor.frame, &found)),
        Err(ControlError::UnknownPlan(_)) => unknown(&visitor.frame, "plan", &name),
        Err(why) => cannot(&visitor.frame, &why),
    }
}

/// Reads one page of a list: a pod's targets, those that wait for their data, or all.
fn listing(view: &View<'_>, pod: Option<&PodId>, quarantined: bool, after: Option<TargetId>) -> Listing {
    let behind = after.as_ref().map(TargetId::as_str);
    let mut targets: Vec<_> = match pod {
        Some(pod) => view.model.assignments_of(pod, behind).take(LISTED + 1).collect(),
        None if quarantined => view.model.quarantined(behind).take(LISTED + 1).collect(),
        None => view.model.assignments(behind).take(LISTED + 1).collect(),
    };
    let more = targets.len() > LISTED;
    targets.truncate(LISTED);
    Listing { targets, quarantined, after, more }
}

impl Pages {
    /// Reads what the leader knows; does not wait for it longer than for anybody.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let read = tokio::time::timeout(self.api.patience, self.api.control.read(read));
        read.await.unwrap_or(Err(ControlError::NotLeader { leader: None }))
    }

    async fn standing(&self, asked: String) -> Standing {
        let (address, late_after) = (self.address.clone(), self.api.leader_lease);
        let facts = self.read(move |view| Facts {
            address,
            term: view.term,
            revision: view.model.revision(),
            confirmed: view.confirmed,
            late_after,
            pods: view.pods().collect(),
            platforms: view.model.targets_by_platform().filter(|(_, targets)| *targets > 0).collect(),
            targets: view.model.len() as u64,
            quarantined: view.model.quarantined_len() as u64,
            stopped: view.stopped(),
            moves: Ok(view.model.moves().rev().take(MOVES).cloned().collect()),
            found: find(view.model, &asked),
        });
        match facts.await {
            Ok(facts) => Standing::Leading(Box::new(facts)),
            Err(ControlError::NotLeader { leader: Some(leader) }) => Standing::Following { leader },
            Err(_) => {
                let closed = self.probes.closed();
                let why = closed.get("leader").map_or("the leader does not answer", String::as_str);
                Standing::Leaderless { why: why.to_owned() }
            }
        }
    }

    async fn moves(&self, target: &TargetId) -> Moves {
        let wanted = MoveFilter { target: Some(target.clone()), ..MoveFilter::default() };
        self.api.control.moves(wanted, MOVES).await.map_err(|why| why.to_string())
    }

    async fn actions(&self) -> Actions {
        self.api.control.events(EventFilter::default(), ACTIONS).await.map_err(|why| why.to_string())
    }

    async fn changes(&self, facts: &Facts) -> Changes {
        let read = self.api.control.changes_up_to(facts.revision, CHANGES);
        let mut changes = read.await.map_err(|why| why.to_string())?;
        changes.reverse();
        changes.truncate(CHANGES);
        Ok(changes)
    }
}

fn unknown(frame: &Frame, what: &str, name: &str) -> Response {
    let sentence =
        format!("There is no {what} called {name}. A name that was cut or mistyped may be found from the overview.");
    show(StatusCode::NOT_FOUND, &notice(frame, &format!("No such {what}"), &sentence))
}

fn cannot(frame: &Frame, why: &ControlError) -> Response {
    let sentence = match why {
        ControlError::NotLeader { leader: Some(leader) } => format!("{why}; {leader} does and knows."),
        _ => format!("{why}; the overview says more."),
    };
    show(StatusCode::SERVICE_UNAVAILABLE, &notice(frame, "Not known here", &sentence))
}

/// Sends a page. Nothing keeps it, frames it, sniffs it or runs in it.
fn show(status: StatusCode, page: &Markup) -> Response {
    const FIXED: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        // With `no-referrer` browsers would leave the origin out of the forms too.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    let policy = [(header::CONTENT_SECURITY_POLICY, content_security_policy())];
    (status, FIXED, policy, page.0.clone()).into_response()
}
