//! What the span of an outgoing call says, by OpenTelemetry's conventions for HTTP clients. Decides what is left out: path,
//! query, headers and body, since platforms put secrets there.

use super::verdict::Attempt;
use crate::store::Claimed;
use reqwest::Url;
use shared::{TargetId, telemetry::trace::Live};

/// Describes a call before it is made.
pub(super) fn begun(live: &mut Live, target: &TargetId, claimed: &Claimed) {
    let method = claimed.call.method.to_ascii_uppercase();
    live.rename(method.clone());
    live.set("http.request.method", method).set("berth.target", target.to_string());
    if let Ok(url) = claimed.call.url.parse::<Url>() {
        live.set("url.scheme", url.scheme().to_owned());
        live.set("server.address", url.host_str().unwrap_or_default().to_owned());
        live.set("server.port", i64::from(url.port_or_known_default().unwrap_or_default()));
    }
    if claimed.attempts > 1 {
        live.set("http.request.resend_count", i64::from(claimed.attempts - 1));
    }
}

/// Says what became of it.
pub(super) fn ended(live: &mut Live, attempt: &Attempt) {
    match attempt {
        Attempt::Answered { status, .. } => {
            live.set("http.response.status_code", i64::from(*status));
            if *status >= 400 {
                live.set("error.type", status.to_string()).fail("");
            }
        }
        Attempt::Refused(_) => failed(live, "refused"),
        Attempt::NotSent(_) => failed(live, "not-sent"),
        Attempt::Unknown(_) => failed(live, "unknown"),
    }
}

fn failed(live: &mut Live, word: &'static str) {
    live.set("error.type", word).fail(word);
}
