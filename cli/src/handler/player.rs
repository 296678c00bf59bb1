//! Speaks with the handler as a pod does: one request, one answer within its time, whatever it is. Decides what of it
//! Berth would take, and says why not.

use super::judge::{self, Judged, MAX_ANSWER};
use super::shape::cut;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use shared::{
    http::{Client, ClientError},
    settings::Secret,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The way to the handler.
#[derive(Debug, Clone)]
pub(super) struct Player {
    client: Client,
    token: Option<Secret>,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Heard {
    /// A whole answer, after so long.
    Answer(http::Response<Bytes>, Duration),
    /// None, and why.
    Lost(String),
    /// None within this time.
    Late(Duration),
}

/// An answer that Berth takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    /// What was said; an empty object for 204 and 409.
    pub(super) said: Value,
    /// Whether the handler said that the event is not for it.
    pub(super) ignored: bool,
    /// What is probably not meant.
    pub(super) doubts: Vec<String>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Why Berth does not take an answer, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// What was found.
    pub(super) found: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Refused {
    /// Makes a refusal.
    pub(super) fn new(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { found: found.into(), remedy: remedy.into() }
    }
}

impl Player {
    /// Makes a way to the handler at `url`. It is shown `token` when there is one.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub(super) fn new(url: &str, token: Option<Secret>, most: Duration) -> Result<Self, ClientError> {
        Ok(Self { client: Client::new(url, None, most)?, token })
    }

    /// Returns the handler's URL.
    pub(super) fn url(&self) -> &str {
        self.client.base()
    }

    /// Returns a player that shows no token.
    pub(super) fn without_token(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Returns whether there is a token to show.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request and waits at most `limit`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        more: &[(&str, &str)],
        limit: Duration,
    ) -> Heard {
        let mut headers: Vec<_> = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if let Some(token) = &self.token {
            headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
        }
        let begun = Instant::now();
        let whole = self.client.exchange(method, path, &headers, body.unwrap_or_default());
        match timeout(limit, whole).await {
            Err(_) => Heard::Late(limit),
            Ok(Ok(answer)) => Heard::Answer(answer, begun.elapsed()),
            Ok(Err(ClientError::Unreachable { detail, .. })) => Heard::Lost(detail),
            Ok(Err(why)) => Heard::Lost(why.to_string()),
        }
    }
}

impl Heard {
    /// Returns the answer, or why there is none.
    ///
    /// # Errors
    /// When nothing came in time, or the connection broke.
    pub(super) fn answer(self) -> Result<(http::Response<Bytes>, Duration), Refused> {
        match self {
            Self::Answer(answer, took) => Ok((answer, took)),
            Self::Late(limit) => Err(Refused::new(
                format!(
                    "no answer within {}",
                    crate::output::ago(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
                ),
                "answer sooner, and serve connections beside each other; what takes long belongs into a timer or the outbox",
            )),
            Self::Lost(why) => Err(Refused::new(
                format!("the connection broke before the answer was whole: {why}"),
                "answer every request, errors too, and make content-length as long as the body",
            )),
        }
    }
}

/// Judges an answer to an event, given at `now_ms`.
///
/// # Errors
/// When Berth would not take it.
pub(super) fn judged(heard: Heard, now_ms: u64) -> Result<Taken, Refused> {
    let (answer, took) = heard.answer()?;
    let (status, body) = (answer.status(), answer.body());
    let taken = |said, ignored, doubts| Ok(Taken { said, ignored, doubts, took });
    if body.len() > MAX_ANSWER {
        let found = format!("the answer has {} bytes", body.len());
        return Err(Refused::new(found, format!("at most {MAX_ANSWER} (--handler-max-answer) are read")));
    }
    match status {
        StatusCode::CONFLICT => return taken(Value::Object(serde_json::Map::new()), true, Vec::new()),
        _ if status.is_success() => {}
        _ => return Err(unwanted(status, body)),
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return taken(Value::Object(serde_json::Map::new()), false, Vec::new());
    }
    let said: Value = serde_json::from_slice(body).map_err(|why| {
        let found = format!("{status} with a body that is no JSON: {why}: {}", shown(body));
        Refused::new(found, "answer a JSON object, or 204 when there is nothing to say")
    })?;
    let Judged { wrong, doubts } = judge::answer(&said, now_ms);
    if wrong.is_empty() {
        return taken(said, false, doubts);
    }
    let found: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    Err(Refused::new(found.join("; "), "nothing of such an answer is kept; docs/handlers.md lists the fields"))
}

/// Says what a status that is no success does.
fn unwanted(status: StatusCode, body: &[u8]) -> Refused {
    let found = format!("{status}: {}", shown(body));
    let remedy = match status.as_u16() {
        300..400 => "Berth follows no redirect; give --handler the URL itself",
        401 | 403 => "give the handler's token with --token",
        400..500 => {
            "the event is recorded as failed and not tried again; answer 204, or 409 for what is not for this bot"
        }
        _ => "the event is tried again, 8 times at most, and holds its target up meanwhile; mend what fails",
    };
    Refused::new(found, remedy)
}

/// Returns the beginning of a body, for people.
pub(super) fn shown(body: &[u8]) -> String {
    if body.is_empty() { "no body".to_owned() } else { cut(&String::from_utf8_lossy(body)) }
}
