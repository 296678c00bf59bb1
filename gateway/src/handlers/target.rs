//! What a handler may do with its target: read and write it, ask for calls to the outside, set timers. All of it goes
//! into the event's part of the transaction. A fault of the database is kept here even if the handler swallows it, so
//! that nothing is acknowledged on a disk that failed.

use super::{Guild, HandlerError, OutboxCall, Session, Timer, kept, sql::Sql};
use crate::{
    outbox::Allowed,
    store::{LocalId, NewCall, OWN_KEYS, OpenCall, Store, StoreError},
};
use serde::{Serialize, de::DeserializeOwned};
use shared::{Clock, Epoch, Mono, TargetId, telemetry::trace::TraceContext};
use std::{fmt, time::Duration};

/// The longest key, in bytes.
pub(super) const MAX_KEY: usize = 512;
/// The largest value, in bytes of JSON.
pub(super) const MAX_VALUE: usize = 1 << 20;

/// What a handler's call did besides its writes; counts only when its part of the transaction is kept.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Calls to the outside, in order.
    pub(crate) calls: Vec<OpenCall>,
    /// Whether timers were set or taken back.
    pub(crate) timers: bool,
    /// What the database said, when it failed.
    pub(crate) fault: Option<StoreError>,
    /// Whether the time was up.
    pub(crate) late: bool,
}

/// The target a handler is called for. It lives as long as the call.
pub struct Target<'a> {
    pub(crate) id: &'a TargetId,
    pub(crate) local: LocalId,
    pub(crate) epoch: Epoch,
    pub(crate) now_ms: u64,
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) until: Mono,
    pub(crate) allowed: &'a Allowed,
    pub(crate) outbox_seq: u64,
    pub(crate) session_ttl: Duration,
    pub(crate) effects: Effects,
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("id", &self.id).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl<'a> Target<'a> {
    /// Returns the target's name.
    pub fn id(&self) -> &TargetId {
        self.id
    }

    /// Returns the fencing token of this ownership.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns wall time in milliseconds since the Unix epoch; the same during the whole call.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Returns the target's keys and values.
    pub fn kv(&mut self) -> Kv<'_, 'a> {
        Kv(self)
    }

    /// Returns what Discord's gateway told of the guild before this event; `None` for other targets, and for a guild that
    /// nothing was told of.
    ///
    /// # Errors
    /// When the database fails.
    pub fn guild(&mut self) -> Result<Option<Guild>, HandlerError> {
        let [guild, standing] = self.run(|target| kept(target.store, target.local, target.now_ms))?;
        Ok(Guild::of_rows(guild.as_deref(), standing.as_deref()))
    }

    /// Returns the way to the outside.
    pub fn outbox(&mut self) -> Outbox<'_, 'a> {
        Outbox(self)
    }

    /// Returns the target's timers.
    pub fn timer(&mut self) -> Timers<'_, 'a> {
        Timers(self)
    }

    /// Returns the bot's own tables.
    pub fn sql(&mut self) -> Sql<'_, 'a> {
        Sql(self)
    }

    /// Returns one of the target's sessions.
    pub fn session<'i>(&mut self, id: &'i str) -> Session<'_, 'a, 'i> {
        Session { target: self, id }
    }

    pub(super) fn run<T>(&mut self, work: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, HandlerError> {
        if self.clock.now() >= self.until {
            self.effects.late = true;
            return Err(HandlerError::Retry("the handler took too long".to_owned()));
        }
        work(self).map_err(|why| {
            let text = why.to_string();
            if why.is_interrupted() {
                self.effects.late = true;
            } else if !why.is_statement_only() {
                self.effects.fault.get_or_insert(why);
            }
            HandlerError::Retry(text)
        })
    }
}

/// Keys and values of a target. Values are anything that serde can write as JSON.
#[derive(Debug)]
pub struct Kv<'t, 'a>(&'t mut Target<'a>);

impl Kv<'_, '_> {
    /// Returns the value of a key; `None` when it was never set, or its time is over.
    ///
    /// # Errors
    /// When the value does not read as a `T`, or the database fails.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, HandlerError> {
        let text = self.0.run(|target| target.store.kv_get(target.local, key, target.now_ms))?;
        text.map(|text| parse(key, &text)).transpose()
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When key or value are too large (512 bytes, 1 MiB), the key begins with `berth/`, or the database fails.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), HandlerError> {
        self.put(key, value, None)
    }

    /// Sets a key that is gone after `ttl`.
    ///
    /// # Errors
    /// Like [`Kv::set`].
    pub fn set_ttl<T: Serialize + ?Sized>(&mut self, key: &str, value: &T, ttl: Duration) -> Result<(), HandlerError> {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = self.0.now_ms.saturating_add(ttl);
        self.put(key, value, Some(expires_ms))
    }

    /// Deletes a key. Returns whether it was there.
    ///
    /// # Errors
    /// When the key begins with `berth/`, or the database fails.
    pub fn delete(&mut self, key: &str) -> Result<bool, HandlerError> {
        bots_own(key)?;
        self.0.run(|target| target.store.kv_delete(target.local, key))
    }

    /// Returns at most `most` keys that begin with `prefix`, in order, with their values. Those of Berth's own are among them
    /// only when the prefix begins as they do, with `berth/`.
    ///
    /// # Errors
    /// Like [`Kv::get`].
    pub fn scan<T: DeserializeOwned>(&mut self, prefix: &str, most: usize) -> Result<Vec<(String, T)>, HandlerError> {
        let rows = self.0.run(|target| target.store.kv_scan(target.local, prefix, most, target.now_ms))?;
        rows.into_iter().map(|(key, text)| parse(&key, &text).map(|value| (key, value))).collect()
    }

    fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T, expires: Option<u64>) -> Result<(), HandlerError> {
        bots_own(key)?;
        let text = serde_json::to_string(value)
            .map_err(|why| HandlerError::Refused(format!("the value of key {key} cannot be written: {why}")))?;
        if key.len() > MAX_KEY || text.len() > MAX_VALUE {
            return Err(HandlerError::Refused(format!("a key has at most {MAX_KEY} bytes, a value {MAX_VALUE}")));
        }
        self.0.run(|target| target.store.kv_set(target.local, key, &text, expires))
    }
}

/// Refuses a key that is Berth's own.
fn bots_own(key: &str) -> Result<(), HandlerError> {
    if key.starts_with(OWN_KEYS) {
        let why = format!("the key {key} is Berth's own, as all that begin with {OWN_KEYS}: take another one");
        return Err(HandlerError::Refused(why));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, HandlerError> {
    serde_json::from_str(text).map_err(|why| HandlerError::Refused(format!("the value of key {key}: {why}")))
}

/// Calls to the outside. They leave after the commit, at least once, in order per host.
#[derive(Debug)]
pub struct Outbox<'t, 'a>(&'t mut Target<'a>);

impl Outbox<'_, '_> {
    /// Asks for a call. Its `id` is unique per target: a second call of the same id is the first one, and changes
    /// nothing. A POST whose outcome is lost with its connection is put aside for an operator, never made twice.
    ///
    /// # Errors
    /// When the URL's host is not on the allow-list, a header is one that Berth sets itself, or the database fails.
    pub fn call(&mut self, call: &OutboxCall) -> Result<(), HandlerError> {
        let idempotent = !call.method.eq_ignore_ascii_case("POST");
        self.add(call, idempotent)
    }

    /// Asks for a call that may be made twice without harm, whatever its method: its receiver knows the header
    /// `Idempotency-Key`, or another key in the body.
    ///
    /// # Errors
    /// Like [`Outbox::call`].
    pub fn call_idempotent(&mut self, call: &OutboxCall) -> Result<(), HandlerError> {
        self.add(call, true)
    }

    pub(crate) fn add(&mut self, call: &OutboxCall, idempotent: bool) -> Result<(), HandlerError> {
        self.0.allowed.check_call(call).map_err(|why| HandlerError::Refused(why.to_string()))?;
        bounded_id("an outgoing call", &call.id)?;
        let seq = self.0.outbox_seq + self.0.effects.calls.len() as u64 + 1;
        let added = self.0.run(|target| {
            let trace = TraceContext::current();
            let (epoch, now_ms) = (target.epoch, target.now_ms);
            let new = NewCall { seq, call, idempotent, epoch, now_ms, trace: trace.as_ref() };
            target.store.outbox_add(target.local, &new)
        })?;
        if added {
            self.0.effects.calls.push(OpenCall::new(seq, call, idempotent));
        }
        Ok(())
    }
}

fn bounded_id(whose: &str, id: &str) -> Result<(), HandlerError> {
    if (1..=MAX_KEY).contains(&id.len()) {
        return Ok(());
    }
    Err(HandlerError::Refused(format!("the id of {whose} has from 1 to {MAX_KEY} bytes")))
}

/// Timers of a target.
#[derive(Debug)]
pub struct Timers<'t, 'a>(&'t mut Target<'a>);

impl Timers<'_, '_> {
    /// Calls [`super::Handler::on_timer`] at `due_ms` (milliseconds since the Unix epoch) or as soon after it as the
    /// target is served. A timer of the same id is replaced.
    ///
    /// # Errors
    /// When the id is empty or longer than 512 bytes, the payload longer than 1 MiB, or the database fails.
    pub fn at(&mut self, id: &str, due_ms: u64, payload: &str) -> Result<(), HandlerError> {
        bounded_id("a timer", id)?;
        if payload.len() > MAX_VALUE {
            return Err(HandlerError::Refused(format!("the payload of a timer has at most {MAX_VALUE} bytes")));
        }
        let timer = Timer { id: id.to_owned(), due_ms, payload: payload.to_owned() };
        self.0.effects.timers = true;
        self.0.run(|target| target.store.timer_set(target.local, &timer))
    }

    /// Takes a timer back. Returns whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn cancel(&mut self, id: &str) -> Result<bool, HandlerError> {
        self.0.effects.timers = true;
        self.0.run(|target| target.store.timer_cancel(target.local, id))
    }
}
