//! The webhook URLs: reads the body within its bounds, has it judged, routes it, writes the answer. Knows no platform's
//! rules.

pub(crate) mod body;

use crate::ingress::{Reason, Source, Verdict, Verifiers};
use crate::metrics::Counters;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use body::{Memory, Share};
use http::{HeaderName, HeaderValue, StatusCode, header};
use shared::event::{Answer, Event};
use shared::http::Facts;
use shared::router::{Routed, Router as Core, forward::Upstream};
use shared::telemetry::trace::TraceContext;
use shared::{Clock, Problem};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the URLs need.
#[derive(Debug)]
pub(crate) struct Door<U> {
    pub(crate) verifiers: Verifiers,
    pub(crate) core: Core<U>,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bodies: BodyLimits,
    pub(crate) memory: Memories,
}

/// The bounds of bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Bytes of a body.
    pub(crate) most: usize,
    /// Bytes of a GitHub delivery.
    pub(crate) most_github: usize,
    /// How long a body may take.
    pub(crate) timeout: Duration,
}

impl BodyLimits {
    const fn of(&self, source: &Source) -> usize {
        match source {
            Source::Github => self.most_github,
            _ => self.most,
        }
    }
}

/// What bodies may hold together. GitHub's are so large that a few slow ones, signed or not, would leave nothing for the
/// others: they have a half of their own.
#[derive(Debug, Clone)]
pub(crate) struct Memories {
    github: Memory,
    others: Memory,
}

impl Memories {
    /// Makes room for `bytes` bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { github: Memory::new(bytes / 2), others: Memory::new(bytes - bytes / 2) }
    }

    const fn of(&self, source: &Source) -> &Memory {
        match source {
            Source::Github => &self.github,
            _ => &self.others,
        }
    }
}

/// Returns the webhook URLs.
pub(crate) fn routes<U: Upstream>(door: Arc<Door<U>>) -> axum::Router {
    type Door<U> = State<Arc<self::Door<U>>>;
    let discord = post(async |State(door): Door<U>, request| door.take(Source::Discord, request).await);
    let events = post(async |State(door): Door<U>, request| door.take(Source::DiscordEvents, request).await);
    let telegram =
        post(async |State(door): Door<U>, Path(bot), request| door.take(Source::Telegram(bot), request).await);
    let slack = post(async |State(door): Door<U>, request| door.take(Source::Slack, request).await);
    let standard =
        post(async |State(door): Door<U>, Path(name), request| door.take(Source::Standard(name), request).await);
    let github = post(async |State(door): Door<U>, request| door.take(Source::Github, request).await);
    axum::Router::new()
        .route("/webhooks/discord", discord)
        .route("/webhooks/discord/events", events)
        .route("/webhooks/telegram/{bot}", telegram)
        .route("/webhooks/slack", slack)
        .route("/webhooks/standard/{source}", standard)
        .route("/webhooks/github", github)
        .with_state(door)
}

impl<U: Upstream> Door<U> {
    async fn take(&self, source: Source, request: Request) -> Response {
        let arrived = Instant::now();
        let platform = source.platform();
        let (verdict, _share) = self.judge(&source, request).await;
        let traced = TraceContext::current().is_some_and(|span| span.sampled());
        let mut facts = Facts::default();
        let (mut response, verdict) = match verdict {
            Verdict::Event(event) => {
                if traced {
                    facts = of_event(event.event());
                }
                let Routed { answer, verdict } = self.core.route(event.into_event(), arrived).await;
                (response(answer), verdict)
            }
            Verdict::Answer { ignored, answer } => (response(answer), ignored.as_str()),
            Verdict::Refused(reason) => (refused(reason), reason.as_str()),
        };
        self.counters.request(platform, verdict);
        if traced {
            facts.0.push(("berth.verdict", verdict.into()));
            response.extensions_mut().insert(facts);
        }
        response
    }

    /// Judges a request. The share of the memory that its body takes is held until the request is answered.
    async fn judge(&self, source: &Source, request: Request) -> (Verdict, Share) {
        if !self.verifiers.is_on(source) {
            return (Verdict::Refused(Reason::SourceOff), Share::default());
        }
        let (head, body) = request.into_parts();
        match body::read(body, self.bodies.of(source), self.bodies.timeout, self.memory.of(source)).await {
            Ok((body, share)) => (self.verifiers.verify(source, &head.headers, &body, self.clock.wall_ms()), share),
            Err(reason) => (Verdict::Refused(reason), Share::default()),
        }
    }
}

/// What a span tells of an event: ids and kinds, nothing of what somebody wrote.
fn of_event(event: &Event) -> Facts {
    Facts(vec![
        ("berth.platform", event.platform.as_str().into()),
        ("berth.target", event.target.to_string().into()),
        ("berth.event.kind", event.kind.as_str().into()),
        ("berth.event.id", event.id.clone().into()),
    ])
}

fn refused(reason: Reason) -> Response {
    let mut response = Problem::new(reason.status(), reason.as_str(), reason.detail()).into_response();
    if reason == Reason::NoMemory {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(reason, Reason::TooLarge | Reason::SlowBody | Reason::NoMemory) {
        // The rest of the body is not read: the connection is of no further use.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Headers that belong to one connection; the server writes its own.
const CONNECTION_HEADERS: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TRAILER];

/// Writes an answer as it is. A header that HTTP cannot carry is left out; the rest still says what was done.
fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    // An informational status would leave the sender waiting for the answer proper.
    let status = StatusCode::from_u16(answer.status).ok().filter(|status| !status.is_informational());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED) {
        // These have no body: its length would be taken for the beginning of the next answer.
        *response.body_mut() = Body::empty();
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
            && !CONNECTION_HEADERS.contains(&name)
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests;
