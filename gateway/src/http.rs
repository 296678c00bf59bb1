//! The pod's listener: probes, the local API and the routers' links on one port. Decides who may ask what; maps errors to
//! problems. Knows no database.

mod aside;
mod data;
mod discord;
mod door;
mod handoff;
mod late;
mod link;
mod listing;
pub(crate) mod local;
mod owned;
mod peers;
mod provenance;
mod replication;
mod state;
mod web;

pub(crate) use door::Door;
#[cfg(test)]
pub(crate) use handoff::{received, received_all};
pub(crate) use link::{Answerer, Bounds, Links};
pub(crate) use peers::Peers;

use crate::{discord::Shards, drill::Drills, handoff::Handoffs, readiness::Readiness, retention::Retention, web::Web};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    extract::FromRequestParts,
    extract::Request,
    extract::State,
    middleware,
    routing::{any, get, post},
};
use http::{StatusCode, request::Parts};
use shared::{
    Problem,
    http::{Probes, Tokens, Trust, relay::WEB_ROUTE, traced, traced_as},
    telemetry::Metrics,
    wire::link::PATH,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// What the routes work with. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// Tokens the other services present.
    pub(crate) tokens: Arc<Tokens>,
    /// Who answers requests.
    pub(crate) door: Door,
    /// The routers' links.
    pub(crate) links: Links,
    /// The targets' web traffic.
    pub(crate) web: Web,
    /// What the other pods ask.
    pub(crate) peers: Peers,
    /// Moves from and to this pod.
    pub(crate) handoffs: Handoffs,
    /// Connections to Discord's gateway.
    pub(crate) shards: Shards,
    /// Restore drills; none without a replica.
    pub(crate) drills: Option<Drills>,
    /// What takes old lineages away; none without a replica.
    pub(crate) retention: Option<Retention>,
    /// A few batches of late events at a time.
    pub(crate) late: Arc<Semaphore>,
    /// How long rows that were put aside are kept at least.
    pub(crate) aside_kept: Duration,
}

/// Another service of the cluster, by its token. A route that takes this cannot be called without one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service;

impl FromRequestParts<App> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.tokens.check(&parts.headers).map(|()| Self)
    }
}

/// Returns all routes.
pub(crate) fn routes(app: App, probes: &Probes, metrics: Metrics, readiness: Readiness) -> Router {
    let look_first = |State(readiness): State<Readiness>, request: Request| async move {
        readiness.refresh();
        request
    };
    let probes = probes.routes(metrics).layer(middleware::map_request_with_state(readiness, look_first));
    // A link lasts for days; what comes over it has spans of its own.
    let links = Router::new().route(PATH, get(link::open)).with_state(app.clone());
    let parcels = Router::new()
        .route("/v1/handoff/ask", post(handoff::ask))
        .route("/v1/handoff/shard", post(handoff::shard))
        .route("/v1/handoff/parcels", post(handoff::bundles))
        .route("/v1/handoff/{move}/parcels", post(handoff::parcels))
        .layer(DefaultBodyLimit::max(handoff::LARGEST))
        .with_state(app.clone());
    let late = Router::new()
        .route("/v1/late/{target}", post(late::take))
        .layer(DefaultBodyLimit::max(late::LARGEST))
        .with_state(app.clone());
    let pages = Router::new().route("/g/{*rest}", any(web::pass)).with_state(app.clone());
    // Several times a second, like heartbeats: not worth a span each.
    let among_pods = Router::new()
        .route("/v1/peers/extend", post(peers::extend))
        .route("/v1/peers/fence", post(peers::fence))
        .route("/v1/peers/relay", post(peers::relay))
        .with_state(app.clone());
    let tracer = app.door.engine().tracer().clone();
    let local = Router::new()
        .route("/v1/local/targets/{target}/state", get(state::get))
        .route("/v1/local/targets/{target}/provenance", get(provenance::get))
        .route("/v1/local/targets/{target}/events", get(data::events))
        .route("/v1/local/targets/{target}/export", get(data::export))
        .route("/v1/local/targets/{target}/erase", post(data::erase))
        .route("/v1/local/targets/{target}/dead/{kind}/{seq}/{verb}", post(data::decide))
        .route("/v1/local/dead", get(data::dead))
        .route("/v1/local/replication/drill", get(replication::drill).post(replication::make_drill))
        .route("/v1/local/replication/lineages", post(replication::clean))
        .route("/v1/local/quarantine", get(aside::list))
        .route("/v1/local/quarantine/{copy}/export", get(aside::export))
        .route("/v1/local/quarantine/{copy}/drop", post(aside::drop))
        .route("/v1/local/owned", get(listing::owned))
        .route("/v1/local/replication", get(replication::get))
        .route("/v1/local/discord/shards", get(discord::shards))
        .with_state(app);
    traced(local, &tracer, Trust::Caller)
        .merge(traced_as(WEB_ROUTE, pages, &tracer, Trust::Caller))
        .merge(links)
        .merge(among_pods)
        .merge(parcels)
        .merge(late)
        .merge(probes)
        .fallback(|| async { Problem::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
        })
}
