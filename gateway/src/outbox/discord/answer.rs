//! What an answer of Discord's says of its limits. Pure.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use std::time::Duration;

/// The longest time that an answer may ask for.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The pause when Discord's front refuses the address and does not say for how long.
const BAN: Duration = Duration::from_secs(600);

/// Whose limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The bucket's.
    User,
    /// The bot's, everywhere.
    Global,
    /// One that others use, too.
    Shared,
    /// The address is refused, and not by the API.
    Address,
}

/// What is told of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its name.
    pub(crate) bucket: String,
    /// How many requests it takes.
    pub(crate) limit: u32,
    /// How many of them are left.
    pub(crate) remaining: u32,
    /// Until when.
    pub(crate) reset_after: Duration,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its status.
    pub(crate) status: u16,
    /// Its bucket, where it has one.
    pub(crate) told: Option<Told>,
    /// What was hit, with 429.
    pub(crate) hit: Option<(Scope, Duration)>,
}

/// Discord's body with 429.
#[derive(Deserialize)]
struct TooMany {
    /// Seconds.
    retry_after: f64,
    #[serde(default)]
    global: bool,
}

impl Heard {
    /// Reads an answer.
    pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let seconds = |name: &str| text(name).and_then(|text| text.parse().ok()).and_then(time);
        let number = |name: &str| text(name).and_then(|text| text.parse().ok());
        let told = || {
            Some(Told {
                bucket: text("x-ratelimit-bucket").filter(|name| (1..=128).contains(&name.len()))?.to_owned(),
                limit: number("x-ratelimit-limit").filter(|limit| *limit > 0)?,
                remaining: number("x-ratelimit-remaining")?,
                reset_after: seconds("x-ratelimit-reset-after")?,
            })
        };
        let hit = || {
            let said = serde_json::from_slice::<TooMany>(body).ok();
            let asked = said.as_ref().and_then(|said| time(said.retry_after)).or_else(|| seconds("retry-after"));
            match (text("x-ratelimit-scope"), said) {
                (Some("shared"), _) => (Scope::Shared, asked.unwrap_or(Duration::from_secs(1))),
                (Some("global"), _) => (Scope::Global, asked.unwrap_or(Duration::from_secs(1))),
                (_, Some(said)) if said.global => (Scope::Global, asked.unwrap_or_default()),
                (Some(_), _) | (None, Some(_)) => (Scope::User, asked.unwrap_or(Duration::from_secs(1))),
                // The API's own answers are JSON, or name a scope.
                (None, None) => (Scope::Address, asked.unwrap_or(BAN)),
            }
        };
        Self { status, told: told(), hit: (status == 429).then(hit) }
    }

    /// Whether Discord counts it towards the ban of an address.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self.status, 401 | 403) || matches!(self.hit, Some((Scope::User | Scope::Global | Scope::Address, _)))
    }
}

fn time(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|time| time.min(LONGEST))
}

#[cfg(test)]
mod tests;
