//! `GET /v1/link`: a router's HTTP request becomes a frame link (`shared::wire::link`). Decides who may open one and how
//! many there may be.

mod conversation;
mod line;

use line::Line;
pub(crate) use line::{Answerer, Bounds};

use super::{App, Door, Service};
use axum::{body::Body, extract::Request, extract::State};
use http::{HeaderMap, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use shared::{Problem, shutdown::Shutdown, wire::link::UPGRADE};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// The links of a pod. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    bounds: Bounds,
    places: Arc<Semaphore>,
    most: usize,
    links: TaskTracker,
    requests: TaskTracker,
    stop: Shutdown,
}

impl Links {
    /// Makes a pod's links: `most` at once.
    pub(crate) fn new(bounds: Bounds, most: usize) -> Self {
        let (links, requests) = (TaskTracker::new(), TaskTracker::new());
        Self { bounds, places: Arc::new(Semaphore::new(most)), most, links, requests, stop: Shutdown::new() }
    }

    /// Says goaway on every link and waits until what runs is answered.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.links.close();
        self.requests.close();
        self.links.wait().await;
        self.requests.wait().await;
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if self.stop.is_cancelled() {
            return Err(Problem::unavailable("stopping", "this pod is stopping"));
        }
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{} links are open, as many as --links (BERTH_LINKS) allows", self.most);
            Problem::unavailable("too-many-links", detail)
        })
    }

    fn carry(&self, upgrade: hyper::upgrade::OnUpgrade, door: Door, place: OwnedSemaphorePermit) {
        let (bounds, requests, stop) = (self.bounds, self.requests.clone(), self.stop.clone());
        self.links.spawn(async move {
            let _place = place;
            let socket = match tokio::time::timeout(bounds.silence, upgrade).await {
                Ok(Ok(socket)) => TokioIo::new(socket),
                Ok(Err(why)) => return tracing::debug!(error = %why, "a link was not upgraded"),
                Err(_) => return tracing::debug!("a link was not upgraded in time"),
            };
            let (metrics, name) = (door.metrics().clone(), door.ownership().pod().to_string());
            metrics.link_began();
            let (end, router) = Line::new(socket, name, bounds, door, requests).run(stop).await;
            metrics.link_ended(end.reason());
            match end {
                line::End::Cut(_) | line::End::Silent(_) => tracing::warn!(error = %end, router, "a link was cut"),
                _ => tracing::debug!(reason = %end, router, "a link ended"),
            }
        });
    }
}

/// Answers 101 and carries the link on, for a service that asks for it in the right words.
pub(super) async fn open(
    _service: Service,
    State(app): State<App>,
    mut request: Request,
) -> Result<Response<Body>, Problem> {
    if !asks_for_link(request.headers()) {
        let detail = format!("send Connection: upgrade and Upgrade: {UPGRADE}");
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", detail));
    }
    let place = app.links.place()?;
    let upgrade = hyper::upgrade::on(&mut request);
    app.links.carry(upgrade, app.door, place);
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static(UPGRADE));
    Ok(answer)
}

fn asks_for_link(headers: &HeaderMap) -> bool {
    let names = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    names(header::CONNECTION, "upgrade") && names(header::UPGRADE, UPGRADE)
}
