//! The gateway's end of a link, as a conversation (`shared::wire::link`): which frame may come when, what is unanswered,
//! and when the other side has broken the rules. Pure: a frame in, what to do out. Knows no socket and no event.

use shared::wire::Hello;
use shared::wire::link::{Frame, LinkError, Outcome, Request, Window};
use std::collections::HashMap;

/// Why a link is cut. After that the router opens a new one and sends again what was unanswered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// The bytes are no frames.
    #[error("{0}")]
    Bytes(#[from] LinkError),
    /// The first frame is not a hello.
    #[error("the first frame is not a hello")]
    NoHello,
    /// The two sides have no version in common.
    #[error("no version in common: the other side speaks {0} to {1}")]
    Version(u16, u16),
    /// A frame that only a gateway sends, or a second hello.
    #[error("a {0} frame may not come here")]
    OutOfPlace(&'static str),
    /// A stream's number is not larger than all before it.
    #[error("stream {0} is not larger than the last one")]
    Stream(u32),
    /// More is unanswered than the hello allowed.
    #[error("more is unanswered than this pod's window allows")]
    Window,
}

impl Cut {
    /// Returns the word metrics know it by.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "malformed",
            Self::NoHello | Self::OutOfPlace(_) | Self::Stream(_) => "protocol",
            Self::Version(..) => "version",
            Self::Window => "window",
        }
    }
}

/// What a frame asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Nothing,
    /// Send this.
    Send(Frame),
    /// Work on this request, and say [`Conversation::answer`] when it is done.
    Work(u32, Box<Request>),
}

/// The state of one link.
#[derive(Debug)]
pub(crate) struct Conversation {
    window: Window,
    peer: Option<String>,
    last_stream: u32,
    /// Bytes of each request that somebody waits for.
    unanswered: HashMap<u32, usize>,
    bytes: usize,
    stopping: bool,
}

impl Conversation {
    /// Begins with the window that this side allows.
    pub(crate) fn new(window: Window) -> Self {
        Self { window, peer: None, last_stream: 0, unanswered: HashMap::new(), bytes: 0, stopping: false }
    }

    /// Returns who is at the other end, once it has said so.
    pub(crate) fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// Returns whether nobody waits for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// Takes a frame whose payload had `size` bytes.
    ///
    /// # Errors
    /// [`Cut`]: the link must be closed.
    pub(crate) fn receive(&mut self, frame: Frame, size: usize) -> Result<Step, Cut> {
        if self.peer.is_none() {
            return self.greet(frame);
        }
        match frame {
            Frame::Request { stream, request } => self.request(stream, request, size),
            Frame::Cancel { stream } => Ok(self.cancel(stream)),
            Frame::Ping => Ok(Step::Send(Frame::Pong)),
            // A router that stops asks nothing more; what it has asked is answered while it listens.
            Frame::Pong | Frame::Goaway => Ok(Step::Nothing),
            Frame::Hello { .. } => Err(Cut::OutOfPlace("hello")),
            Frame::Reply { .. } => Err(Cut::OutOfPlace("reply")),
        }
    }

    fn greet(&mut self, frame: Frame) -> Result<Step, Cut> {
        let Frame::Hello { hello, name, .. } = frame else { return Err(Cut::NoHello) };
        Hello::CURRENT.agree(hello).ok_or(Cut::Version(hello.min, hello.max))?;
        self.peer = Some(name);
        Ok(Step::Nothing)
    }

    fn request(&mut self, stream: u32, request: Box<Request>, size: usize) -> Result<Step, Cut> {
        if stream <= self.last_stream {
            return Err(Cut::Stream(stream));
        }
        self.last_stream = stream;
        let (requests, bytes) = (self.window.requests as usize, self.window.bytes as usize);
        // One request alone is bounded by the largest frame, so that a small window never makes it impossible.
        let fits = self.unanswered.is_empty() || (self.unanswered.len() < requests && self.bytes + size <= bytes);
        if !fits {
            return Err(Cut::Window);
        }
        if self.stopping {
            return Ok(Step::Send(Frame::Reply { stream, outcome: Box::new(stopping()) }));
        }
        self.unanswered.insert(stream, size);
        self.bytes += size;
        Ok(Step::Work(stream, request))
    }

    /// Nobody waits any more: the share goes back at once, with a reply, so that both sides count alike however the
    /// cancel and the true answer cross. What was accepted is still applied.
    fn cancel(&mut self, stream: u32) -> Step {
        self.answer(stream, Outcome::Late).map_or(Step::Nothing, Step::Send)
    }

    /// Returns the reply to a request that was worked on; none when nobody waits for it any more.
    pub(crate) fn answer(&mut self, stream: u32, outcome: Outcome) -> Option<Frame> {
        let size = self.unanswered.remove(&stream)?;
        self.bytes -= size;
        Some(Frame::Reply { stream, outcome: Box::new(outcome) })
    }

    /// From now on requests are turned away. Returns what to tell the other side, the first time.
    pub(crate) fn stop(&mut self) -> Option<Frame> {
        let first = !std::mem::replace(&mut self.stopping, true);
        first.then_some(Frame::Goaway)
    }
}

fn stopping() -> Outcome {
    Outcome::NotServing { detail: "this pod is stopping".to_owned() }
}

#[cfg(test)]
mod tests;
