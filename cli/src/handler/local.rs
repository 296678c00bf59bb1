//! The played pod's listener for reads of a handler that works: the paths of the contract over a [`World`]. It decides
//! nothing about what is in it.

use super::world::{Read, World};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use shared::{
    http::{ServeLimits, bind, serve},
    shutdown::Shutdown,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The world, shared between the suite and the listener.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// Locks it; never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the listener and returns its URL. It ends with `shutdown`.
///
/// # Errors
/// When this machine has no free port on its loopback.
pub(super) async fn start(world: Shared, shutdown: Shutdown) -> std::io::Result<String> {
    let router = Router::new()
        .route("/v1/local/targets/{target}/kv", get(scan))
        .route("/v1/local/targets/{target}/kv/{*key}", get(key))
        .route("/v1/local/targets/{target}/sessions/{*id}", get(session))
        .route("/v1/local/targets/{target}/query", post(query))
        .with_state(world);
    let bound = bind(([127, 0, 0, 1], 0).into(), "a free port").await?;
    let url = format!("http://{}", bound.address);
    drop(shared::shutdown::spawn(serve(bound, router, ServeLimits::default(), shutdown)));
    Ok(url)
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    prefix: String,
    #[serde(default = "hundred")]
    limit: usize,
}

const fn hundred() -> usize {
    100
}

async fn scan(world: State<Shared>, Path(target): Path<String>, asked: Query<Asked>, head: HeaderMap) -> Response {
    answer(&world, &target, &head, &Read::Scan(asked.0.prefix, asked.0.limit))
}

async fn key(world: State<Shared>, Path((target, key)): Path<(String, String)>, head: HeaderMap) -> Response {
    answer(&world, &target, &head, &Read::Key(key))
}

async fn session(world: State<Shared>, Path((target, id)): Path<(String, String)>, head: HeaderMap) -> Response {
    answer(&world, &target, &head, &Read::Session(id))
}

async fn query(world: State<Shared>, Path(target): Path<String>, head: HeaderMap) -> Response {
    answer(&world, &target, &head, &Read::Query)
}

fn answer(world: &Shared, target: &str, head: &HeaderMap, read: &Read) -> Response {
    let token = head.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let (status, body) = world.lock().read(token, target, read);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(body)).into_response()
}
