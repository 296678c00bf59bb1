//! The sources that are on, with their keys. A source without a secret is off, never open.

use super::signature::HmacKeys;
use super::standard::Sender;
use super::verdict::{Input, Reason, Verdict};
use super::{discord, github, slack, standard, telegram};
use crate::SourceArgs;
use bytes::Bytes;
use http::HeaderMap;
use shared::Platform;
use shared::settings::{Secret, SettingError, list, pairs, value_or_file};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Who sends: one per URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Discord interactions.
    Discord,
    /// Discord webhook events.
    DiscordEvents,
    /// Updates for the bot of this name.
    Telegram(String),
    /// Slack: events, interactivity, slash commands.
    Slack,
    /// Standard Webhooks of the sender of this name.
    Standard(String),
    /// GitHub deliveries.
    Github,
}

impl Source {
    /// Returns the platform.
    pub const fn platform(&self) -> Platform {
        match self {
            Self::Discord | Self::DiscordEvents => Platform::Discord,
            Self::Telegram(_) => Platform::Telegram,
            Self::Slack => Platform::Slack,
            Self::Standard(_) => Platform::Webhook,
            Self::Github => Platform::Github,
        }
    }
}

/// The keys of every source that is on. Cheap to share, fixed while the service runs.
#[derive(Debug, Clone, Default)]
pub struct Verifiers {
    window: Duration,
    discord: Option<discord::Keys>,
    telegram: BTreeMap<String, Vec<Secret>>,
    slack: Option<HmacKeys>,
    standard: BTreeMap<String, Sender>,
    github: Option<HmacKeys>,
}

impl Verifiers {
    /// Makes the verifiers that the settings name. `window` is how far a signed timestamp may be from now, either way.
    ///
    /// # Errors
    /// [`SettingError`] when a file cannot be read or a value does not have its form. The value is never repeated.
    pub fn from_settings(args: &SourceArgs, window: Duration) -> Result<Self, SettingError> {
        let form = |name: &'static str| move |detail: &str| SettingError::Form { name, detail: detail.to_owned() };
        let mut made = Self { window, ..Self::default() };
        const DISCORD: &str = "BERTH_DISCORD_PUBLIC_KEY";
        if let Some(keys) = several(DISCORD, &args.discord_public_key, &args.discord_public_key_file)? {
            made.discord = Some(discord::Keys::parse(list(&keys)).map_err(form(DISCORD))?);
        }
        const TELEGRAM: &str = "BERTH_TELEGRAM_SECRETS";
        if let Some(secrets) = several(TELEGRAM, &args.telegram_secrets, &args.telegram_secrets_file)? {
            for (bot, secret) in pairs(TELEGRAM, &secrets)? {
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                if !(1..=256).contains(&secret.len()) || !secret.bytes().all(fits) {
                    return Err(form(TELEGRAM)("a secret token has 1 to 256 characters of A-Z a-z 0-9 _ -"));
                }
                made.telegram.entry(name(TELEGRAM, bot)?).or_default().push(Secret::new(secret));
            }
        }
        const SLACK: &str = "BERTH_SLACK_SIGNING_SECRET";
        made.slack = several(SLACK, &args.slack_signing_secret, &args.slack_signing_secret_file)?.map(hmac_keys);
        const STANDARD: &str = "BERTH_STANDARD_SECRETS";
        if let Some(secrets) = several(STANDARD, &args.standard_secrets, &args.standard_secrets_file)? {
            for (source, key) in pairs(STANDARD, &secrets)? {
                let sender = made.standard.entry(name(STANDARD, source)?).or_insert_with(Sender::new);
                sender.add_key(key).map_err(form(STANDARD))?;
            }
        }
        const TARGETS: &str = "BERTH_STANDARD_TARGETS";
        for (source, pointer) in pairs(TARGETS, args.standard_targets.as_deref().unwrap_or_default())? {
            let sender = made.standard.get_mut(source);
            let sender = sender.ok_or_else(|| form(TARGETS)("names a source that BERTH_STANDARD_SECRETS does not"))?;
            sender.set_target(pointer).map_err(form(TARGETS))?;
        }
        const GITHUB: &str = "BERTH_GITHUB_SECRET";
        made.github = several(GITHUB, &args.github_secret, &args.github_secret_file)?.map(hmac_keys);
        Ok(made)
    }

    /// Returns the names of the sources that are on, in order.
    pub fn on(&self) -> Vec<String> {
        let one = |on: bool, name: &str| on.then(|| name.to_owned());
        one(self.discord.is_some(), "discord")
            .into_iter()
            .chain(self.telegram.keys().map(|bot| format!("telegram/{bot}")))
            .chain(one(self.slack.is_some(), "slack"))
            .chain(self.standard.keys().map(|source| format!("standard/{source}")))
            .chain(one(self.github.is_some(), "github"))
            .collect()
    }

    /// Returns whether the source has a secret.
    pub fn is_on(&self, source: &Source) -> bool {
        match source {
            Source::Discord | Source::DiscordEvents => self.discord.is_some(),
            Source::Telegram(bot) => self.telegram.contains_key(bot),
            Source::Slack => self.slack.is_some(),
            Source::Standard(source) => self.standard.contains_key(source),
            Source::Github => self.github.is_some(),
        }
    }

    /// Judges a request: the headers and the raw body as they came, and the wall time in milliseconds since the Unix
    /// epoch.
    pub fn verify(&self, source: &Source, headers: &HeaderMap, body: &Bytes, now_ms: u64) -> Verdict {
        let input = Input { headers, body, now_ms, window_s: self.window.as_secs() };
        let verdict = match source {
            Source::Discord => self.discord.as_ref().map(|keys| discord::interaction(keys, input)),
            Source::DiscordEvents => self.discord.as_ref().map(|keys| discord::webhook_event(keys, input)),
            Source::Telegram(bot) => self.telegram.get(bot).map(|secrets| telegram::update(bot, secrets, input)),
            Source::Slack => self.slack.as_ref().map(|keys| slack::request(keys, input)),
            Source::Standard(name) => self.standard.get(name).map(|sender| standard::message(name, sender, input)),
            Source::Github => self.github.as_ref().map(|keys| github::delivery(keys, input)),
        };
        verdict.unwrap_or(Err(Reason::SourceOff)).unwrap_or_else(Verdict::Refused)
    }
}

/// Returns a setting that holds several values. In a file they may also stand on lines of their own.
fn several(
    name: &'static str,
    value: &Option<String>,
    file: &Option<impl AsRef<Path>>,
) -> Result<Option<String>, SettingError> {
    let text = value_or_file(name, value.as_deref(), file.as_ref().map(AsRef::as_ref))?;
    Ok(text.map(|text| text.replace(['\r', '\n'], ",")).filter(|text| list(text).next().is_some()))
}

fn hmac_keys(secrets: String) -> HmacKeys {
    let secrets: Vec<Secret> = list(&secrets).map(Secret::new).collect();
    HmacKeys::from_secrets(secrets.iter())
}

/// Checks the name of a bot or source: it stands in a URL and in event sources.
fn name(setting: &'static str, text: &str) -> Result<String, SettingError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(SettingError::Form { name: setting, detail: "a name has 1 to 64 characters of A-Z a-z 0-9 _ -".to_owned() })
}
