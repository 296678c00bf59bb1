//! The frame link between the HTTP tier and a gateway: one TCP connection per pod carries many requests at once.
//!
//! It begins as an HTTP/1.1 request `GET /v1/link` with `Upgrade: berth-link` on the gateway's port, then both sides send
//! frames. A frame is a head of 12 bytes, little endian: length of the payload `u32`, kind `u8`, flags `u8` (zero), two
//! reserved bytes (zero), stream `u32`; then the payload, a row of fields `tag u8 · length u32 · bytes`. A reader skips
//! tags it does not know, so messages grow by adding. PERFORMANCE.md says why frames and not HTTP.
//!
//! ```text
//! router                       gateway
//!   Hello{min,max}        →
//!                         ←    Hello{min,max, most requests, most bytes}
//!   Request(stream 1)     →
//!   Request(stream 2)     →
//!                         ←    Reply(stream 2)
//!   Cancel(stream 1)      →    (nobody waits any more; what was accepted is still applied)
//!                         ←    Reply(stream 1, Late)
//!   Ping                  ↔    Pong
//!                         ←    Goaway: no new requests, running ones are answered
//! ```
//! **Flow control**: the gateway's hello says how many requests and how many payload bytes may be unanswered at once;
//! every reply gives its request's share back ([`request_len`] bytes). A cancelled one is replied to with `Late` at once,
//! unless its true reply is under way already; a router takes a share back when the deadline has passed at the latest. A
//! router that has used its share waits, and parks no more than it may. Whoever breaks these rules is cut off.

mod codec;

pub use codec::{HEAD, LinkError, decode, encode, request_len};

use super::Hello;
use crate::event::{Answer, Event};
use crate::telemetry::trace::TraceContext;
use crate::{Epoch, PodId, Revision};

/// The token of the `Upgrade` header.
pub const UPGRADE: &str = "berth-link";

/// The path of the upgrade request.
pub const PATH: &str = "/v1/link";

/// What the gateway allows to be unanswered at once on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Requests.
    pub requests: u32,
    /// Bytes of payload.
    pub bytes: u32,
}

/// A frame. Streams are numbered by the router, increasing from 1 on each link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of each side. `window` counts only from the gateway.
    Hello {
        /// The versions it speaks.
        hello: Hello,
        /// Who speaks: a pod's name, or the router's.
        name: String,
        /// What the other side may have unanswered.
        window: Window,
    },
    /// An event for its owner.
    Request {
        /// The request's number.
        stream: u32,
        /// The request.
        request: Box<Request>,
    },
    /// What became of it.
    Reply {
        /// The request's number.
        stream: u32,
        /// The outcome.
        outcome: Box<Outcome>,
    },
    /// The router waits no longer.
    Cancel {
        /// The request's number.
        stream: u32,
    },
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
    /// The sender stops: it takes no new requests on this link.
    Goaway,
}

/// A verified event on its way to the pod that the router takes for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The event.
    pub event: Event,
    /// The epoch the router knows the ownership by.
    pub epoch: Epoch,
    /// The revision of the router's table; a pod that is behind it waits for its own stream before it says not-owner.
    pub revision: Revision,
    /// Milliseconds from sending until the router gives up.
    pub deadline_ms: u32,
    /// The span that sends it, when the router traces.
    pub trace: Option<TraceContext>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The event is committed; this is the answer for the platform.
    Committed {
        /// The answer.
        answer: Answer,
        /// True when the event had been committed before and changed nothing now.
        duplicate: bool,
    },
    /// The pod does not own the target. Nothing was done.
    NotOwner {
        /// Who does, as far as the pod knows: a hint, never an address.
        owner: Option<PodId>,
        /// The highest epoch the pod knows of the target.
        epoch: Epoch,
    },
    /// The pod may not act just now (its lease is over, or it is stopping). Nothing was done.
    NotServing {
        /// A sentence.
        detail: String,
    },
    /// A bound is reached. Nothing was done.
    Busy {
        /// When to come back, in milliseconds.
        retry_after_ms: u32,
    },
    /// The event could not be committed (disk full, database read-only). It is not acknowledged.
    NotCommitted {
        /// A sentence.
        detail: String,
    },
    /// The deadline passed before the event was committed. It may still be applied; the same id is safe to send again.
    Late,
}

impl Outcome {
    /// Returns the word by which metrics and traces know it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Committed { duplicate: false, .. } => "committed",
            Self::Committed { duplicate: true, .. } => "duplicate",
            Self::NotOwner { .. } => "not-owner",
            Self::NotServing { .. } => "not-serving",
            Self::Busy { .. } => "busy",
            Self::NotCommitted { .. } => "not-committed",
            Self::Late => "late",
        }
    }
}
