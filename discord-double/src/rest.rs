//! The REST API's rules: who may call what how often, and what is answered. Pure: a request and the time come in.

mod interactions;
mod limits;
mod messages;
mod route;

use crate::{
    ids::Now,
    objects::{self, Place},
    record::Call,
    world::World,
};
pub use interactions::Interaction;
use limits::Limits;
use route::Route;
use serde_json::{Value, json};
use shared::clock::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Behind `/api`, without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
    /// Whether it is lost on its way, with its connection.
    pub(crate) lost: bool,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body, lost: false }
    }

    fn nothing() -> Self {
        Self { status: 204, headers: Vec::new(), body: Value::Null, lost: false }
    }

    /// An error as the API words it: status, its own code, and what is wrong.
    fn error(status: u16, code: u32, message: &str) -> Self {
        Self { status, headers: Vec::new(), body: json!({"message": message, "code": code}), lost: false }
    }
}

/// What REST keeps.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// By id, each with where it stands.
    pub(crate) messages: BTreeMap<u64, (Place, Value)>,
    /// By channel and nonce: the message, and when.
    nonces: BTreeMap<(u64, String), (u64, Mono)>,
    /// By token.
    pub(crate) interactions: BTreeMap<String, Interaction>,
    /// Channels the bot may not write to.
    pub(crate) forbidden: BTreeSet<u64>,
    /// What the next requests are answered with, whatever they are.
    pub(crate) failing: VecDeque<u16>,
    /// How many of the next answers are lost after what was asked is done.
    pub(crate) losing: usize,
    pub(crate) limits: Limits,
    pub(crate) calls: Vec<Call>,
}

impl World {
    /// Answers a request.
    pub(crate) fn rest(&mut self, request: &Request, now: Now) -> Reply {
        let path = route::versionless(&request.path).to_owned();
        let mut reply = self.answered(request, &path, now);
        reply.lost = self.rest.losing > 0;
        self.rest.losing = self.rest.losing.saturating_sub(1);
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let (method, status) = (request.method.clone(), reply.status);
        self.rest.calls.push(Call { at: now.mono, method, path, body, status });
        self.rest.limits.judge(&self.settings, &reply, now.mono);
        reply
    }

    fn answered(&mut self, request: &Request, path: &str, now: Now) -> Reply {
        if let Some(banned) = self.rest.limits.banned(now) {
            return banned;
        }
        if let Some(status) = self.rest.failing.pop_front() {
            return Reply::error(status, 0, "told to fail");
        }
        let Some(route) = route::find(&request.method, path) else {
            return Reply::error(404, 0, "404: Not Found");
        };
        let authorized = request.authorization.as_ref().and_then(|given| given.strip_prefix("Bot "));
        if route.needs_bot() && !authorized.is_some_and(|token| self.gateway.knows(token)) {
            return Reply::error(401, 0, "401: Unauthorized");
        }
        let headers = match self.rest.limits.pass(&self.settings, &route, now) {
            Ok(headers) => headers,
            Err(refused) => return refused,
        };
        let mut reply = match serde_json::from_slice(&request.body) {
            Err(_) if !request.body.is_empty() => Reply::error(400, 50109, "The request body contains invalid JSON."),
            body => self.carry_out(&route, &body.unwrap_or(Value::Null), &request.query, now),
        };
        reply.headers.extend(headers);
        reply
    }

    fn carry_out(&mut self, route: &Route, body: &Value, query: &str, now: Now) -> Reply {
        match route {
            Route::Gateway => Reply::ok(json!({"url": self.url})),
            Route::GatewayBot => {
                let left = self.gateway.starts_left(now);
                Reply::ok(json!({
                    "url": self.url, "shards": self.settings.shards,
                    "session_start_limit": {
                        "total": self.settings.starts.most, "remaining": left.uses,
                        "reset_after": u64::try_from(left.reset_after.as_millis()).unwrap_or(u64::MAX),
                        "max_concurrency": self.settings.concurrency,
                    },
                }))
            }
            Route::Me => Reply::ok(objects::current_user(self.guilds.bot())),
            Route::Channel(id) => self.guilds.channel(*id).map_or_else(messages::unknown_channel, Reply::ok),
            Route::Typing(id) => self.guilds.place(*id).map_or_else(messages::unknown_channel, |_| Reply::nothing()),
            Route::Create(channel) => self.create(*channel, body, now),
            Route::Read(channel, id) => self.read(*channel, *id),
            Route::Edit(channel, id) => self.edit(*channel, *id, body, now),
            Route::Delete(channel, id) => self.delete(*channel, *id),
            Route::Callback(id, token) => self.callback(*id, token, body, query.contains("with_response=true"), now),
            Route::Followup(application, token) => self.followup(*application, token, body, now),
            Route::OfWebhook(what, application, token, id) => {
                self.of_webhook(what, *application, token, *id, body, now)
            }
        }
    }
}

#[cfg(test)]
mod tests;
