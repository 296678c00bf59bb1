//! What was asked of the double, kept for whoever checks it. Decides nothing. All times are points of the double's clock.

use serde_json::Value;
use shared::clock::Mono;

/// How the gateway answered a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// READY, or RESUMED.
    Accepted,
    /// INVALID_SESSION, not resumable.
    Invalid,
    /// The connection was closed with this code.
    Closed(u16),
}

/// A connection that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// When.
    pub at: Mono,
    /// Whether it came by the resume URL.
    pub by_resume_url: bool,
    /// The transport compression it asked for.
    pub compress: Option<String>,
}

/// An IDENTIFY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identify {
    /// When.
    pub at: Mono,
    /// Index and number of shards.
    pub shard: (u32, u32),
    /// The intents it asked for.
    pub intents: u64,
    /// How it was answered.
    pub answer: Answer,
}

/// A RESUME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// When.
    pub at: Mono,
    /// The session.
    pub session: String,
    /// The shard of that session, when there is such a session.
    pub shard: Option<(u32, u32)>,
    /// The last event that the client has.
    pub seq: u64,
    /// Whether it came by the resume URL.
    pub by_resume_url: bool,
    /// How many events were replayed.
    pub replayed: usize,
    /// How it was answered.
    pub answer: Answer,
}

/// Another payload that a client sent: a presence, a voice state, a request for members.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// When.
    pub at: Mono,
    /// Index and number of shards.
    pub shard: (u32, u32),
    /// The opcode.
    pub op: u64,
    /// The data.
    pub data: Value,
}

/// A connection with a session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Mono,
    /// Index and number of shards.
    pub shard: (u32, u32),
    /// The client's close code; none when the connection just broke or the double ended it.
    pub code: Option<u16>,
}

/// A session as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Index and number of shards.
    pub shard: (u32, u32),
    /// The newest sequence number.
    pub seq: u64,
    /// Whether a connection has it.
    pub connected: bool,
}

/// A REST request with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// When.
    pub at: Mono,
    /// The method.
    pub method: String,
    /// The path behind `/api/v10`, without the query.
    pub path: String,
    /// The body; null when there was none.
    pub body: Value,
    /// The status it was answered with.
    pub status: u16,
}

/// All that the gateway was asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) connected: Vec<Connected>,
    pub(crate) identifies: Vec<Identify>,
    pub(crate) resumes: Vec<Resume>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) beats: usize,
}
