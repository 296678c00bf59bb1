//! The client span of a hop, by OpenTelemetry's conventions for HTTP, and the header that tells the next one of it. Decides
//! what is left out: path and query, which may hold what the application keeps to itself.

use super::Unanswered;
use crate::{
    http::traced::known,
    telemetry::trace::{Span, SpanKind, TraceContext, Tracer},
};
use http::{HeaderName, HeaderValue, Request, Response};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Begins the span of a request that is about to leave. Without a tracer, what the request says of traces goes on as it is.
pub(super) fn begin<B>(tracer: &Tracer, request: &mut Request<B>) -> Span {
    if !tracer.is_on() {
        return Span::default();
    }
    let method = known(request.method());
    let mut span = tracer.start(method, SpanKind::Client, TraceContext::current().as_ref());
    span.describe(|live| {
        live.set("http.request.method", method).set("url.scheme", "http");
        if let Some(authority) = request.uri().authority() {
            live.set("server.address", authority.host().to_owned());
            live.set("server.port", i64::from(authority.port_u16().unwrap_or(80)));
        }
    });
    let headers = request.headers_mut();
    headers.remove(STATE);
    headers.remove(PARENT);
    if let Some(own) = span.context() {
        headers.extend(HeaderValue::try_from(own.traceparent()).ok().map(|parent| (PARENT, parent)));
        let state = own.state().and_then(|state| HeaderValue::try_from(state).ok());
        headers.extend(state.map(|state| (STATE, state)));
    }
    span
}

/// Says what came back.
pub(super) fn ended<B>(span: &mut Span, sent: &Result<Response<B>, Unanswered>) {
    span.describe(|live| match sent {
        Ok(answer) => {
            let status = answer.status();
            live.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                live.fail_as(status.as_str().to_owned());
            }
        }
        Err(why) => {
            live.fail_as(why.word());
        }
    });
}

#[cfg(test)]
mod tests;
