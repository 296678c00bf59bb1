//! Who may do what, as extractors: a handler without one of them in its arguments is open to everybody, and documented so.
//! Tokens of the settings count always; tokens of the database only while this process leads, or follows closely: only the
//! leader knows at once that one was revoked, a follower when it has looked.

use super::{Api, docs::Access};
use crate::control::{ControlError, USED_STEP_MS};
use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};
use shared::{Problem, wire::admin::Role};

/// What the secret of a token begins with.
pub(super) const PREFIX: &str = "berth_";

/// The name of whoever presents an admin token of the settings.
pub(super) const ADMIN: &str = "admin";

/// Somebody who is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor {
    /// The name that stands in the audit.
    pub(super) name: String,
    /// What they may do.
    pub(super) role: Role,
}

/// Whom a token belongs to.
pub(super) enum Known {
    Service,
    Actor(Actor),
}

/// A service of the cluster: it presented a service token.
pub(super) struct Service;

/// Something that holds connections of the bot: a service, or a program with an operator's token.
pub(super) struct Worker;

/// Somebody who may read: a viewer, a service, or anybody when reads are open.
pub(super) struct Reader;

/// Somebody who may do what can be undone.
pub(super) struct Operator(pub(super) Actor);

/// Somebody who may do anything.
pub(super) struct Admin(pub(super) Actor);

/// An extractor that stands for a role of operators.
pub(super) trait Grade: Sized {
    /// Who may pass.
    const ACCESS: Access;

    /// Checks the request's token.
    ///
    /// # Errors
    /// 401 when the token is missing or unknown, 403 when it may not do this, 503 when that cannot be said here.
    fn of(headers: &HeaderMap, api: &Api) -> Result<Self, Problem>;

    /// Returns who it is.
    fn actor(&self) -> &Actor;
}

impl Grade for Operator {
    const ACCESS: Access = Access::Operator;

    fn of(headers: &HeaderMap, api: &Api) -> Result<Self, Problem> {
        at_least(Role::Operator, headers, api).map(Self)
    }

    fn actor(&self) -> &Actor {
        &self.0
    }
}

impl Grade for Admin {
    const ACCESS: Access = Access::Admin;

    fn of(headers: &HeaderMap, api: &Api) -> Result<Self, Problem> {
        at_least(Role::Admin, headers, api).map(Self)
    }

    fn actor(&self) -> &Actor {
        &self.0
    }
}

impl FromRequestParts<Api> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match known(&parts.headers, api)? {
            Known::Service => Ok(Self),
            Known::Actor(actor) => Err(forbidden(&actor, "the services of the cluster")),
        }
    }
}

impl FromRequestParts<Api> for Worker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match known(&parts.headers, api)? {
            Known::Actor(actor) if actor.role < Role::Operator => {
                Err(forbidden(&actor, &format!("role {}, and the services of the cluster", Role::Operator)))
            }
            Known::Service | Known::Actor(_) => Ok(Self),
        }
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        may_read(&parts.headers, api)
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Self::of(&parts.headers, api)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Self::of(&parts.headers, api)
    }
}

fn at_least(role: Role, headers: &HeaderMap, api: &Api) -> Result<Actor, Problem> {
    match known(headers, api)? {
        Known::Actor(actor) if actor.role >= role => Ok(actor),
        Known::Actor(actor) => Err(forbidden(&actor, &format!("role {role}"))),
        Known::Service => {
            let text = format!("a service token does not do this; it takes a token of role {role}");
            Err(Problem::new(http::StatusCode::FORBIDDEN, "forbidden", text))
        }
    }
}

fn forbidden(actor: &Actor, whom: &str) -> Problem {
    let text = format!("{} has role {}; this is for {whom}", actor.name, actor.role);
    Problem::new(http::StatusCode::FORBIDDEN, "forbidden", text)
}

/// Checks that reads are open, or that the request's token is known.
///
/// # Errors
/// 401 when it is not, 503 when that cannot be said here.
pub(super) fn may_read(headers: &HeaderMap, api: &Api) -> Result<Reader, Problem> {
    if api.open_reads { Ok(Reader) } else { known(headers, api).map(|_| Reader) }
}

/// Says whom the request's token belongs to.
pub(super) fn known(headers: &HeaderMap, api: &Api) -> Result<Known, Problem> {
    if api.service.check(headers).is_ok() {
        return Ok(Known::Service);
    }
    let unknown = match api.admin.check(headers) {
        Ok(()) => return Ok(Known::Actor(Actor { name: ADMIN.to_owned(), role: Role::Admin })),
        Err(unknown) => unknown,
    };
    let Some(secret) = secret(headers) else { return Err(unknown) };
    let standing = api.control.standing();
    let standing = standing.ok_or_else(|| ControlError::NotLeader { leader: api.control.leader() })?;
    let now_ms = api.clock.wall_ms();
    // The secret is random and long: looking its hash up tells nothing about it.
    let token = standing.token(&hash(secret), now_ms).ok_or(unknown)?;
    if token.used_ms.is_none_or(|used| now_ms > used.saturating_add(60_000)) {
        api.control.used(&token.id, now_ms);
    }
    Ok(Known::Actor(Actor { name: token.name.clone(), role: token.role }))
}

/// Returns the secret of a token of the database, as the request presents it.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let given = headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")?;
    given.starts_with(PREFIX.as_bytes()).then_some(given)
}

/// Returns whether the request has a token whose use is known to have been so long ago that it is to be noted again.
pub(super) fn is_to_be_noted(headers: &HeaderMap, api: &Api) -> bool {
    let (Some(secret), Some(standing)) = (secret(headers), api.control.standing()) else { return false };
    let now_ms = api.clock.wall_ms();
    let token = standing.token(&hash(secret), now_ms);
    token.is_some_and(|token| now_ms > token.used_ms.unwrap_or_default().saturating_add(USED_STEP_MS))
}

/// Returns what is kept of a secret: its SHA-256, in hex.
pub(super) fn hash(secret: &[u8]) -> String {
    hex::encode(Sha256::digest(secret))
}
