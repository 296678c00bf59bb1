//! What the span of a question to a handler says, by OpenTelemetry's conventions for HTTP clients. Decides what is left out
//! of the URL (whom it is signed in as, a query) and which statuses are failures. Knows no event.

use super::wire::WireError;
use http::{StatusCode, Uri};
use shared::telemetry::trace::Live;

/// The port of a URL that names none.
const PORT: u16 = 80;

/// Describes the question before it is asked.
pub(super) fn asked(live: &mut Live, base: &str, path: &str) {
    live.set("http.request.method", "POST");
    let Ok(uri) = base.parse::<Uri>() else { return };
    let Some(host) = uri.host() else { return };
    let port = uri.port_u16();
    let shown = port.map(|port| format!(":{port}")).unwrap_or_default();
    live.set("url.full", format!("http://{host}{shown}{}{path}", uri.path().trim_end_matches('/')))
        .set("server.address", host.to_owned())
        .set("server.port", i64::from(port.unwrap_or(PORT)));
}

/// Says what came back. That the handler ignores an event (409) is an answer like others.
pub(super) fn answered<B>(live: &mut Live, sent: &Result<(StatusCode, B), WireError>) {
    match sent {
        Ok((status, _)) => {
            live.set("http.response.status_code", i64::from(status.as_u16()));
            if !status.is_success() && *status != StatusCode::CONFLICT {
                live.fail_as(status.as_str().to_owned());
            }
        }
        Err(why) => {
            live.fail_as(why.word());
        }
    }
}
