//! `berth send`: plays a platform. Makes an event as the platform would, signs it with the secret the platform would
//! have, sends it and shows the answer. The makers and signers of each platform are pure: time, ids and secrets are given
//! to them.

pub mod discord;
pub mod github;
mod keyring;
pub mod slack;
pub mod standard;
pub mod telegram;

use crate::{
    exit::{Code, Failure},
    home::{Cluster, DEFAULT, Home},
    output, secrets,
};
use bytes::Bytes;
use clap::Subcommand;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, StatusCode};
use keyring::Keyring;
use sha2::Sha256;
use shared::{
    Clock,
    clock::BootClock,
    http::{Client, ClientError},
};
use std::{io::IsTerminal, path::PathBuf, time::Duration};

/// A signed request to http-service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The path, for example `/webhooks/slack`.
    pub path: String,
    /// The headers the platform sends, names in lower case, the signature among them.
    pub headers: Vec<(String, String)>,
    /// The bytes that were signed.
    pub body: Bytes,
}

impl Webhook {
    fn new(path: impl Into<String>, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { path: path.into(), headers, body: body.into() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Posts it to `client`'s base URL and returns whatever answer comes.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, client: &Client) -> Result<http::Response<Bytes>, ClientError> {
        client.exchange(Method::POST, &self.path, &self.headers, self.body.clone()).await
    }
}

/// Flags of `berth send`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth send discord --guild 123 --command stats")]
pub(crate) struct Args {
    /// Whom to play.
    #[command(subcommand)]
    platform: Platform,
}

#[derive(Debug, Subcommand)]
enum Platform {
    /// A slash command in a Discord guild
    Discord(discord::Args),
    /// A message in a Telegram chat
    Telegram(telegram::Args),
    /// A slash command or an event of a Slack workspace
    Slack(slack::Args),
    /// A message by Standard Webhooks
    Standard(standard::Args),
    /// A GitHub delivery
    Github(github::Args),
}

/// Flags every platform has.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// The event's id; a new one each time when it is left out. The same id again is a duplicate
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Send this file as the body, `-` for standard input, instead of making one
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// How many times to send: new events, or with --id the same one again
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// http-service; the one of the data folder's cluster when it is left out
    #[arg(long, env = "BERTH_HTTP_URL", value_name = "URL")]
    url: Option<String>,
    /// The data folder of `berth up`, where its secrets are
    #[arg(long, env = "BERTH_DATA", default_value = DEFAULT, value_name = "DIR")]
    data: PathBuf,
    /// How long to wait for the answer
    #[arg(long, default_value = "20s", value_parser = shared::settings::duration, value_name = "TIME")]
    timeout: Duration,
}

/// What a maker gets besides its own flags.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Wall time in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// A number that no other event has, fit for a snowflake's place.
    pub(crate) fresh: u64,
    /// The id the user wants, if any.
    pub(crate) id: Option<String>,
    /// The body the user wants, if any.
    pub(crate) body: Option<Bytes>,
}

impl Moment {
    /// Returns now, with fresh randomness.
    pub(crate) fn now(id: Option<String>, body: Option<Bytes>) -> Result<Self, Failure> {
        let now_ms = BootClock.wall_ms();
        Ok(Self { now_ms, fresh: snowflake(now_ms, u64::from_le_bytes(secrets::random()?)), id, body })
    }

    /// Returns wall time in seconds, as platforms sign it.
    pub(crate) const fn seconds(&self) -> u64 {
        self.now_ms / 1_000
    }

    fn id(&self) -> String {
        self.id.clone().unwrap_or_else(|| self.fresh.to_string())
    }
}

/// Returns a number laid out like Discord's ids: milliseconds since 2015, then 22 bits that tell events of one
/// millisecond apart.
fn snowflake(now_ms: u64, random: u64) -> u64 {
    (now_ms.saturating_sub(1_420_070_400_000) << 22) | (random & 0x3f_ffff)
}

/// Sends what the flags say and shows the answers.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let common = match &args.platform {
        Platform::Discord(args) => &args.common,
        Platform::Telegram(args) => &args.common,
        Platform::Slack(args) => &args.common,
        Platform::Standard(args) => &args.common,
        Platform::Github(args) => &args.common,
    };
    let home = Home::at(&common.data);
    let keys = Keyring::open(&home)?;
    let url = match &common.url {
        Some(url) => url.clone(),
        None => keys.cluster().map_or_else(|| "http://127.0.0.1:3000".to_owned(), |cluster| cluster.http_url.clone()),
    };
    let client = Client::new(&url, None, common.timeout)?;
    let body = common.body.as_deref().map(read_body).transpose()?;
    let mut refused = None;
    for _ in 0..common.repeat {
        let moment = Moment::now(common.id.clone(), body.clone())?;
        let webhook = match &args.platform {
            Platform::Discord(args) => args.webhook(&moment, &keys)?,
            Platform::Telegram(args) => args.webhook(&moment, &keys)?,
            Platform::Slack(args) => args.webhook(&moment, &keys)?,
            Platform::Standard(args) => args.webhook(&moment, &keys)?,
            Platform::Github(args) => args.webhook(&moment, &keys)?,
        };
        let answer = webhook.post(&client).await.map_err(|why| unreachable_with_hint(why, keys.cluster(), &home))?;
        show(&answer)?;
        if !answer.status().is_success() {
            refused = Some(answer.status());
        }
    }
    refused.map_or(Ok(()), |status| Err(Failure::error(refusal(status, &url))))
}

/// Returns a keyring of made secrets only.
pub(crate) const fn made_keys(made: secrets::Made) -> Keyring {
    Keyring::of(made)
}

/// Returns the HMAC-SHA256 of some parts.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn read_body(path: &std::path::Path) -> Result<Bytes, Failure> {
    let read = if path == std::path::Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map(String::into_bytes)
    } else {
        std::fs::read(path)
    };
    read.map(Bytes::from)
        .map_err(|why| Failure::new(Code::Usage, format!("cannot read the body from {}: {why}", path.display())))
}

fn show(answer: &http::Response<Bytes>) -> Result<(), Failure> {
    let mut text = format!("{}\n", answer.status());
    let pretty = std::io::stdout().is_terminal();
    match serde_json::from_slice::<serde_json::Value>(answer.body()) {
        Ok(value) if pretty => text.push_str(&output::json(&value)),
        _ if answer.body().is_empty() => {}
        _ => {
            for line in String::from_utf8_lossy(answer.body()).lines() {
                text.push_str(&output::plain(line));
                text.push('\n');
            }
        }
    }
    output::print(&text)
}

fn refusal(status: StatusCode, url: &str) -> String {
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; the signature was made with another secret than http-service has",
        StatusCode::NOT_FOUND => "; the source is off, or has no such name",
        StatusCode::SERVICE_UNAVAILABLE => "; nothing was committed, send it again",
        _ => "",
    };
    format!("{url} answered {status}{hint}")
}

fn unreachable_with_hint(why: ClientError, cluster: Option<&Cluster>, home: &Home) -> Failure {
    match why {
        ClientError::Unreachable { .. } if cluster.is_none_or(|cluster| !cluster.running) => {
            let data = home.path().display();
            Failure::new(
                Code::Unreachable,
                format!("{why}; no cluster runs in {data}: start one with berth up, or name it with --url"),
            )
        }
        _ => why.into(),
    }
}

#[cfg(test)]
mod tests;
