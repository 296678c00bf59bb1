//! The HTTP interface: which routes there are. Each comes with its documentation (`docs`), from which the description of the
//! API is made (`openapi`). Who may do what stands in each handler's arguments (`auth`, `change`), what errors read like in
//! `problems`; deciding is `control`'s.

mod auth;
mod body;
mod canary;
mod change;
mod data;
mod discord;
mod docs;
mod events;
mod gone;
mod leader;
mod lineages;
mod moves;
mod openapi;
mod owner;
mod page;
mod pages;
mod pass_on;
mod plans;
mod pods;
mod problems;
mod proposal;
mod quarantine;
mod replication;
mod scale;
mod settings;
mod targets;
mod tokens;
mod watch;
mod why;

pub(crate) use change::Turns;
#[cfg(test)]
pub(crate) use pages::PASS_LASTS;
pub(crate) use pages::{Pages, routes as page_routes};

use crate::control::{Control, ControlError, Errand};
use crate::identify::Identify;
use crate::rest::Rest;
use crate::scale::Scaling;
use axum::{Json, Router, extract::DefaultBodyLimit, middleware};
use docs::{Doc, Routes};
use shared::{
    Clock, Problem, Revision,
    http::{RequestIds, Tokens, identified},
};
use std::{sync::Arc, time::Duration};

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// The way to the leader.
    pub(crate) control: Control,
    /// How many pods run.
    pub(crate) scaling: Scaling,
    /// How often the bot may identify on Discord.
    pub(crate) identify: Identify,
    /// How many requests pods may make to Discord.
    pub(crate) rest: Rest,
    /// Tokens of the services.
    pub(crate) service: Arc<Tokens>,
    /// Tokens of the operators.
    pub(crate) admin: Arc<Tokens>,
    /// The wall clock, for what ends.
    pub(crate) clock: Arc<dyn Clock>,
    /// The changes under way that have an `Idempotency-Key`.
    pub(crate) turns: Turns,
    /// Where this process is reached.
    pub(crate) address: Arc<str>,
    /// Whether reading takes no token.
    pub(crate) open_reads: bool,
    /// How long the end of an erasure is waited for.
    pub(crate) erase_wait: Duration,
    /// The largest body.
    pub(crate) max_body: usize,
    /// How long a body may take, and a pod that is asked.
    pub(crate) patience: Duration,
    /// Most requests passed on to the leader at once.
    pub(crate) pass_on: usize,
    /// How long a term lasts without being renewed.
    pub(crate) leader_lease: Duration,
}

impl Api {
    /// Does an errand, or only says whether it could be done. Returns the newest revision.
    async fn perform(&self, errand: Errand, dry_run: bool) -> Result<Revision, ControlError> {
        if !dry_run {
            return self.control.errand(errand).await;
        }
        self.control.read(move |view| view.would_do(&errand).map(|()| view.model.revision())).await?
    }
}

/// Every route with its documentation.
fn all() -> Routes {
    let parts = [
        pods::routes,
        gone::routes,
        targets::routes,
        moves::routes,
        plans::routes,
        canary::routes,
        why::routes,
        data::routes,
        quarantine::routes,
        replication::routes,
        lineages::routes,
        events::routes,
        leader::routes,
        settings::routes,
        tokens::routes,
        watch::routes,
        scale::routes,
        discord::routes,
        proposal::routes,
    ];
    let routes = parts.into_iter().fold(Routes::new(), |all, routes| routes(all));
    routes
        .mention("/healthz", Doc::new("Say that the process runs").answers_as("text/plain"))
        .mention("/readyz", Doc::new("Say whether this process leads, or follows closely").answers_as("text/plain"))
        .mention("/metrics", Doc::new("Give the metrics to Prometheus").answers_as("application/openmetrics-text"))
        .mention("/openapi.json", Doc::new("Describe this API").answers::<serde_json::Value>())
}

/// Returns every door of the API: method, path, and who may pass.
#[cfg(test)]
pub(crate) fn doors() -> Vec<(http::Method, &'static str, &'static str)> {
    let (_, docs) = all().into_parts();
    docs.into_iter().map(|doc| (doc.method, doc.path, doc.access.as_str())).collect()
}

/// Returns the routes.
pub(crate) fn routes(api: Api) -> Router {
    let limit = DefaultBodyLimit::max(api.max_body);
    let (router, docs) = all().into_parts();
    let description = Json(openapi::describe(&docs));
    let way = pass_on::PassOn::new(api.clone(), &docs, api.pass_on);
    router
        .route_layer(middleware::from_fn_with_state(way, pass_on::pass_on))
        .route("/openapi.json", axum::routing::get(async move || description))
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
        })
        .layer(limit)
        .with_state(api)
}

/// Gives every request its id; put around all routes, the probes' too.
pub(crate) fn with_request_ids(router: Router) -> Router {
    router.layer(middleware::from_fn_with_state(RequestIds::default(), identified))
}

#[cfg(test)]
mod tests;
