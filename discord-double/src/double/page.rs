//! A page for people: somebody types a message into a guild of the double and sees what the bot answers. Browsers of this machine
//! only: a name that leads here from elsewhere is refused, and what other sites send has not the form that is read.

use super::Shared;
use crate::objects::User;
use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderName, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Most messages that are shown.
const SHOWN: usize = 100;

/// Nothing from elsewhere is loaded, and nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// What the page is made of.
const PARTS: [(&str, &str, &str); 2] = [
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
];

/// Who types.
fn person() -> User {
    User::new(700_000_000_000_000_001, "you")
}

/// A channel that can be written to.
#[derive(Debug, Serialize)]
struct Room {
    guild: String,
    name: String,
    channel: String,
}

#[derive(Debug, Deserialize)]
struct Asked {
    channel: String,
}

/// A message as the page shows it.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    author: String,
    bot: bool,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    channel: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Said {
    id: String,
}

/// Returns the page itself.
pub(super) fn page() -> Response {
    part("text/html; charset=utf-8", include_str!("page/page.html"))
}

/// Adds what the page needs.
pub(super) fn routes() -> Router<Arc<Shared>> {
    let parts = PARTS.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { part(kind, text) }))
    });
    parts.route("/page/rooms", get(rooms)).route("/page/messages", get(messages).post(say)).layer(from_fn(local))
}

fn part(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

/// Lets through what names this machine as its host.
async fn local(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this page is for browsers of this machine: open it as http://127.0.0.1\n").into_response()
}

async fn rooms(State(shared): State<Arc<Shared>>) -> Json<Vec<Room>> {
    Json(shared.with(|world, _| {
        let listed = world.guilds.rooms().map(|(guild, name, channel)| Room {
            guild: guild.to_string(),
            name: name.to_owned(),
            channel: channel.to_string(),
        });
        listed.collect()
    }))
}

async fn messages(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Result<Json<Vec<Shown>>, Missing> {
    let channel = asked.channel.parse().map_err(|_| Missing)?;
    shared.with(|world, _| {
        world.guilds.place(channel).ok_or(Missing)?;
        let here = world.rest.messages.iter().rev().filter(|(_, (place, _))| place.channel == channel);
        let mut shown: Vec<_> = here.take(SHOWN).map(|(id, (_, message))| shown(*id, message)).collect();
        shown.reverse();
        Ok(Json(shown))
    })
}

fn shown(id: u64, message: &Value) -> Shown {
    let (author, text) = (&message["author"], &message["content"]);
    Shown {
        id: id.to_string(),
        author: author["username"].as_str().unwrap_or_default().to_owned(),
        bot: author["bot"].as_bool().unwrap_or_default(),
        text: text.as_str().unwrap_or_default().to_owned(),
    }
}

async fn say(State(shared): State<Arc<Shared>>, Json(typed): Json<Typed>) -> Result<Json<Said>, Missing> {
    let channel = typed.channel.parse().map_err(|_| Missing)?;
    let said = shared.with(|world, now| world.say(channel, &person(), &typed.text, now));
    Ok(Json(Said { id: said.ok_or(Missing)?.to_string() }))
}

/// There is no such channel.
struct Missing;

impl IntoResponse for Missing {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, "there is no such channel\n").into_response()
    }
}
