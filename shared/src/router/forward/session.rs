//! One open link as callers see it: shares of the window, and a queue into the [`connection`](super::connection) task.

use super::{Lost, NoShare};
use crate::wire::link::{Outcome, Request, Window};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::time::Instant;

/// An open link. Ends with its connection; the next connection is another session.
#[derive(Debug)]
pub(super) struct Session {
    /// Unbounded, because shares bound it: no call goes in without one.
    commands: mpsc::UnboundedSender<Command>,
    /// The number of the next request. The lock also keeps the numbers in the order of the queue.
    next: Mutex<u32>,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    window: Window,
    max_frame: usize,
}

/// What callers ask of the connection.
#[derive(Debug)]
pub(super) enum Command {
    /// Send this.
    Call(Box<Call>),
    /// Nobody waits for this one any more.
    Cancel(u32),
    /// The numbers are used up: answer what runs, then open a new link.
    Retire,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) stream: u32,
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Result<Outcome, Lost>>,
    /// Held until the reply comes.
    pub(super) permits: Permits,
    /// When the pod is done with it at the latest.
    pub(super) answer_by: Instant,
}

/// A part of the window; goes back when dropped.
#[derive(Debug)]
pub(super) struct Permits {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// A share of one session's window.
#[derive(Debug)]
pub struct Share {
    session: Arc<Session>,
    permits: Permits,
}

impl Session {
    /// Makes a session and the queue its connection reads.
    pub(super) fn new(window: Window, max_frame: usize) -> (Arc<Self>, mpsc::UnboundedReceiver<Command>) {
        let (commands, queue) = mpsc::unbounded_channel();
        let semaphore = |count: u32| Arc::new(Semaphore::new(count as usize));
        let (requests, bytes) = (semaphore(window.requests), semaphore(window.bytes));
        (Arc::new(Self { commands, next: Mutex::new(1), requests, bytes, window, max_frame }), queue)
    }

    /// Ends the session for callers: who waits for a share hears that the link is down.
    pub(super) fn close(&self) {
        self.requests.close();
        self.bytes.close();
    }

    /// Returns what a request costs of the window. One that is larger than the whole window takes all of it: a pod lets
    /// a request in that is alone, so that a small window makes nothing impossible.
    fn size(&self, bytes: usize) -> Result<u32, NoShare> {
        if bytes > self.max_frame || self.window.requests == 0 {
            return Err(NoShare::TooLarge);
        }
        Ok(u32::try_from(bytes).unwrap_or(u32::MAX).min(self.window.bytes))
    }

    /// Takes a share if there is one now.
    pub(super) fn try_reserve(self: &Arc<Self>, bytes: usize) -> Result<Share, NoShare> {
        let size = self.size(bytes)?;
        let none = |why| match why {
            TryAcquireError::Closed => NoShare::Down,
            TryAcquireError::NoPermits => NoShare::Full,
        };
        let request = Arc::clone(&self.requests).try_acquire_owned().map_err(none)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).map_err(none)?;
        Ok(Share { session: Arc::clone(self), permits: Permits { _request: request, _bytes: bytes } })
    }

    /// Waits for a share.
    pub(super) async fn reserve(self: Arc<Self>, bytes: usize) -> Result<Share, NoShare> {
        let size = self.size(bytes)?;
        let request = Arc::clone(&self.requests).acquire_owned().await.map_err(|_| NoShare::Down)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.map_err(|_| NoShare::Down)?;
        Ok(Share { session: self, permits: Permits { _request: request, _bytes: bytes } })
    }

    fn start(
        &self,
        request: Request,
        permits: Permits,
    ) -> Result<(u32, oneshot::Receiver<Result<Outcome, Lost>>), Lost> {
        let (reply, outcome) = oneshot::channel();
        let answer_by = Instant::now() + Duration::from_millis(request.deadline_ms.into());
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = *next;
        let Some(after) = stream.checked_add(1) else {
            let _ = self.commands.send(Command::Retire);
            return Err(Lost { sent: false });
        };
        let call = Box::new(Call { stream, request, reply, permits, answer_by });
        self.commands.send(Command::Call(call)).map_err(|_| Lost { sent: false })?;
        *next = after;
        Ok((stream, outcome))
    }
}

/// Hands a request over and waits for its outcome.
pub(super) async fn call(share: Share, request: Request) -> Result<Outcome, Lost> {
    let Share { session, permits } = share;
    let (stream, outcome) = session.start(request, permits)?;
    let mut waiting = Waiting { session: &session, stream, over: false };
    // A connection that ends drops what it has not answered.
    let outcome = outcome.await.unwrap_or(Err(Lost { sent: true }));
    waiting.over = true;
    outcome
}

/// Somebody who waits for a reply; tells the connection when they give up.
struct Waiting<'s> {
    session: &'s Session,
    stream: u32,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.session.commands.send(Command::Cancel(self.stream));
        }
    }
}
