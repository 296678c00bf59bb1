//! One call of an asynchronous handler: the event, what was sent along, and reads of its target while it works. Reads see
//! what was committed before the call; nothing else writes the target while it runs.

use super::super::{
    Event, Guild, HandlerError, Timer,
    guild::{GUILD_KEY, STANDING_KEY},
    sql::{Params, Rows},
};
use super::Turns;
use crate::store::{Reader, StatementError, StoreError};
use serde::de::DeserializeOwned;
use shared::{
    Clock, Epoch, TargetId,
    telemetry::trace::{Live, Span},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A call.
#[derive(Debug)]
pub struct Call {
    /// The event.
    pub event: Event,
    /// The timer, when the event is one that fell due.
    pub timer: Option<Timer>,
    /// The fencing token of the ownership the call was made under.
    pub epoch: Epoch,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// The keys the handler asked for, as they stood when the call began.
    pub state: Preloaded,
    /// Reads beside those.
    pub local: Local,
    /// Whether it is the first of its target since the pod began to serve that, or that one failed.
    pub acquired: bool,
    /// With [`Self::acquired`]: what Discord's gateway told of the guild last. Later, [`Local::guild`] says it.
    pub guild: Option<Guild>,
    pub(crate) deadline: Instant,
    /// The attempt; what asks in turn says here how that went.
    pub(crate) span: Mutex<Span>,
}

impl Call {
    /// Describes the attempt's span, if it is recorded.
    pub(crate) fn describe(&self, describe: impl FnOnce(&mut Live)) {
        self.span.lock().unwrap_or_else(PoisonError::into_inner).describe(describe);
    }

    /// Returns how much time the call has left.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Keys and values that came along with a call. Values are JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preloaded(pub(crate) BTreeMap<String, String>);

impl Preloaded {
    /// Returns the value of a key; `None` when it is not set, or was not asked for.
    ///
    /// # Errors
    /// When the value does not read as a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, HandlerError> {
        self.0.get(key).map(|text| read(key, text)).transpose()
    }

    /// Returns the keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Reads of a call's target. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    pub(crate) reader: Arc<Reader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) target: TargetId,
    turns: Turns,
    /// The sessions that were read: their time begins anew with the commit.
    sessions: Arc<Mutex<BTreeSet<String>>>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Local {
    /// Makes the reads of a target.
    pub(crate) fn new(reader: Arc<Reader>, clock: Arc<dyn Clock>, target: TargetId, turns: Turns) -> Self {
        Self { reader, clock, target, turns, sessions: Arc::default() }
    }

    /// Returns the value of a key; `None` when it was never set, or its time is over.
    ///
    /// # Errors
    /// When the value does not read as a `T`, or the database fails.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, HandlerError> {
        let text = self.text(key).await?;
        text.map(|text| read(key, &text)).transpose()
    }

    /// Returns at most `most` keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// Like [`Local::get`].
    pub async fn scan<T: DeserializeOwned>(&self, prefix: &str, most: usize) -> Result<Vec<(String, T)>, HandlerError> {
        let rows = self.texts(prefix, most).await?;
        rows.into_iter().map(|(key, text)| read(&key, &text).map(|value| (key, value))).collect()
    }

    /// Runs a query. It sees the target's rows of the bot's own tables, under their plain names, and changes nothing.
    ///
    /// # Errors
    /// When it cannot work, takes too long or finds too much, or the database fails.
    pub async fn query(&self, statement: &str, params: impl Into<Params>) -> Result<Rows, HandlerError> {
        let (statement, params) = (statement.to_owned(), params.into());
        let found = self.read(move |reader, target, _| match reader.query(target, &statement, &params) {
            Err(StatementError::Store(why)) => Err(why),
            found => Ok(found),
        });
        Ok(found.await??)
    }

    /// Returns the value of a session; `None` when there is none, or its time is over. Its time begins anew when the call
    /// is committed.
    ///
    /// # Errors
    /// Like [`Local::get`].
    pub async fn session<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>, HandlerError> {
        let text = self.session_text(id).await?;
        text.map(|text| read(id, &text)).transpose()
    }

    /// Returns what Discord's gateway told of the guild last; `None` for other targets, and for a guild that nothing was told
    /// of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn guild(&self) -> Result<Option<Guild>, HandlerError> {
        self.read(guild).await
    }

    /// The same, without waiting behind the reads of calls that are out.
    pub(crate) async fn guild_now(&self) -> Result<Option<Guild>, HandlerError> {
        self.read_now(guild).await
    }

    /// Returns the sessions that were read.
    pub(crate) fn sessions_read(&self) -> Vec<String> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Returns the value of a session as JSON text.
    pub(crate) async fn session_text(&self, id: &str) -> Result<Option<String>, HandlerError> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        let id = id.to_owned();
        self.read(move |reader, target, now_ms| reader.session_get(target, &id, now_ms)).await
    }

    /// Returns the value of a key as JSON text.
    pub(crate) async fn text(&self, key: &str) -> Result<Option<String>, HandlerError> {
        let key = key.to_owned();
        self.read(move |reader, target, now_ms| reader.kv_get(target, &key, now_ms)).await
    }

    /// Returns at most `most` keys with their values as JSON text.
    pub(crate) async fn texts(&self, prefix: &str, most: usize) -> Result<Vec<(String, String)>, HandlerError> {
        let prefix = prefix.to_owned();
        self.read(move |reader, target, now_ms| reader.kv_scan(target, &prefix, most, now_ms)).await
    }

    /// Returns the keys that a handler asked for, with their values: at most `most` bytes of them.
    pub(crate) async fn preload(&self, wanted: Vec<String>, most: usize) -> Result<Preloaded, HandlerError> {
        // It never waits behind the reads of calls that are out.
        let found =
            self.read_now(move |reader, target, now_ms| reader.kv_wanted(target, &wanted, most, now_ms)).await?;
        found.map(Preloaded).map_err(|wish| {
            HandlerError::Retry(format!(
                "the keys that are sent along have more than {most} bytes with {wish}; ask for fewer at describe and read the rest while you work, or raise --handler-max-state (BERTH_HANDLER_MAX_STATE)"
            ))
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader, &TargetId, u64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HandlerError> {
        let turn = self.turns.next().await;
        // A read goes on when nobody waits for it any more, and so does its turn.
        let taken = move |reader: &Reader, target: &TargetId, now_ms| {
            let found = read(reader, target, now_ms);
            drop(turn);
            found
        };
        self.read_now(taken).await
    }

    async fn read_now<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader, &TargetId, u64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HandlerError> {
        let (reader, target, now_ms) = (Arc::clone(&self.reader), self.target.clone(), self.clock.wall_ms());
        match tokio::task::spawn_blocking(move || read(&reader, &target, now_ms)).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(why)) => Err(HandlerError::Retry(format!("a read of the target failed: {why}"))),
            Err(_) => Err(HandlerError::Retry("a read of the target broke off".to_owned())),
        }
    }
}

fn guild(reader: &Reader, target: &TargetId, now_ms: u64) -> Result<Option<Guild>, StoreError> {
    let (guild, standing) = (reader.kv_get(target, GUILD_KEY, now_ms)?, reader.kv_get(target, STANDING_KEY, now_ms)?);
    Ok(Guild::of_rows(guild.as_deref(), standing.as_deref()))
}

fn read<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, HandlerError> {
    serde_json::from_str(text).map_err(|why| HandlerError::Refused(format!("the value of key {key}: {why}")))
}
