//! `GET /gateway/bot`: the one question that the control plane asks Discord. Says which answers are final. The token is never
//! logged and leaves only to the API's address (docs/adr/0029).

use super::budget::Told;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use shared::settings::Secret;
use std::{fmt, time::Duration};

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// What Discord asks of the name of a client.
const AGENT: &str = concat!("DiscordBot (berth, ", env!("CARGO_PKG_VERSION"), ")");

/// The way to Discord.
#[derive(Clone)]
pub(super) struct Discord {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    token: Secret,
    timeout: Duration,
}

impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// The token is not known: asking again changes nothing.
    Token,
    /// It may be another time.
    Again {
        /// Why.
        why: String,
        /// Not earlier, if Discord said so.
        after: Option<Duration>,
    },
}

/// The answer, as far as it is needed.
#[derive(Deserialize)]
struct GatewayBot {
    shards: u32,
    session_start_limit: StartLimit,
}

#[derive(Deserialize)]
struct StartLimit {
    total: u32,
    remaining: u32,
    /// Milliseconds.
    reset_after: u64,
    max_concurrency: u32,
}

/// Discord's body with 429.
#[derive(Deserialize)]
struct TooMany {
    /// Seconds.
    retry_after: f64,
}

impl Discord {
    /// Makes a client of the API at `base`, for example `https://discord.com/api/v10`.
    ///
    /// # Errors
    /// When that is no URL, or this machine has no root certificates.
    pub(super) fn new(base: &str, token: Secret, timeout: Duration) -> anyhow::Result<Self> {
        let url: Uri = format!("{}/gateway/bot", base.trim_end_matches('/')).parse()?;
        let known = matches!(url.scheme_str(), Some("https" | "http")) && url.host().is_some();
        anyhow::ensure!(known, "it has to be an https:// URL, or an http:// one in a network of your own");
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(timeout));
        let provider = rustls::crypto::ring::default_provider();
        let secure = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(|why| {
            anyhow::anyhow!(
                "this machine has no root certificates ({why}); install ca-certificates, or set SSL_CERT_FILE"
            )
        })?;
        let connector = secure.https_or_http().enable_http1().wrap_connector(plain);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url, token, timeout })
    }

    /// Returns whose token it is: its first part is the bot's id. One of another form is nobody's in particular.
    pub(super) fn bot(&self) -> String {
        let first = self.token.expose().split('.').next().unwrap_or_default();
        let id = STANDARD_NO_PAD.decode(first.trim_end_matches('=')).ok();
        let id = id.and_then(|id| String::from_utf8(id).ok());
        id.filter(|id| (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()))
            .unwrap_or_else(|| "bot".to_owned())
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn gateway_bot(&self) -> Result<Told, Refused> {
        let asked = tokio::time::timeout(self.timeout, self.ask()).await;
        asked.unwrap_or_else(|_| Err(again("it does not answer in time".to_owned())))
    }

    async fn ask(&self) -> Result<Told, Refused> {
        let request = Request::get(self.url.clone())
            .header(header::AUTHORIZATION, format!("Bot {}", self.token.expose()))
            .header(header::USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|_| Refused::Token)?;
        let answer = self.client.request(request).await.map_err(|why| again(root_cause(&why)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|why| again(format!("its answer breaks off: {why}")))?.to_bytes();
        let after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        judge(head.status, after, &body)
    }
}

/// What an answer means.
fn judge(status: StatusCode, after: Option<f64>, body: &[u8]) -> Result<Told, Refused> {
    match status {
        StatusCode::OK => {
            let read = serde_json::from_slice::<GatewayBot>(body);
            let read = read.map_err(|why| again(format!("its answer is not what it should be: {why}")))?;
            let StartLimit { total, remaining, reset_after, max_concurrency } = read.session_start_limit;
            if max_concurrency == 0 {
                return Err(again("its answer is not what it should be: max_concurrency is 0".to_owned()));
            }
            let reset_after = Duration::from_millis(reset_after);
            Ok(Told { shards: read.shards, total, remaining, reset_after, max_concurrency })
        }
        StatusCode::UNAUTHORIZED => Err(Refused::Token),
        StatusCode::TOO_MANY_REQUESTS => {
            let said = serde_json::from_slice::<TooMany>(body).ok().map(|body| body.retry_after);
            let after = said.or(after).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Err(Refused::Again { why: "it was asked too often".to_owned(), after })
        }
        status => Err(again(format!("it answers {status}"))),
    }
}

fn again(why: String) -> Refused {
    Refused::Again { why, after: None }
}

/// Returns what really happened: the outer errors only say in which part of the client.
fn root_cause(why: &dyn std::error::Error) -> String {
    why.source().map_or_else(|| why.to_string(), root_cause)
}

#[cfg(test)]
mod tests;
