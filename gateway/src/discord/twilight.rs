//! Connections to Discord's gateway by twilight's protocol code: heartbeats, compression, IDENTIFY and RESUME are its business.
//! Each connection here is one socket; what follows its end is decided by whoever listens. Nothing is cached, and of what
//! comes only the frame is read.

use super::{
    ahead::Ahead,
    connector::{Connection, Connector, Dispatch, End, Heard, Session, Wanted},
    permits::Permits,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::{http::Client, settings::Secret, wire::discord as wire};
use std::{borrow::Cow, future::poll_fn, task::Poll, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use twilight_gateway::{CloseFrame, Config, ConfigBuilder, Intents, Message, Shard, ShardId, ShardState};

/// How long the answer to a close is waited for. The library opens another socket a second after the end of one: nobody may
/// listen to it so long.
const FAREWELL: Duration = Duration::from_millis(500);

/// How often it is looked whether the socket is still there, for the same reason.
const LOOK: Duration = Duration::from_millis(250);

/// How long the library waits before it opens a socket, from when it is first listened to.
const BEFORE: Duration = Duration::from_secs(1);

/// This machine's root certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no root certificates; install ca-certificates, or set SSL_CERT_FILE")]
pub(super) struct NoRoots;

/// Makes connections by twilight.
pub(super) struct Twilight {
    config: Config,
    url: String,
    permits: Client,
    ahead: Ahead<Shard<Permits>>,
}

impl Twilight {
    /// Makes connections for a bot with `token`, which asks for `intents`, to the gateway at `url`. `permits` is the way to
    /// config-service.
    ///
    /// # Errors
    /// When this machine has no root certificates.
    pub(super) fn new(token: &Secret, intents: u64, url: &str, permits: Client) -> Result<Self, NoRoots> {
        // An error means that there is one already, which is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (token, intents) = (token.expose().to_owned(), Intents::from_bits_retain(intents));
        // The library has no other way to say it.
        let config = std::panic::catch_unwind(|| ConfigBuilder::new(token, intents).build()).map_err(|_| NoRoots)?;
        Ok(Self { config, url: url.trim_end_matches('/').to_owned(), permits, ahead: Ahead::default() })
    }
}

impl Twilight {
    fn socket(&self, wanted: Wanted) -> Shard<Permits> {
        let Wanted { shard, resume, by_main_url, refused } = wanted;
        let permits = Permits::new(self.permits.clone(), shard, refused);
        let mut config = ConfigBuilder::from(self.config.clone()).queue(permits).proxy_url(self.url.clone());
        if let Some(Session { id, seq, url }) = resume {
            config = config.session(twilight_gateway::Session::new(seq, id));
            if !by_main_url {
                config = config.resume_url(url);
            }
        }
        Shard::with_config(ShardId::new(shard.id, shard.count), config.build())
    }
}

impl Connector for Twilight {
    fn connect(&self, wanted: Wanted) -> Box<dyn Connection> {
        let session = wanted.resume.as_ref().filter(|_| !wanted.by_main_url);
        let prepared = session.and_then(|session| self.ahead.take(wanted.shard, session));
        if prepared.is_some() {
            tracing::info!(shard = %wanted.shard, "the shard's connection was prepared before it came");
        }
        let socket = prepared.unwrap_or_else(|| self.socket(wanted));
        Box::new(Socket { socket, greeted: false, ending: None })
    }

    fn prepare(&self, shard: wire::Shard, session: Session) -> BoxFuture<'_, ()> {
        async move {
            let wanted = Wanted { shard, resume: Some(session.clone()), by_main_url: false, refused: None };
            let mut socket = self.socket(wanted);
            // The wait begins with the first look at it. Nobody looks again before it is over and the shard is here.
            poll_fn(|cx| {
                // Nothing can have come yet.
                let _ = socket.poll_next_unpin(cx);
                Poll::Ready(())
            })
            .await;
            tokio::time::sleep(BEFORE).await;
            self.ahead.keep(shard, session, socket);
        }
        .boxed()
    }
}

/// One connection.
struct Socket {
    socket: Shard<Permits>,
    greeted: bool,
    /// Discord has asked to come back: what was said to that, and until when an answer is waited for.
    ending: Option<(End, Instant)>,
}

/// The frame of what comes.
#[derive(Deserialize)]
struct Frame<'a> {
    op: u8,
    #[serde(default)]
    s: Option<u64>,
    #[serde(default, borrow)]
    t: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    d: Option<&'a RawValue>,
}

/// What a new session is known by.
#[derive(Deserialize)]
struct Ready {
    session_id: String,
    resume_gateway_url: String,
    #[serde(default)]
    guilds: serde_json::Value,
}

impl Ready {
    /// Returns the ids of the guilds that are listed. They count for nothing but where they are placed: what is no list is none.
    fn ids(&self) -> Vec<String> {
        let id = |guild: &serde_json::Value| Some(guild.get("id")?.as_str()?.to_owned());
        self.guilds.as_array().map(|guilds| guilds.iter().filter_map(id).collect()).unwrap_or_default()
    }
}

/// Returns what a frame says; nothing when it is of no concern here, or makes no sense.
fn heard(text: &str) -> Option<Heard> {
    let Frame { op, s, t, d } = serde_json::from_str(text).ok()?;
    match op {
        0 => {
            let (seq, name) = (s?, t?);
            match &*name {
                "READY" => {
                    let ready: Ready = serde_json::from_str(d?.get()).ok()?;
                    let guilds = ready.ids();
                    let Ready { session_id: id, resume_gateway_url: url, .. } = ready;
                    Some(Heard::Ready { session: Session { id, seq, url }, guilds })
                }
                "RESUMED" => Some(Heard::Resumed { seq }),
                _ => Some(Heard::Dispatch(Dispatch { seq, name: name.into_owned(), data: d?.get().to_owned() })),
            }
        }
        7 => Some(Heard::End(End::Closed(Some(CloseFrame::RESUME.code)))),
        9 => Some(Heard::End(End::Invalid { resumable: d.is_some_and(|d| d.get() == "true") })),
        10 => Some(Heard::Hello),
        _ => None,
    }
}

impl Socket {
    async fn hear(&mut self) -> Heard {
        loop {
            if let Some((end, by)) = &self.ending {
                // What still comes is told again once the session goes on.
                let (end, by) = (end.clone(), *by);
                match timeout_at(by, self.socket.next()).await {
                    Ok(Some(Ok(Message::Text(_)))) => continue,
                    _ => return Heard::End(end),
                }
            }
            // The library says nothing of a socket that ended without a word: it opens another one by itself, which may be one that
            // nobody ever greets. Looked at here too, since whoever listens may ask anew more often than `LOOK`.
            if self.greeted && matches!(self.socket.state(), ShardState::Disconnected { .. }) {
                return Heard::End(End::Broken("the connection was cut".to_owned()));
            }
            let Ok(next) = timeout(LOOK, self.socket.next()).await else { continue };
            match next {
                Some(Ok(Message::Text(text))) => match heard(&text) {
                    Some(Heard::End(end)) => self.ending = Some((end, Instant::now() + FAREWELL)),
                    Some(heard) => {
                        self.greeted = true;
                        return heard;
                    }
                    None => {}
                },
                Some(Ok(Message::Close(frame))) => return Heard::End(End::Closed(frame.map(|frame| frame.code))),
                Some(Err(why)) => {
                    use twilight_gateway::error::ReceiveMessageErrorType as Kind;
                    // A frame that makes no sense is passed over; the connection goes on.
                    if !matches!(why.kind(), Kind::Deserializing { .. }) {
                        return Heard::End(End::Broken(root_cause(&why)));
                    }
                }
                None => return Heard::End(End::Closed(None)),
            }
        }
    }
}

impl Connection for Socket {
    fn next(&mut self) -> BoxFuture<'_, Heard> {
        self.hear().boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            self.socket.close(CloseFrame::RESUME);
            while let Some(Ok(Message::Text(_))) = self.socket.next().await {}
        }
        .boxed()
    }
}

/// Returns what really happened: the outer errors only say in which part of the client.
fn root_cause(why: &dyn std::error::Error) -> String {
    why.source().map_or_else(|| why.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_what_they_say_and_nonsense_says_nothing() {
        let session = Session { id: "a".to_owned(), seq: 1, url: "wss://x".to_owned() };
        for (listed, guilds) in [
            ("[]", &[][..]),
            ("7", &[]),
            (r#"[{"id":"5","unavailable":true},{"id":6},7,{"id":"8"}]"#, &["5".to_owned(), "8".to_owned()]),
        ] {
            let data = format!(r#"{{"session_id":"a","resume_gateway_url":"wss://x","v":10,"guilds":{listed}}}"#);
            let ready = Heard::Ready { session: session.clone(), guilds: guilds.to_vec() };
            assert_eq!(heard(&format!(r#"{{"op":0,"s":1,"t":"READY","d":{data}}}"#)), Some(ready));
        }
        assert_eq!(heard(r#"{"op":0,"s":9,"t":"RESUMED","d":{}}"#), Some(Heard::Resumed { seq: 9 }));
        assert_eq!(heard(r#"{"op":9,"d":true}"#), Some(Heard::End(End::Invalid { resumable: true })));
        assert_eq!(heard(r#"{"op":9,"d":false}"#), Some(Heard::End(End::Invalid { resumable: false })));
        let dispatch = Dispatch { seq: 3, name: "X".to_owned(), data: r#"{"id": "7"}"#.to_owned() };
        assert_eq!(heard(r#"{"t":"X","s":3,"op":0,"d":{"id": "7"}}"#), Some(Heard::Dispatch(dispatch)));
        for nothing in
            ["", "{", "[]", r#"{"op":11}"#, r#"{"op":0,"t":"X","d":{}}"#, r#"{"op":0,"s":1,"t":"READY","d":7}"#]
        {
            assert_eq!(heard(nothing), None, "{nothing}");
        }
    }
}
