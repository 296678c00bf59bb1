//! Reads what is left of a request's body behind an answer that did not wait for it. Decides for how long; knows nothing
//! of who answers what.

use axum::body::Body;
use http_body_util::BodyExt;
use std::time::Duration;

/// How long the rest of a body is read and thrown away behind the answer. A connection that is closed on a sender who
/// still writes is reset, and the reset may overtake the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Reads the rest of a body for a while and throws it away.
pub fn linger(mut body: Body) {
    crate::shutdown::spawn(async move {
        let read_on = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = tokio::time::timeout(LINGER, read_on).await;
    });
}
