//! How long a connection may be quiet: little while half a head is there, long between two requests. hyper has one time
//! for both; proxies keep connections for a minute and send a request just when a shorter time is over.
//!
//! ```text
//! connect ── head_timeout ──▶ first head whole ─▶ answer ── idle_timeout ──▶ closed
//!                                                   └ a byte of the next head ── head_timeout ──▶ closed
//! ```

use hyper::rt;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time;

/// Counts what a connection has heard, for the timer to see.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicU64>);

impl Heard {
    /// Notes that bytes have come.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The timer that hyper asks for the end of each wait for a head. One per connection.
#[derive(Debug)]
pub(super) struct HeadTimer {
    heard: Heard,
    head: Duration,
    idle: Duration,
    /// Whether a head was waited for before: the first one is owed from the start.
    later: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(heard: Heard, head: Duration, idle: Duration) -> Self {
        Self { heard, head, idle, later: AtomicBool::new(false) }
    }
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn rt::Sleep>> {
        let begun = !self.later.swap(true, Ordering::Relaxed);
        let time = if begun { self.head } else { self.idle };
        Box::pin(Wait {
            sleep: Box::pin(time::sleep(time)),
            heard: self.heard.clone(),
            before: self.heard.count(),
            head: self.head,
            begun,
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(self.head)
    }
}

/// One wait for a head.
struct Wait {
    sleep: Pin<Box<time::Sleep>>,
    heard: Heard,
    before: u64,
    head: Duration,
    /// Whether the head has begun to come, so that the shorter time runs.
    begun: bool,
}

impl rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.begun && self.heard.count() != self.before {
            self.begun = true;
            let until = time::Instant::now() + self.head;
            self.sleep.as_mut().reset(until);
        }
        self.sleep.as_mut().poll(context)
    }
}
