//! Reads a body whole, within a length, a time, and a share of the memory that all bodies have together.

use crate::ingress::Reason;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use shared::http::linger;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The bytes that all bodies may hold together, from the moment they are read until their requests are answered.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Semaphore>);

/// A body's share of the memory; goes back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Memory {
    /// Makes room for `bytes` bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn add(&self, share: &mut Share, bytes: usize) -> Result<(), Reason> {
        let bytes = u32::try_from(bytes).map_err(|_| Reason::TooLarge)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| Reason::NoMemory)?;
        match &mut share.0 {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        Ok(())
    }
}

/// Reads a body of at most `most` bytes within `time`. A body that says it is longer is refused before it is read. The
/// share counts what has really arrived, so that a sender who only announces much takes nothing.
pub(super) async fn read(
    mut body: Body,
    most: usize,
    time: Duration,
    memory: &Memory,
) -> Result<(Bytes, Share), Reason> {
    if body.size_hint().lower() > most as u64 {
        linger(body);
        return Err(Reason::TooLarge);
    }
    let until = Instant::now() + time;
    let (mut first, mut rest, mut share) = (Bytes::new(), BytesMut::new(), Share::default());
    loop {
        let frame = timeout_at(until, body.frame()).await.map_err(|_| Reason::SlowBody)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Reason::CutBody)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > most {
            linger(body);
            return Err(Reason::TooLarge);
        }
        if let Err(full) = memory.add(&mut share, data.len()) {
            linger(body);
            return Err(full);
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok((first, share));
    }
    Ok(([first.as_ref(), &rest].concat().into(), share))
}
