//! Web traffic of the targets this pod owns, handed to the bot's own application: under a guard from the first byte to the
//! last, within bounds, streamed. Decides when traffic is refused and when it is cut; knows no routes and no database.

mod application;
mod warden;

pub(crate) use application::Home;
pub use application::{Application, NotAnApplication};

use crate::ownership::{Guard, Ownership};
use axum::{extract::Request, response::Response};
use http::{HeaderValue, StatusCode, header};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use shared::{
    Epoch, Problem, TargetId,
    http::relay::{
        Broken, EPOCH, Exchange, FlowBounds, Passed, Sender, SenderBounds, TARGET, TargetPlace, TargetPlaces, Tunnel,
        Unanswered, WebPath,
    },
    shutdown::Shutdown,
    telemetry::{Metrics, trace::Tracer},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use warden::{Tether, Warden};

/// The bounds of web traffic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WebBounds {
    /// What flows.
    pub(crate) flow: FlowBounds,
    /// The connections to the application.
    pub(crate) sender: SenderBounds,
    /// Most requests and tunnels at once.
    pub(crate) connections: usize,
    /// Most of one target.
    pub(crate) of_target: Option<usize>,
}

/// The web traffic of a pod. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Home,
    sender: Sender,
    bounds: WebBounds,
    places: Arc<Semaphore>,
    of_targets: TargetPlaces,
    warden: Warden,
    meters: Meters,
    /// What is under way, tunnels included.
    running: TaskTracker,
    /// No new traffic.
    closing: Shutdown,
}

/// A request that may be handed on: to whom, under which epoch, and what it holds while it lasts.
#[derive(Debug)]
pub(crate) struct Admitted {
    application: Application,
    epoch: Epoch,
    held: Held,
}

/// What an exchange holds while it lasts.
#[derive(Debug)]
struct Held {
    tether: Tether,
    meters: Meters,
    _place: OwnedSemaphorePermit,
    _of_target: TargetPlace,
    _running: TaskTrackerToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meters.connections.dec();
    }
}

impl Web {
    /// Returns how many requests and tunnels are under way.
    pub(crate) fn connections(&self) -> u64 {
        u64::try_from(self.0.meters.connections.get()).unwrap_or_default()
    }

    /// Returns how many of them each target has, of those that have any.
    pub(crate) fn of_targets(&self) -> HashMap<TargetId, u64> {
        self.0.of_targets.taken()
    }

    /// Makes the web traffic of a pod.
    pub(crate) fn new(home: Home, bounds: WebBounds, ownership: Ownership, metrics: &Metrics, tracer: Tracer) -> Self {
        let (warden, running, closing) = (Warden::new(ownership), TaskTracker::new(), Shutdown::new());
        Self(Arc::new(Inner {
            home,
            sender: Sender::new(bounds.sender).traced(tracer),
            bounds,
            places: Arc::new(Semaphore::new(bounds.connections.min(Semaphore::MAX_PERMITS))),
            of_targets: TargetPlaces::new(bounds.of_target, bounds.connections),
            warden,
            meters: Meters::register(metrics),
            running,
            closing,
        }))
    }

    /// Cuts what is no longer this pod's, until `stop`.
    pub(crate) async fn watch(self, stop: Shutdown) {
        self.0.warden.clone().run(stop).await;
    }

    /// Refuses new traffic, cuts what has no end of its own (tunnels, event streams), and gives the rest `grace`.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.0.closing.cancel();
        self.0.warden.cut_endless();
        self.0.running.close();
        if tokio::time::timeout(grace, self.0.running.wait()).await.is_err() {
            tracing::warn!(under_way = self.0.running.len(), "web traffic was cut at the end of the stop timeout");
            self.0.warden.cut_all();
            self.0.running.wait().await;
        }
    }

    /// Says whether a request may be handed on now: there is an application, and room.
    ///
    /// # Errors
    /// A problem that is this pod's own.
    pub(crate) fn admit(&self, guard: Guard, target: &TargetId) -> Result<Admitted, Problem> {
        let web = &self.0;
        let application = web.home.find().ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no-application",
                "this bot serves no web pages; set --web (BERTH_WEB), or let its handler say \"web\": true",
            )
        })?;
        let epoch = guard.epoch();
        Ok(Admitted { application, epoch, held: self.hold(guard, target)? })
    }

    /// Hands a request to the application and returns its answer.
    ///
    /// # Errors
    /// A problem that is this pod's own.
    pub(crate) async fn pass(&self, admitted: Admitted, path: &WebPath, request: Request) -> Result<Response, Problem> {
        let web = &self.0;
        let Admitted { application, epoch, held } = admitted;
        let mut exchange = Exchange::begin(request, web.bounds.flow, held.tether.cut().clone());
        let own = [(TARGET, path.target.to_string()), (EPOCH, epoch.0.to_string())];
        for (name, value) in own {
            exchange.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| Problem::internal())?);
        }
        let sent = exchange.send(&web.sender, application.authority(), &path.onward).await;
        let answer = sent.map_err(|why| unanswered(&why, exchange.broken(), &application))?;
        if !held.tether.holds() {
            return Err(ended());
        }
        let endless =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(EVENT_STREAM));
        if endless || answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            held.tether.is_endless();
        }
        // The pod may have begun to stop meanwhile, and looked at what is endless before this was.
        if web.closing.is_cancelled() {
            web.warden.cut_endless();
        }
        let Passed { response, tunnel } = exchange.answer(answer, held).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "bad-application",
                "the bot's application left HTTP without being asked",
            )
        })?;
        if let Some((tunnel, held)) = tunnel {
            self.carry(tunnel, held);
        }
        Ok(response)
    }

    /// Counts what became of a request: a problem's code, or `answered`.
    pub(crate) fn count(&self, verdict: &str) {
        self.0.meters.requests.get_or_create(&Verdict { verdict: verdict.to_owned() }).inc();
    }

    fn hold(&self, guard: Guard, target: &TargetId) -> Result<Held, Problem> {
        let web = &self.0;
        if web.closing.is_cancelled() {
            return Err(Problem::unavailable("not-serving", "this pod is stopping"));
        }
        let full = |most, setting| {
            Problem::unavailable("too-many", format!("{most} are under way, as many as {setting} allows"))
        };
        let of_target = web
            .of_targets
            .take(target)
            .ok_or_else(|| full(web.of_targets.most(), "--web-target-connections (BERTH_WEB_TARGET_CONNECTIONS)"))?;
        let place = Arc::clone(&web.places)
            .try_acquire_owned()
            .map_err(|_| full(web.bounds.connections, "--web-connections (BERTH_WEB_CONNECTIONS)"))?;
        web.meters.connections.inc();
        let (tether, meters) = (web.warden.tie(guard), web.meters.clone());
        Ok(Held { tether, meters, _place: place, _of_target: of_target, _running: web.running.token() })
    }

    fn carry(&self, tunnel: Tunnel, held: Held) {
        let idle = self.0.bounds.flow.idle;
        self.0.running.spawn(async move {
            let end = tunnel.run(idle, held.tether.cut()).await;
            tracing::debug!(end = end.as_str(), "a tunnel ended");
        });
    }
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

fn unanswered(why: &Unanswered, broken: Option<Broken>, application: &Application) -> Problem {
    let url = application.authority();
    match (broken, why) {
        (Some(Broken::TooLarge), _) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "the body is longer than --web-max-body (BERTH_WEB_MAX_BODY)",
        ),
        (Some(Broken::Idle | Broken::Slow), _) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body did not arrive")
        }
        (_, Unanswered::Unreached(_)) => {
            let detail = format!("the bot's application at {url} is not reachable; nothing was handed to it");
            Problem::unavailable("application-down", detail)
        }
        (_, Unanswered::Silent) => {
            let detail = "the bot's application did not answer in time; it may have acted on the request";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", detail)
        }
        (_, Unanswered::Cut) => ended(),
        (_, Unanswered::Lost(_)) => {
            let detail =
                "the bot's application broke the connection before it answered; it may have acted on the request";
            Problem::new(StatusCode::BAD_GATEWAY, "outcome-unknown", detail)
        }
    }
}

fn ended() -> Problem {
    let detail = "the pod lost the target while the application worked; it may have acted on the request";
    Problem::unavailable("outcome-unknown", detail)
}

/// What is counted.
#[derive(Debug, Clone)]
struct Meters {
    requests: Family<Verdict, Counter>,
    connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: String,
}

impl Meters {
    fn register(metrics: &Metrics) -> Self {
        let meters = Self { requests: Family::default(), connections: Gauge::default() };
        metrics.register(|to| {
            to.register(
                "berth_web_requests",
                "Web requests of targets by what became of them",
                meters.requests.clone(),
            );
            to.register("berth_web_connections", "Web requests and tunnels under way", meters.connections.clone());
        });
        meters
    }
}
