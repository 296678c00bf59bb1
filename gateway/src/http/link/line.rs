//! The bytes of one link: one task owns the socket and the conversation, each request runs in a task of its own, and all
//! replies that are ready together leave in one write. Decides when a link is too quiet or too full; what the frames mean
//! is the conversation's.
//!
//! ```text
//! socket ──read──▶ decode ──▶ Conversation ──▶ a task per request ──▶ Door ──▶ Engine
//!    ▲                             │                     │
//!    └───────────write── out ◀─────┴──────── done ◀──────┘
//! ```

use super::conversation::{Conversation, Cut, Step};
use bytes::{Buf, BytesMut};
use futures_util::poll;
use shared::shutdown::Shutdown;
use shared::wire::Hello;
use shared::wire::link::{Frame, HEAD, Outcome, Request, Window, decode, encode};
use std::{io, task::Poll, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::TaskTracker;

/// Read from the socket at once.
const CHUNK: usize = 64 << 10;
/// With more than this to be written the link reads no further: a router that does not listen shall not be heard either.
const OUT_HIGH: usize = 1 << 20;

/// Who answers the requests of a link: the pod's door.
pub(crate) trait Answerer: Send + 'static {
    /// Answers a request that arrives now, within its deadline.
    fn answer(&self, request: Request) -> impl Future<Output = Outcome> + Send + 'static;
}

/// The bounds of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// What may be unanswered.
    pub(crate) window: Window,
    /// The largest frame.
    pub(crate) max_frame: usize,
    /// How long the other side may be silent, or take nothing.
    pub(crate) silence: Duration,
}

/// How a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The other side closed it.
    #[error("closed by the other side")]
    Closed,
    /// This pod stops, and all is answered.
    #[error("this pod stops")]
    Stopped,
    /// The other side broke the rules.
    #[error("{0}")]
    Cut(#[from] Cut),
    /// Nothing came, or nothing was taken.
    #[error("silent for {0:?}")]
    Silent(Duration),
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
}

impl End {
    /// Returns the word metrics know it by.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Stopped => "stopped",
            Self::Cut(cut) => cut.reason(),
            Self::Silent(_) => "silent",
            Self::Broken(_) => "broken",
        }
    }
}

/// One link.
#[derive(Debug)]
pub(crate) struct Line<S, A> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    bounds: Bounds,
    talk: Conversation,
    door: A,
    /// Requests outlive their link: what was accepted is applied, and a stopping pod waits for them.
    requests: TaskTracker,
    /// Requests at work, those nobody waits for included.
    at_work: usize,
    done: mpsc::UnboundedSender<(u32, Outcome)>,
    finished: mpsc::UnboundedReceiver<(u32, Outcome)>,
    input: BytesMut,
    out: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Send, A: Answerer> Line<S, A> {
    /// Makes the gateway's end of a link over `socket`; `name` is the pod's.
    pub(crate) fn new(socket: S, name: String, bounds: Bounds, door: A, requests: TaskTracker) -> Self {
        let (reader, writer) = tokio::io::split(socket);
        let mut out = BytesMut::new();
        // Said before anything is heard, so that a peer of another version learns why it is cut off.
        encode(&Frame::Hello { hello: Hello::CURRENT, name, window: bounds.window }, &mut out);
        let talk = Conversation::new(bounds.window);
        let (done, finished) = mpsc::unbounded_channel();
        Self { reader, writer, bounds, talk, door, requests, at_work: 0, done, finished, input: BytesMut::new(), out }
    }

    /// Runs the link to its end. Returns how it ended, and who was at the other end if it said so.
    pub(crate) async fn run(mut self, stop: Shutdown) -> (End, Option<String>) {
        let end = match self.talk_on(stop).await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        // What is written already should reach the other side: the reason of a cut may be in it.
        let _ = tokio::time::timeout(self.bounds.silence, self.writer.write_all_buf(&mut self.out)).await;
        let _ = tokio::time::timeout(self.bounds.silence, self.writer.shutdown()).await;
        (end, self.talk.peer().map(str::to_owned))
    }

    async fn talk_on(&mut self, stop: Shutdown) -> Result<std::convert::Infallible, End> {
        let (mut heard, mut taken) = (Instant::now(), Instant::now());
        let mut stopping = false;
        loop {
            if stopping && self.talk.is_idle() && self.out.is_empty() {
                return Err(End::Stopped);
            }
            if self.out.is_empty() {
                taken = Instant::now();
            }
            // A link that is not read from, because it is too full, is not blamed for its silence.
            let listening = self.out.len() < OUT_HIGH && self.at_work < 2 * self.bounds.window.requests.max(1) as usize;
            if !listening {
                heard = Instant::now();
            }
            if self.input.capacity() - self.input.len() < CHUNK / 8 {
                self.input.reserve(CHUNK);
            }
            // In this order: replies leave first, and after a pause of the whole machine what has come meanwhile counts
            // before the silence does.
            tokio::select! {
                biased;
                written = self.writer.write_buf(&mut self.out), if self.out.has_remaining() => {
                    if written? == 0 {
                        return Err(End::Closed);
                    }
                    taken = Instant::now();
                }
                Some((stream, outcome)) = self.finished.recv() => self.finish(stream, outcome).await,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    if let Some(frame) = self.talk.stop() {
                        encode(&frame, &mut self.out);
                    }
                }
                read = self.reader.read_buf(&mut self.input), if listening => {
                    if read? == 0 {
                        return Err(End::Closed);
                    }
                    heard = Instant::now();
                    self.take_in().await?;
                }
                () = tokio::time::sleep_until(heard.min(taken) + self.bounds.silence) => {
                    return Err(End::Silent(self.bounds.silence));
                }
            }
        }
    }

    /// Takes every whole frame out of what was read. Each request gets to its mailbox before the next one is looked at, unless it
    /// has to wait for something: what comes over a link in an order arrives in it, as a rule.
    async fn take_in(&mut self) -> Result<(), Cut> {
        loop {
            let before = self.input.len();
            let Some(frame) = decode(&mut self.input, self.bounds.max_frame)? else { return Ok(()) };
            let size = before - self.input.len() - HEAD;
            match self.talk.receive(frame, size)? {
                Step::Nothing => {}
                Step::Send(frame) => encode(&frame, &mut self.out),
                Step::Work(stream, request) => {
                    let (mut answer, done) = (Box::pin(self.door.answer(*request)), self.done.clone());
                    self.at_work += 1;
                    // The link may be gone by then; nobody waits any more.
                    let told = move |outcome| drop(done.send((stream, outcome)));
                    match poll!(&mut answer) {
                        Poll::Ready(outcome) => told(outcome),
                        Poll::Pending => drop(self.requests.spawn(async move { told(answer.await) })),
                    }
                }
            }
        }
    }

    /// Queues a reply, and every other one that is ready by now: a group commit answers many at once.
    async fn finish(&mut self, stream: u32, outcome: Outcome) {
        let mut next = Some((stream, outcome));
        tokio::task::yield_now().await;
        while let Some((stream, outcome)) = next {
            self.at_work -= 1;
            if let Some(frame) = self.talk.answer(stream, outcome) {
                encode(&frame, &mut self.out);
            }
            next = self.finished.try_recv().ok();
        }
    }
}

#[cfg(test)]
mod tests;
