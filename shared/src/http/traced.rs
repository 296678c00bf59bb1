//! Server spans by OpenTelemetry's conventions for HTTP. Decides what a span says of a request: never a body, a query, a
//! secret or a signature, and a path only where the routes leave no room for one. What else a handler knows of a request
//! it says by [`Facts`].

use crate::telemetry::trace::{Live, Span, SpanKind, TraceContext, Tracer, Value};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{Uri, header, uri::Authority};

/// Whose word a `traceparent` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Another service's, or that of somebody who is believed: the request belongs to that trace.
    Caller,
    /// Anybody's: the request begins a trace of its own, which only names the other one. Otherwise strangers could
    /// decide what is recorded.
    Nobody,
}

/// What a handler says of a request, for its span. Goes into the extensions of the response.
#[derive(Debug, Clone, Default)]
pub struct Facts(pub Vec<(&'static str, Value)>);

/// Gives every route of `router` a server span. With a tracer that is off, the router stays as it is. The path of a route
/// that takes whatever comes (`{*rest}`) is the caller's, and not recorded.
pub fn traced(router: Router, tracer: &Tracer, trust: Trust) -> Router {
    layered(router, Spans { tracer: tracer.clone(), trust, route: None, without: &[] })
}

/// The same, but leaves out the routes `without`: what services tell each other all the time, about nothing in particular.
pub fn traced_without(without: &'static [&'static str], router: Router, tracer: &Tracer, trust: Trust) -> Router {
    layered(router, Spans { tracer: tracer.clone(), trust, route: None, without })
}

/// The same for routes that are all known as `route`, whatever they match.
pub fn traced_as(route: &'static str, router: Router, tracer: &Tracer, trust: Trust) -> Router {
    layered(router, Spans { tracer: tracer.clone(), trust, route: Some(route), without: &[] })
}

fn layered(router: Router, spans: Spans) -> Router {
    if !spans.tracer.is_on() {
        return router;
    }
    router.layer(middleware::from_fn_with_state(spans, serve))
}

#[derive(Clone)]
struct Spans {
    tracer: Tracer,
    trust: Trust,
    route: Option<&'static str>,
    without: &'static [&'static str],
}

async fn serve(State(spans): State<Spans>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if matched.is_some_and(|route| spans.without.contains(&route)) {
        return next.run(request).await;
    }
    let mut span = begin(&spans, &request);
    let mut response = span.scope(next.run(request)).await;
    span.describe(|live| {
        let status = response.status();
        live.set("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            live.set("error.type", status.as_str().to_owned()).fail(status.canonical_reason().unwrap_or_default());
        }
        for (key, value) in response.extensions_mut().remove::<Facts>().unwrap_or_default().0 {
            live.set(key, value);
        }
    });
    response
}

fn begin(spans: &Spans, request: &Request) -> Span {
    let theirs = TraceContext::from_headers(request.headers());
    let (parent, link) = match spans.trust {
        Trust::Caller => (theirs.as_ref(), None),
        Trust::Nobody => (None, theirs.as_ref()),
    };
    // A method nobody has heard of must not become a name.
    let method = known(request.method());
    let mut span = spans.tracer.start_linked(method, SpanKind::Server, parent, link);
    span.describe(|live| {
        let route = spans.route.or_else(|| request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
        if let Some(route) = route {
            live.rename(format!("{method} {route}")).set("http.route", route.to_owned());
        }
        if route.is_some_and(|route| !route.contains("{*")) {
            live.set("url.path", request.uri().path().to_owned());
        }
        live.set("http.request.method", method);
        if method == "_OTHER" {
            live.set("http.request.method_original", request.method().as_str().to_owned());
        }
        live.set("url.scheme", "http");
        live.set("network.protocol.version", "1.1");
        server(live, request.uri(), request.headers().get(header::HOST));
    });
    span
}

fn server(live: &mut Live, uri: &Uri, host: Option<&http::HeaderValue>) {
    let named = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if let Some(authority) = uri.authority().or(named.as_ref()) {
        live.set("server.address", authority.host().to_owned());
        if let Some(port) = authority.port_u16() {
            live.set("server.port", i64::from(port));
        }
    }
}

/// Returns a method as spans name it.
pub(super) fn known(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests;
