//! Web traffic of a guild: `/g/{target}/…` goes to the pod that owns the target, streamed both ways. Reads the request line
//! and the table; [`step`] decides about waiting and repeating. Unsigned as it is, it never gives a target a home.

mod forwarded;
mod places;
mod step;

use crate::Options;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use forwarded::forwarded;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use places::{Held, Places};
use shared::http::relay::{
    Broken, EPOCH, Exchange, FlowBounds, Passed, REFUSED, SERVICE_TOKEN, Sender, SenderBounds, TargetPlaces,
    Unanswered, WebPath,
};
use shared::http::{Facts, Peer, linger};
use shared::router::Parking;
use shared::router::routes::{Located, Routes, Whereabouts};
use shared::settings::Secret;
use shared::shutdown::Shutdown;
use shared::telemetry::{Metrics, trace::TraceContext, trace::Tracer};
use shared::{Problem, TargetId};
use std::time::Duration;
use step::{Attempts, Came, Step};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

/// What the next hop's head has more than this one's: the token, the epoch, three headers of forwarding, two of the trace.
const MORE_HEADERS: usize = 10;
const MORE_HEAD: usize = 1_024;

/// The web traffic. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    routes: Routes,
    sender: Sender,
    token: HeaderValue,
    parking: Parking,
    places: Places,
    tunnels: TaskTracker,
    stop: Shutdown,
    bounds: Bounds,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    flow: FlowBounds,
    park: Duration,
    max_head: usize,
    max_headers: usize,
    trust_proxy: bool,
}

/// An answer, and the word it is counted by.
struct Answered {
    response: Response,
    verdict: String,
}

impl Web {
    /// Makes the web traffic of a router. What has no end of its own ends with `stop`.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub(crate) fn new(
        options: &Options,
        token: &Secret,
        routes: Routes,
        parking: Parking,
        metrics: &Metrics,
        tracer: Tracer,
        stop: Shutdown,
    ) -> anyhow::Result<Self> {
        let mut token = HeaderValue::from_str(token.expose())
            .map_err(|_| anyhow::anyhow!("BERTH_SERVICE_TOKENS: a token must be printable ASCII"))?;
        token.set_sensitive(true);
        let (max_head, max_headers) = (options.limits.max_head_bytes, options.limits.max_headers);
        let sender = SenderBounds { connect: options.link_timeout, idle: options.web_idle, max_head, max_headers };
        let flow =
            FlowBounds { max_body: options.web_max_body, idle: options.web_idle, min_rate: options.web_min_rate };
        let of_targets = TargetPlaces::new(options.web_target_connections, options.web_connections);
        Ok(Self {
            routes,
            sender: Sender::new(sender).traced(tracer),
            token,
            parking,
            places: Places::new(options.web_connections, of_targets, metrics),
            tunnels: TaskTracker::new(),
            stop,
            bounds: Bounds {
                flow,
                park: options.park_web,
                max_head,
                max_headers,
                trust_proxy: options.web_trust_proxy,
            },
        })
    }

    /// Returns the route.
    pub(crate) fn routes(self) -> axum::Router {
        let take = async |State(web): State<Self>, request| web.take(request).await;
        axum::Router::new().route("/g/{*rest}", any(take)).with_state(self)
    }

    async fn take(self, request: Request) -> Response {
        let traced = TraceContext::current().is_some_and(|span| span.sampled());
        let mut facts = Facts::default();
        let Answered { mut response, verdict } = match self.admissible(&request) {
            Ok(path) => {
                if traced {
                    facts.0.push(("berth.target", path.target.to_string().into()));
                }
                self.pass(&path, request).await
            }
            Err(problem) => {
                if !request.body().is_end_stream() && !request.headers().contains_key(header::EXPECT) {
                    linger(request.into_body());
                }
                refused(problem)
            }
        };
        self.places.count(&verdict);
        if traced {
            facts.0.push(("berth.verdict", verdict.into()));
            response.extensions_mut().insert(facts);
        }
        response
    }

    /// Says whether a request may be passed on at all.
    fn admissible(&self, request: &Request) -> Result<WebPath, Problem> {
        let bounds = &self.bounds;
        let path =
            WebPath::read(request.uri(), request.headers()).map_err(|why| Problem::bad_request(why.to_string()))?;
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            let detail = "CONNECT and TRACE are not passed on";
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail));
        }
        if request.body().size_hint().lower() > bounds.flow.max_body {
            return Err(too_large());
        }
        let headers = request.headers();
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let line = path.onward.as_str().len();
        if headers.len() + MORE_HEADERS > bounds.max_headers || bytes + line + MORE_HEAD > bounds.max_head {
            let detail = "the headers leave no room for those that are added on the way";
            return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", detail));
        }
        Ok(path)
    }

    async fn pass(&self, path: &WebPath, request: Request) -> Answered {
        let until = Instant::now() + self.bounds.park;
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        let mut exchange = Exchange::begin(request, self.bounds.flow, Shutdown::new());
        forwarded(exchange.headers_mut(), peer, self.bounds.trust_proxy);
        exchange.headers_mut().insert(SERVICE_TOKEN, self.token.clone());
        match self.ask(path, &mut exchange, until).await {
            Ok((answer, held)) => self.answer(exchange, answer, held),
            Err(problem) => {
                exchange.refuse();
                refused(problem)
            }
        }
    }

    /// Asks the target's owner until the application has answered.
    ///
    /// # Errors
    /// The router's own word to the sender.
    async fn ask(
        &self,
        path: &WebPath,
        exchange: &mut Exchange,
        until: Instant,
    ) -> Result<(http::Response<Incoming>, Held), Problem> {
        let (mut attempts, mut slot) = (Attempts::default(), None);
        loop {
            let at = self.routes.locate(&path.target, None);
            let sent = match &at {
                Whereabouts::NotLoaded => Err(Came::NotLoaded),
                Whereabouts::Unknown => Err(Came::Unknown),
                Whereabouts::At(at) => match self.places.take(&at.pod, &path.target) {
                    Err(full) => return Err(full),
                    Ok(held) => self.send(exchange, path, at).await.map(|answer| (answer, held)),
                },
            };
            let unanswered;
            let came = match sent {
                Ok((Ok(answer), held)) => match refusal(&answer) {
                    Some("not-owner") => Came::NotOwner,
                    Some("not-serving") => Came::NotServing,
                    _ => return Ok((answer, held)),
                },
                Ok((Err(why), _)) => {
                    if let Some(problem) = broken(exchange.broken()) {
                        return Err(problem);
                    }
                    unanswered = why;
                    Came::Unanswered(&unanswered)
                }
                Err(came) => came,
            };
            let left = until.saturating_duration_since(Instant::now());
            match attempts.next(came, exchange.is_repeatable(), left) {
                Step::Refuse(problem) => return Err(problem),
                Step::Wait(most) => {
                    // Its body stays with the sender: only its place counts.
                    slot = slot.or_else(|| self.parking.take(0));
                    if slot.is_none() {
                        return Err(Problem::unavailable("no-room", "too many requests wait for their owners"));
                    }
                    self.wait(&path.target, &at, most).await;
                }
            }
        }
    }

    async fn send(
        &self,
        exchange: &mut Exchange,
        path: &WebPath,
        at: &Located,
    ) -> Result<Result<http::Response<Incoming>, Unanswered>, Came<'static>> {
        let address = self.routes.address(&at.pod).ok_or(Came::Homeless)?;
        exchange.headers_mut().insert(EPOCH, HeaderValue::from(at.epoch.0));
        Ok(exchange.send(&self.sender, &address, &path.onward).await)
    }

    fn answer(&self, mut exchange: Exchange, answer: http::Response<Incoming>, held: Held) -> Answered {
        let verdict = refusal(&answer).unwrap_or("answered").to_owned();
        let kind = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            exchange.end_with(self.stop.child_token());
        }
        let Some(Passed { response, tunnel }) = exchange.answer(answer, held) else {
            return refused(Problem::new(
                StatusCode::BAD_GATEWAY,
                "bad-answer",
                "the pod left HTTP without being asked",
            ));
        };
        if let Some((tunnel, held)) = tunnel {
            let (stop, idle) = (self.stop.clone(), self.bounds.flow.idle);
            self.tunnels.spawn(async move {
                let end = tunnel.run(idle, &stop).await;
                tracing::debug!(end = end.as_str(), "a tunnel ended");
                drop(held);
            });
        }
        Answered { response, verdict }
    }

    /// Waits until the table says something else of the target than `before`, at most for `most`.
    async fn wait(&self, target: &TargetId, before: &Whereabouts, most: Duration) {
        let until = Instant::now() + most;
        let mut changes = self.routes.changes();
        let changed = async {
            while self.routes.locate(target, None) == *before {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = changed => {}
            () = sleep_until(until) => {}
        }
    }
}

/// Returns the pod's own refusal; nothing when the application has answered.
fn refusal(answer: &http::Response<Incoming>) -> Option<&str> {
    answer.headers().get(REFUSED).map(|code| code.to_str().unwrap_or("refused"))
}

fn broken(why: Option<Broken>) -> Option<Problem> {
    match why? {
        Broken::TooLarge => Some(too_large()),
        Broken::Idle | Broken::Slow => {
            Some(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the rest of the body did not arrive in time"))
        }
        Broken::Source => Some(Problem::bad_request("the body ended before it was whole")),
        Broken::Cut => None,
    }
}

fn too_large() -> Problem {
    let detail = "the body is longer than --web-max-body (BERTH_WEB_MAX_BODY) of http-service allows";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
}

fn refused(problem: Problem) -> Answered {
    let (status, verdict) = (problem.status, problem.code.clone());
    let mut response = problem.into_response();
    if status == 503 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(status, 408 | 413 | 431) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Answered { response: response.map(Body::new), verdict }
}
