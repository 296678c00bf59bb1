//! What a shard needs of a connection to Discord's gateway, and nothing of how it is made: one connection is one socket, from
//! HELLO to its end. Whoever holds it decides what comes after that; so that is tried without sockets, too.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use shared::wire::discord::Shard;

/// A session of Discord's, and up to where it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Discord's id of it.
    pub(crate) id: String,
    /// The number of the last event that was taken.
    pub(crate) seq: u64,
    /// Where it is resumed.
    pub(crate) url: String,
}

/// A connection that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Of which shard.
    pub(crate) shard: Shard,
    /// What is to be resumed; without it the shard identifies, once it is permitted.
    pub(crate) resume: Option<Session>,
    /// Whether the session's own address is passed over: it was not reached there.
    pub(crate) by_main_url: bool,
    /// The session that Discord has refused to resume.
    pub(crate) refused: Option<String>,
}

/// What comes over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Discord has greeted.
    Hello,
    /// A new session.
    Ready {
        /// This one.
        session: Session,
        /// The ids of the guilds that it lists. Discord tells of each later.
        guilds: Vec<String>,
    },
    /// The session goes on; what was missed has come before this.
    Resumed {
        /// The number of this message.
        seq: u64,
    },
    /// Something happened.
    Dispatch(Dispatch),
    /// The connection is over.
    End(End),
}

/// Something that happened, as Discord tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatch {
    /// Its number in the session.
    pub(crate) seq: u64,
    /// Its name, `MESSAGE_CREATE` for example.
    pub(crate) name: String,
    /// Its data: JSON, as it came.
    pub(crate) data: String,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was closed with a code, or without one.
    Closed(Option<u16>),
    /// Discord does not go on with the session (op 9).
    Invalid {
        /// Whether it may still be resumed.
        resumable: bool,
    },
    /// It could not be opened, or broke.
    Broken(String),
}

/// Makes connections.
pub(crate) trait Connector: Send + Sync + 'static {
    /// Begins a connection. It is opened while it is listened to.
    fn connect(&self, wanted: Wanted) -> Box<dyn Connection>;

    /// Does what can be done before a shard comes that would go on with this session, without a word to Discord. A
    /// connection that is begun soon after that is open sooner.
    fn prepare(&self, shard: Shard, session: Session) -> BoxFuture<'_, ()>;
}

/// A connection. Dropped, it is gone without a word; its session can be resumed.
pub(crate) trait Connection: Send + 'static {
    /// Waits for what comes. After [`Heard::End`] nothing does. May be given up at any time and asked again.
    fn next(&mut self) -> BoxFuture<'_, Heard>;

    /// Closes it in a way that leaves the session resumable, and waits until Discord has been told.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}
