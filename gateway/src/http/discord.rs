//! `GET /v1/local/discord/shards`: the shards of the bot on Discord that this pod holds, and how their connections stand.

use super::{App, Service};
use axum::{Json, extract::State};
use shared::wire::discord::Shards;

/// `GET /v1/local/discord/shards`
pub(super) async fn shards(_service: Service, State(app): State<App>) -> Json<Shards> {
    Json(app.shards.list())
}
