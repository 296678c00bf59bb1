//! A handler that is another program, reached over HTTP (`--handler`): the contract spoken by a client. Decides when the
//! handler counts as reachable, and what its statuses mean. Knows no queue and no transaction.

mod describe;
mod span;
mod tokens;
mod wire;

pub(crate) use describe::Incompatible;
pub(crate) use tokens::{Admitted, LocalCalls};
pub(crate) use wire::WireError;

use super::{
    AsyncHandler, BoxFuture, Call, Described, HandlerError, Said,
    contract::{self, Access, Description},
};
use http::{Method, StatusCode};
use shared::settings::Secret;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use wire::Wire;

/// Longest piece of a handler's own words that is kept as a reason, in bytes.
const REASON: usize = 300;

/// What a remote handler is reached by.
#[derive(Debug, Clone)]
pub(crate) struct RemoteSettings {
    pub(crate) url: String,
    pub(crate) token: Option<Secret>,
    /// How long a description may take.
    pub(crate) patience: Duration,
    /// How often it is described.
    pub(crate) probe: Duration,
    /// Largest answer.
    pub(crate) max_answer: usize,
    /// Largest head of an answer, and most headers.
    pub(crate) max_head: usize,
    pub(crate) max_headers: usize,
    /// Where it reads its target while it works.
    pub(crate) local_url: String,
}

/// How a remote handler is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Up,
    /// It does not, and why.
    Down(String),
    /// It speaks no version that this gateway speaks.
    Incompatible(String),
}

/// A remote handler. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Remote(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wire: Wire,
    settings: RemoteSettings,
    description: RwLock<Arc<Description>>,
    health: watch::Sender<Health>,
    /// Somebody could not reach it.
    doubted: Notify,
    calls: LocalCalls,
}

impl Remote {
    /// Makes a handler that counts as down until it has described itself.
    ///
    /// # Errors
    /// When its URL is no `http://` URL.
    pub(crate) fn new(settings: RemoteSettings) -> Result<Self, WireError> {
        let wire = Wire::new(&settings)?;
        let down = Health::Down(format!("the handler at {} has not answered yet", settings.url));
        Ok(Self(Arc::new(Inner {
            wire,
            settings,
            description: RwLock::default(),
            health: watch::Sender::new(down),
            doubted: Notify::new(),
            calls: LocalCalls::default(),
        })))
    }

    /// Returns the calls that are out, by their tokens.
    pub(crate) fn calls(&self) -> LocalCalls {
        self.0.calls.clone()
    }

    /// Returns where it is.
    pub(crate) fn url(&self) -> &str {
        &self.0.settings.url
    }

    /// Returns how the handler is.
    pub(crate) fn health(&self) -> Health {
        self.0.health.borrow().clone()
    }

    fn description(&self) -> Arc<Description> {
        Arc::clone(&self.0.description.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn call(&self, call: &Call) -> Result<Said, HandlerError> {
        let inner = &*self.0;
        let described = self.description();
        // Valid as long as this future lives: a call that is given up takes its token along.
        let local = inner.calls.admit(Admitted { local: call.local.clone(), described: Arc::clone(&described) });
        let access = Access { url: inner.settings.local_url.clone(), token: local.token().expose().to_owned() };
        let body = contract::ask(call, Some(&access))
            .map_err(|why| HandlerError::Refused(format!("a stored value is no JSON: {why}")))?;
        let target = call.event.target.as_str();
        call.describe(|live| span::asked(live, inner.wire.base(), contract::EVENTS));
        let sent = inner.wire.send(Method::POST, contract::EVENTS, &[("berth-target", target)], body).await;
        call.describe(|live| span::answered(live, &sent));
        let (status, body) = sent.map_err(|why| {
            if why.is_unreachable() {
                inner.doubted.notify_one();
            }
            HandlerError::Retry(why.to_string())
        })?;
        read(status, &body, &described)
    }
}

/// Says what a handler's answer means.
fn read(status: StatusCode, body: &[u8], described: &Description) -> Result<Said, HandlerError> {
    match status.as_u16() {
        204 => Ok(Said::nothing()),
        200..=299 => contract::parse_answer(body, &described.statements)
            .map_err(|why| HandlerError::Retry(format!("the handler's answer is malformed: {why}"))),
        409 => Err(HandlerError::Ignore),
        300..=399 => Err(HandlerError::Retry(format!("the handler answered {status}; redirects are not followed"))),
        400..=499 => Err(HandlerError::Permanent(format!("the handler answered {status}{}", words(body)))),
        _ => Err(HandlerError::Retry(format!("the handler answered {status}{}", words(body)))),
    }
}

/// Returns the beginning of what a handler said, as one line, for a reason.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(REASON)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

impl AsyncHandler for Remote {
    fn describe(&self) -> Described {
        self.description().described.clone()
    }

    fn handle<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Said, HandlerError>> {
        Box::pin(self.call(call))
    }

    fn available(&self) -> BoxFuture<'_, ()> {
        let mut health = self.0.health.subscribe();
        Box::pin(async move {
            // The sender lives as long as self.
            let _ = health.wait_for(|health| *health == Health::Up).await;
        })
    }
}

#[cfg(test)]
mod tests;
