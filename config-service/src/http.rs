//! The HTTP interface: routes only. Who may do what stands in each handler's arguments (`auth`), what errors read like in
//! `problems`; deciding is `control`'s.

mod auth;
mod body;
mod pages;
mod pods;
mod problems;
mod proposal;
mod targets;
mod watch;

#[cfg(test)]
pub(crate) use pages::PASS_LASTS;
pub(crate) use pages::{Pages, routes as page_routes};

use crate::control::Control;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use shared::{Problem, http::Tokens};
use std::{sync::Arc, time::Duration};

/// What every handler may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// The way to the leader.
    pub(crate) control: Control,
    /// Tokens of the services.
    pub(crate) service: Arc<Tokens>,
    /// Tokens of the operators.
    pub(crate) admin: Arc<Tokens>,
    /// Whether reading takes no token.
    pub(crate) open_reads: bool,
    /// The largest body.
    pub(crate) max_body: usize,
    /// How long a body may take, and a pod that is asked.
    pub(crate) patience: Duration,
}

/// Returns the routes.
pub(crate) fn routes(api: Api) -> Router {
    let limit = DefaultBodyLimit::max(api.max_body);
    Router::new()
        .route("/v1/pods/register", post(pods::register))
        .route("/v1/pods/{pod}/heartbeat", post(pods::heartbeat))
        .route("/v1/pods/{pod}/accept-data-loss", post(pods::accept_data_loss))
        .route("/v1/pods", get(pods::list))
        .route("/v1/pods/{pod}", get(pods::get))
        .route("/v1/targets/place", post(targets::place))
        .route("/v1/targets", get(targets::list))
        .route("/v1/targets/{target}", get(targets::get))
        .route("/v1/targets/{target}/state", get(targets::state))
        .route("/v1/watch", get(watch::watch))
        .route("/health", get(proposal::health))
        .route("/guild-assignments", get(proposal::guild_assignments))
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
        })
        .layer(limit)
        .with_state(api)
}
