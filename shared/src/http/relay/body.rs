//! Bodies on their way through: handed on piece by piece as the reader takes them, within a length and a time in which
//! something must move, and cut when they are told to end. Nothing is collected.

use crate::shutdown::Shutdown;
use axum::{BoxError, body::Body};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Counts what moves in one exchange, in either direction.
#[derive(Debug, Clone, Default)]
pub struct Flow(Arc<AtomicU64>);

impl Flow {
    /// Makes a flow in which nothing has moved.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that something has moved.
    pub fn moved(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns once nothing has moved for `idle`, at most a quarter later.
pub async fn quiet(flow: &Flow, idle: Duration) {
    let (mut seen, mut still) = (flow.count(), 0);
    while still < 4 {
        sleep(idle / 4).await;
        let now = flow.count();
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
    }
}

/// Why a body was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It is longer than allowed.
    #[error("the body is longer than allowed")]
    TooLarge,
    /// Nothing moved for too long.
    #[error("nothing moved for too long")]
    Idle,
    /// It arrived too slowly.
    #[error("the body arrived too slowly")]
    Slow,
    /// It was told to end.
    #[error("the body was cut off")]
    Cut,
    /// Its source failed.
    #[error("the body's source failed")]
    Source,
}

/// How long a body may still be waited for: bytes that arrive win time, waiting for them uses it up. A reader who takes
/// nothing uses nothing up.
#[derive(Debug)]
struct Pace {
    rate: u32,
    most: Duration,
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    fn new(rate: u32, most: Duration) -> Option<Self> {
        (rate > 0).then_some(Self { rate, most, left: most, waiting: None })
    }

    fn is_lost(&mut self, context: &mut Context<'_>) -> bool {
        let left = self.left;
        let (_, over) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        over.as_mut().poll(context).is_ready()
    }

    fn arrived(&mut self, bytes: u64) {
        if let Some((since, _)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        // Never more than at the beginning: a fast start does not pay for a slow end.
        let won = Duration::from_secs(bytes) / self.rate;
        self.left = self.left.saturating_add(won).min(self.most);
    }
}

/// A body within bounds. What it holds is let go with it.
pub struct Watched {
    inner: Body,
    flow: Flow,
    idle: Duration,
    left: u64,
    asleep: Option<(Pin<Box<Sleep>>, u64)>,
    pace: Option<Pace>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    broken: Arc<OnceLock<Broken>>,
    _held: Box<dyn Send + Sync>,
}

impl Watched {
    /// Watches a body: at most `most` bytes, never without a move for `idle`, until `cut`. `held` lives as long as it.
    pub fn new(
        inner: Body,
        flow: Flow,
        idle: Duration,
        most: u64,
        cut: Shutdown,
        held: impl Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            flow,
            idle,
            left: most,
            asleep: None,
            pace: None,
            cut: Box::pin(cut.cancelled_owned()),
            broken: Arc::default(),
            _held: Box::new(held),
        }
    }

    /// Breaks it off when it arrives at less than `rate` bytes per second, after `idle` of waiting in all; 0 does not.
    #[must_use]
    pub fn paced(self, rate: u32) -> Self {
        Self { pace: Pace::new(rate, self.idle), ..self }
    }

    /// Returns where it will be noted why it was broken off.
    pub fn broken(&self) -> Arc<OnceLock<Broken>> {
        Arc::clone(&self.broken)
    }

    fn fail<T>(&self, why: Broken) -> Poll<Option<Result<T, BoxError>>> {
        let _ = self.broken.set(why);
        Poll::Ready(Some(Err(why.into())))
    }

    fn overdue(&mut self, context: &mut Context<'_>) -> bool {
        let (idle, count) = (self.idle, self.flow.count());
        let (asleep, seen) = self.asleep.get_or_insert_with(|| (Box::pin(sleep(idle)), count));
        while asleep.as_mut().poll(context).is_ready() {
            let now = self.flow.count();
            if now == *seen {
                return true;
            }
            *seen = now;
            asleep.set(sleep(idle));
        }
        false
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.cut.as_mut().poll(context).is_ready() {
            return this.fail(Broken::Cut);
        }
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending if this.overdue(context) => this.fail(Broken::Idle),
            Poll::Pending if this.pace.as_mut().is_some_and(|pace| pace.is_lost(context)) => this.fail(Broken::Slow),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => this.fail(Broken::Source),
            Poll::Ready(Some(Ok(frame))) => {
                this.flow.moved();
                this.asleep = None;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(pace) = &mut this.pace {
                    pace.arrived(length);
                }
                match this.left.checked_sub(length) {
                    Some(left) => this.left = left,
                    None => return this.fail(Broken::TooLarge),
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that is lent for an attempt to send it: until the first piece of it is taken it can be lent again.
#[derive(Debug, Clone)]
pub(super) struct Lent {
    slot: Arc<Mutex<Option<Body>>>,
    empty: bool,
    hint: SizeHint,
}

impl Lent {
    /// Keeps a body to lend.
    pub(super) fn new(body: Body) -> Self {
        let (empty, hint) = (body.is_end_stream(), body.size_hint());
        Self { slot: Arc::new(Mutex::new(Some(body))), empty, hint }
    }

    /// Returns whether somebody has begun to take it.
    pub(super) fn begun(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes the body for good, unless somebody has begun to take it.
    pub(super) fn take(&self) -> Option<Body> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| !self.empty)
    }

    /// Returns the body for one attempt.
    pub(super) fn lend(&self) -> Body {
        if self.empty { Body::empty() } else { Body::new(Borrowed { lent: self.clone(), taken: None }) }
    }
}

#[derive(Debug)]
struct Borrowed {
    lent: Lent,
    taken: Option<Body>,
}

impl HttpBody for Borrowed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.taken.is_none() {
            let taken = self.lent.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.taken = taken;
        }
        match &mut self.taken {
            Some(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            None => Poll::Ready(Some(Err(Broken::Source.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taken.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or_else(|| self.lent.hint, HttpBody::size_hint)
    }
}
