//! Reads a body whole, within a length and a time.

use crate::ingress::Reason;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the rest of a body that is too large is read and thrown away behind the answer. A connection that is closed
/// on a sender who still writes is reset, and the reset may overtake the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Reads a body of at most `most` bytes within `time`. A body that says it is longer is refused before it is read.
pub(super) async fn read(mut body: Body, most: usize, time: Duration) -> Result<Bytes, Reason> {
    if body.size_hint().lower() > most as u64 {
        linger(body);
        return Err(Reason::TooLarge);
    }
    let until = Instant::now() + time;
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    loop {
        let frame = timeout_at(until, body.frame()).await.map_err(|_| Reason::SlowBody)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Reason::CutBody)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > most {
            linger(body);
            return Err(Reason::TooLarge);
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), &rest].concat().into())
}

fn linger(mut body: Body) {
    shared::shutdown::spawn(async move {
        let read_on = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = tokio::time::timeout(LINGER, read_on).await;
    });
}
