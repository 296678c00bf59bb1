//! A moderation bot behind Berth, over HTTP: a process of its own that Berth posts events to. This file serves; what the
//! bot says is in `bot.rs`, what Berth sends and gets is in `call.rs`.
//!
//! When your bot is in Rust, a handler inside the gateway is faster and shorter: see `examples/moderation-bot`. This one
//! shows the other way, for bots that live elsewhere or call other services.

mod bot;
mod call;

use axum::{Json, Router, extract::DefaultBodyLimit, http::StatusCode, routing};
use call::{Answer, Call, Request};
use clap::Parser;
use serde_json::{Value, json};
use tokio::{net::TcpListener, signal::unix};

/// The largest request, in bytes: GitHub's deliveries have up to 25 MiB, and text grows when it becomes JSON.
const LARGEST: usize = 64 << 20;

/// A moderation bot behind Berth
#[derive(Debug, Parser)]
struct Options {
    /// The port it listens on; 0 takes any
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// How long a minute is; a shorter one lets you watch a mute end
    #[arg(long, env = "MINUTE_MS", default_value_t = 60_000)]
    minute_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Options { port, minute_ms } = Options::parse();
    let app = Router::new()
        .route("/v1/describe", routing::get(describe))
        .route("/v1/events", routing::post(move |Json(request)| event(request, minute_ms)))
        .layer(DefaultBodyLimit::max(LARGEST));
    // Before it says that it listens: whoever reads that may tell it to end.
    let mut stop = unix::signal(unix::SignalKind::terminate())?;
    let stopped = async move {
        stop.recv().await;
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}

async fn describe() -> Json<Value> {
    Json(json!({"api": ["1"], "name": "moderation-rust", "version": "1.0.0", "preload": bot::PRELOAD}))
}

async fn event(request: Request, minute_ms: u64) -> Result<Json<Answer>, (StatusCode, String)> {
    let mut call = Call::new(request);
    let reply = bot::handle(&mut call, minute_ms).await;
    // What went wrong inside is a 500, and Berth tries again.
    let reply = reply.map_err(|why| (StatusCode::INTERNAL_SERVER_ERROR, format!("{why:#}")))?;
    Ok(Json(call.answer(reply)))
}
