//! Playing the platforms: deliveries signed as each of them signs. Written from the platforms' documentation, apart from
//! both the verifiers and the command line, so that one checks the other.

pub mod discord;
pub mod github;
pub mod slack;
pub mod standard;
pub mod telegram;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shared::clock::{BootClock, Clock};

/// One webhook as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it is posted.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The raw bytes that were signed.
    pub body: Vec<u8>,
}

impl Delivery {
    fn new(path: impl Into<String>, body: &[u8], headers: &[(&str, String)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { path: path.into(), headers, body: body.to_vec() }
    }

    /// Replaces a header, or adds it.
    #[must_use]
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        let mut changed = self.without(name);
        changed.headers.push((name.to_owned(), value.into()));
        changed
    }

    /// Takes a header away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        self
    }

    /// Replaces the body and keeps the signature.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The secrets of all sources, fixed: a story that fails can be repeated byte for byte.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Discord's private key.
    pub discord: SigningKey,
    /// Telegram's secret token of the bot `berthbot`.
    pub telegram: String,
    /// Slack's signing secret.
    pub slack: String,
    /// The key of the Standard Webhooks source `shop` (v1).
    pub shop: Vec<u8>,
    /// The private key of the Standard Webhooks source `bank` (v1a).
    pub bank: SigningKey,
    /// GitHub's secret.
    pub github: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            discord: SigningKey::from_bytes(&[7; 32]),
            telegram: "story-Secret_01".to_owned(),
            slack: "0123456789abcdef0123456789abcdef".to_owned(),
            shop: vec![42; 24],
            bank: SigningKey::from_bytes(&[9; 32]),
            github: "a story's secret".to_owned(),
        }
    }
}

impl Keys {
    /// Returns the settings that make an HTTP tier accept what these keys sign.
    pub fn settings(&self) -> Vec<(String, String)> {
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        let standard =
            format!("shop=whsec_{},bank=whpk_{}", STANDARD.encode(&self.shop), STANDARD.encode(public(&self.bank)));
        [
            ("BERTH_DISCORD_PUBLIC_KEY", hex::encode(public(&self.discord))),
            ("BERTH_TELEGRAM_SECRETS", format!("{}={}", telegram::BOT, self.telegram)),
            ("BERTH_SLACK_SIGNING_SECRET", self.slack.clone()),
            ("BERTH_STANDARD_SECRETS", standard),
            ("BERTH_GITHUB_SECRET", self.github.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Returns wall time in whole seconds, as signatures carry it.
pub fn now() -> i64 {
    i64::try_from(BootClock.wall_ms() / 1_000).unwrap_or(i64::MAX)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Encodes one field of `application/x-www-form-urlencoded`.
fn form_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
