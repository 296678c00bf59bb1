//! One call: what Berth sends, reads of what is stored, and the answer that is being put together. Knows no command.

use anyhow::{Context, bail};
use axum::{
    body::Body,
    http::{self, StatusCode, header},
};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is posted to `/v1/events`, as far as this bot needs it.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    event: Event,
    state: State,
    local: Local,
}

/// An event.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    target: String,
    received_at: u64,
    pub(crate) command: Option<Command>,
    pub(crate) message: Option<Message>,
    pub(crate) timer: Option<Timer>,
}

/// `/warn bob too loud`, on every platform.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) args: String,
}

/// A plain message.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub(crate) user: String,
}

/// A timer that fell due.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Timer {
    pub(crate) payload: String,
}

#[derive(Debug, Deserialize)]
struct State {
    kv: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Local {
    url: String,
    token: String,
}

/// What is said to whoever sent the event.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    text: String,
    private: bool,
}

impl Reply {
    /// Says something to everybody.
    pub(crate) fn public(text: impl Into<String>) -> Option<Self> {
        Some(Self { text: text.into(), private: false })
    }

    /// Says something to the sender alone.
    pub(crate) fn private(text: impl Into<String>) -> Option<Self> {
        Some(Self { text: text.into(), private: true })
    }
}

/// What Berth is told.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    reply: Option<Reply>,
    kv: Writes,
    timers: Vec<Value>,
}

#[derive(Debug, Default, Serialize)]
struct Writes {
    set: BTreeMap<String, Value>,
    delete: Vec<String>,
}

/// One event, what is stored for its target, and the answer so far.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) event: Event,
    state: State,
    local: Local,
    writes: Writes,
    timers: Vec<Value>,
}

impl Call {
    /// Begins a call.
    pub(crate) fn new(Request { event, state, local }: Request) -> Self {
        Self { event, state, local, writes: Writes::default(), timers: Vec::new() }
    }

    /// Returns when the event arrived, in milliseconds since 1970: the same when the call is made again.
    pub(crate) fn now_ms(&self) -> u64 {
        self.event.received_at
    }

    /// Returns a stored value: one this call has set, one that was sent along, or one that Berth is asked for.
    pub(crate) async fn get<T: DeserializeOwned>(&self, key: &str) -> anyhow::Result<Option<T>> {
        let here = self.writes.set.get(key).or_else(|| self.state.kv.get(key)).cloned();
        let value = match here {
            Some(value) => Some(value),
            None if crate::bot::PRELOAD.contains(&key) => None,
            None => self.read(&format!("kv/{}", encoded(key))).await?.map(|mut found| found["value"].take()),
        };
        value.map(|value| serde_json::from_value(value).with_context(|| format!("the value of {key}"))).transpose()
    }

    /// Returns the stored numbers whose keys begin with `prefix`, by what follows it.
    pub(crate) async fn scan(&self, prefix: &str) -> anyhow::Result<Vec<(String, u64)>> {
        let found = self.read(&format!("kv?limit=1000&prefix={}", encoded(prefix))).await?.unwrap_or_default();
        let number =
            |entry: &Value| Some((entry["key"].as_str()?.strip_prefix(prefix)?.to_owned(), entry["value"].as_u64()?));
        Ok(found["entries"].as_array().into_iter().flatten().filter_map(number).collect())
    }

    /// Sets a value.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.writes.set.insert(key.to_owned(), value.into());
    }

    /// Deletes a value.
    pub(crate) fn delete(&mut self, key: String) {
        self.writes.delete.push(key);
    }

    /// Sets a timer; one of the same id is replaced.
    pub(crate) fn timer(&mut self, id: &str, at: u64, payload: &str) {
        self.timers.push(json!({"id": id, "at": at, "payload": payload}));
    }

    /// Ends the call.
    pub(crate) fn answer(self, reply: Option<Reply>) -> Answer {
        Answer { reply, kv: self.writes, timers: self.timers }
    }

    /// Asks Berth; `None` when there is no such thing. The token is good for this target and as long as this call runs.
    async fn read(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let url = format!("{}/v1/local/targets/{}/{path}", self.local.url, encoded(&self.event.target));
        let request = http::Request::get(url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.local.token))
            .body(Body::empty())?;
        let answer = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => bail!("reading {path} was answered {status}"),
        }
    }
}

/// Encodes a piece of a path or a query.
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
