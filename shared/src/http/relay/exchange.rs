//! One request on its way through a hop and its answer on the way back: cleaned, watched, streamed. Says what became of
//! the request's body, for whoever decides about repeating; decides nothing itself.

use super::{
    body::{Broken, Flow, Lent, Watched},
    headers::{clean, upgrade_asked},
    sender::{Sender, Unanswered},
    tunnel::Tunnel,
};
use crate::{http::linger, shutdown::Shutdown};
use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request, uri::PathAndQuery,
};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The bounds of what flows.
#[derive(Debug, Clone, Copy)]
pub struct FlowBounds {
    /// The longest body of a request, in bytes.
    pub max_body: u64,
    /// How long nothing may move.
    pub idle: Duration,
    /// The slowest that a request's body may arrive, in bytes per second; 0 for as slow as it likes.
    pub min_rate: u32,
}

/// What goes back: the answer, and the tunnel to run when the other side agreed to leave HTTP, with what it holds.
pub struct Passed<H> {
    /// The answer.
    pub response: Response<Body>,
    /// The tunnel.
    pub tunnel: Option<(Tunnel, H)>,
}

/// One request on its way.
#[derive(Debug)]
pub struct Exchange {
    head: request::Parts,
    /// Whether its sender waits to be told before it sends the body.
    waits: bool,
    lent: Lent,
    flow: Flow,
    broken: Arc<OnceLock<Broken>>,
    upgrade: Option<(HeaderValue, OnUpgrade)>,
    bounds: FlowBounds,
    cut: Shutdown,
}

impl Exchange {
    /// Takes a request in: its headers are cleaned, its body is watched from now on. All of it ends with `cut`.
    pub fn begin(mut request: Request<Body>, bounds: FlowBounds, cut: Shutdown) -> Self {
        let upgrade = upgrade_asked(request.method(), request.version(), request.headers())
            .filter(|_| request.body().is_end_stream())
            .map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (mut head, body) = request.into_parts();
        let waits = head.headers.contains_key(header::EXPECT);
        clean(&mut head.headers);
        let flow = Flow::new();
        let body =
            Watched::new(body, flow.clone(), bounds.idle, bounds.max_body, cut.clone(), ()).paced(bounds.min_rate);
        let broken = body.broken();
        Self { head, waits, lent: Lent::new(Body::new(body)), flow, broken, upgrade, bounds, cut }
    }

    /// Returns the headers that will be sent.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.head.headers
    }

    /// Lets the answer end with `cut` and no longer with what it began under.
    pub fn end_with(&mut self, cut: Shutdown) {
        self.cut = cut;
    }

    /// Returns whether nothing of the body has been taken and the method says that twice is the same as once.
    pub fn is_repeatable(&self) -> bool {
        let harmless =
            matches!(self.head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
        harmless && !self.lent.begun()
    }

    /// Returns why the request's body was broken off, if it was.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.get().copied()
    }

    /// Sends it to `authority`, asking for `onward`.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(
        &self,
        sender: &Sender,
        authority: &str,
        onward: &PathAndQuery,
    ) -> Result<Response<Incoming>, Unanswered> {
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query(onward.clone()).build();
        let mut request = Request::new(self.lent.lend());
        *request.uri_mut() = uri.map_err(|why| Unanswered::Unreached(why.to_string()))?;
        *request.method_mut() = self.head.method.clone();
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().clone_from(&self.head.headers);
        if !request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority)
        {
            request.headers_mut().insert(header::HOST, host);
        }
        if let Some((protocol, _)) = &self.upgrade {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(header::UPGRADE, protocol.clone());
        }
        sender.send(request, &self.flow, &self.cut).await
    }

    /// Ends it with an answer of this hop's own: a body that nobody has begun to take is read on behind it for a while, so
    /// that its sender sees the answer and no reset. Who waits to be told to go on sends no body.
    pub fn refuse(self) {
        if !self.waits
            && let Some(body) = self.lent.take()
        {
            linger(body);
        }
    }

    /// Returns what goes back. `held` lives as long as the answer's body or the tunnel. An agreement to leave HTTP that
    /// nobody asked for is no answer.
    pub fn answer<H: Send + Sync + 'static>(self, mut answer: Response<Incoming>, held: H) -> Option<Passed<H>> {
        let tunnel = if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (_, client) = self.upgrade?;
            let agreed = answer.headers().get(header::UPGRADE)?.clone();
            Some((agreed, Tunnel { client, server: hyper::upgrade::on(&mut answer) }))
        } else {
            None
        };
        let (mut head, body) = answer.into_parts();
        head.version = Version::HTTP_11;
        clean(&mut head.headers);
        match tunnel {
            Some((agreed, tunnel)) => {
                head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                head.headers.insert(header::UPGRADE, agreed);
                Some(Passed { response: Response::from_parts(head, Body::empty()), tunnel: Some((tunnel, held)) })
            }
            None => {
                let body = Watched::new(Body::new(body), self.flow, self.bounds.idle, u64::MAX, self.cut, held);
                Some(Passed { response: Response::from_parts(head, Body::new(body)), tunnel: None })
            }
        }
    }
}
