//! What an asynchronous handler wants done, as one: reply, writes, calls to the outside, timers, sessions. Applied through
//! [`Target`] in the event's own savepoint, by the same rules as a synchronous handler's own calls. Knows no transport.

use super::{HandlerError, OutboxCall, Reply, Target, sql::Params};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// What a handler said. Made with [`Said::nothing`] or [`Said::reply`] and added to.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub(crate) reply: Reply,
    pub(crate) deletes: Vec<String>,
    pub(crate) sets: Vec<Set>,
    pub(crate) calls: Vec<Asked>,
    pub(crate) timers: Vec<TimerChange>,
    pub(crate) sql: Vec<Statement>,
    pub(crate) sessions: Vec<SessionChange>,
}

/// A key to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) ttl: Option<Duration>,
}

/// A call to the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) call: OutboxCall,
    /// Whether it may be made twice; by its method when it is not said.
    pub(crate) idempotent: Option<bool>,
}

/// A change of the target's timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimerChange {
    At { id: String, due_ms: u64, payload: String },
    Cancel { id: String },
}

/// A statement on the bot's own tables.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) statement: String,
    pub(crate) params: Params,
}

/// A change of one of the target's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionChange {
    Set { id: String, value: Value, ttl: Option<Duration> },
    Touch { id: String },
    Delete { id: String },
}

impl Default for Said {
    fn default() -> Self {
        Self::nothing()
    }
}

impl Said {
    /// Says nothing and changes nothing: the event is acknowledged as its platform wants it.
    pub const fn nothing() -> Self {
        Self::reply(Reply::none())
    }

    /// Answers the sender.
    pub const fn reply(reply: Reply) -> Self {
        Self {
            reply,
            deletes: Vec::new(),
            sets: Vec::new(),
            calls: Vec::new(),
            timers: Vec::new(),
            sql: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Answers with text that everybody in the channel can read, where the platform shows text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::reply(Reply::text(text))
    }

    /// Sets a key. Deletions come before.
    #[must_use]
    pub fn set<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Self {
        self.put(key, value, None)
    }

    /// Sets a key that is gone after `ttl`.
    #[must_use]
    pub fn set_ttl<T: Serialize + ?Sized>(self, key: &str, value: &T, ttl: Duration) -> Self {
        self.put(key, value, Some(ttl))
    }

    /// Deletes a key.
    #[must_use]
    pub fn delete(mut self, key: &str) -> Self {
        self.deletes.push(key.to_owned());
        self
    }

    /// Asks for a call to the outside; as [`super::Outbox::call`].
    #[must_use]
    pub fn call(mut self, call: OutboxCall) -> Self {
        self.calls.push(Asked { call, idempotent: None });
        self
    }

    /// Asks for a call that may be made twice without harm; as [`super::Outbox::call_idempotent`].
    #[must_use]
    pub fn call_idempotent(mut self, call: OutboxCall) -> Self {
        self.calls.push(Asked { call, idempotent: Some(true) });
        self
    }

    /// Sets a timer; as [`super::Timers::at`].
    #[must_use]
    pub fn timer(mut self, id: &str, due_ms: u64, payload: &str) -> Self {
        self.timers.push(TimerChange::At { id: id.to_owned(), due_ms, payload: payload.to_owned() });
        self
    }

    /// Takes a timer back.
    #[must_use]
    pub fn cancel_timer(mut self, id: &str) -> Self {
        self.timers.push(TimerChange::Cancel { id: id.to_owned() });
        self
    }

    /// Runs a statement on the bot's own tables; as [`super::sql::Sql::execute`]. Statements run in their order, after the keys.
    #[must_use]
    pub fn sql(mut self, statement: &str, params: impl Into<Params>) -> Self {
        self.sql.push(Statement { statement: statement.to_owned(), params: params.into() });
        self
    }

    /// Sets a session; as [`super::Session::set`].
    #[must_use]
    pub fn session<T: Serialize + ?Sized>(self, id: &str, value: &T) -> Self {
        self.put_session(id, value, None)
    }

    /// Sets a session and its TTL; as [`super::Session::set_ttl`].
    #[must_use]
    pub fn session_ttl<T: Serialize + ?Sized>(self, id: &str, value: &T, ttl: Duration) -> Self {
        self.put_session(id, value, Some(ttl))
    }

    /// Lets a session's time begin anew.
    #[must_use]
    pub fn touch_session(self, id: &str) -> Self {
        self.touch_sessions(vec![id.to_owned()])
    }

    /// Ends a session.
    #[must_use]
    pub fn end_session(mut self, id: &str) -> Self {
        self.sessions.push(SessionChange::Delete { id: id.to_owned() });
        self
    }

    /// Lets the time of sessions begin anew, before anything else happens to them.
    pub(crate) fn touch_sessions(mut self, ids: Vec<String>) -> Self {
        self.sessions.splice(0..0, ids.into_iter().map(|id| SessionChange::Touch { id }));
        self
    }

    fn put_session<T: Serialize + ?Sized>(mut self, id: &str, value: &T, ttl: Option<Duration>) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.sessions.push(SessionChange::Set { id: id.to_owned(), value, ttl });
        self
    }

    fn put<T: Serialize + ?Sized>(mut self, key: &str, value: &T, ttl: Option<Duration>) -> Self {
        // What serde cannot write is a defect of the handler's own type; it reads back as null.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.sets.push(Set { key: key.to_owned(), value, ttl });
        self
    }

    /// Does what was said and returns the reply. It may be done again when the transaction is.
    ///
    /// # Errors
    /// What the first thing that cannot be done came to, with its place in front.
    pub(crate) fn apply(&self, target: &mut Target<'_>) -> Result<Reply, HandlerError> {
        for (i, key) in self.deletes.iter().enumerate() {
            target.kv().delete(key).map_err(|why| why.at(&format!("kv.delete[{i}]")))?;
        }
        for Set { key, value, ttl } in &self.sets {
            let set = match ttl {
                Some(ttl) => target.kv().set_ttl(key, value, *ttl),
                None => target.kv().set(key, value),
            };
            set.map_err(|why| why.at(&format!("kv.set.{key}")))?;
        }
        for (i, Statement { statement, params }) in self.sql.iter().enumerate() {
            let done = target.sql().execute(statement, params.clone());
            done.map_err(|why| why.at(&format!("sql[{i}]")))?;
        }
        for (i, change) in self.sessions.iter().enumerate() {
            let done = match change {
                SessionChange::Set { id, value, ttl: None } => target.session(id).set(value),
                SessionChange::Set { id, value, ttl: Some(ttl) } => target.session(id).set_ttl(value, *ttl),
                SessionChange::Touch { id } => target.session(id).touch().map(drop),
                SessionChange::Delete { id } => target.session(id).delete().map(drop),
            };
            done.map_err(|why| why.at(&format!("sessions[{i}]")))?;
        }
        for (i, asked) in self.calls.iter().enumerate() {
            let idempotent = asked.idempotent.unwrap_or(!asked.call.method.eq_ignore_ascii_case("POST"));
            target.outbox().add(&asked.call, idempotent).map_err(|why| why.at(&format!("outbox[{i}]")))?;
        }
        for (i, change) in self.timers.iter().enumerate() {
            let done = match change {
                TimerChange::At { id, due_ms, payload } => target.timer().at(id, *due_ms, payload),
                TimerChange::Cancel { id } => target.timer().cancel(id).map(drop),
            };
            done.map_err(|why| why.at(&format!("timers[{i}]")))?;
        }
        Ok(self.reply.clone())
    }
}

impl HandlerError {
    /// Puts in front where in the handler's answer it went wrong.
    fn at(self, place: &str) -> Self {
        match self {
            Self::Retry(why) => Self::Retry(format!("{place}: {why}")),
            Self::Permanent(why) => Self::Permanent(format!("{place}: {why}")),
            Self::Refused(why) => Self::Refused(format!("{place}: {why}")),
            Self::Ignore => Self::Ignore,
        }
    }
}
