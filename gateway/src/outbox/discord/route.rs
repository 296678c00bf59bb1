//! Which calls go to Discord's API, whose they are, and which share a rate limit there: Discord counts by method and path, and by the
//! channel, guild or webhook that the path begins with. Pure.

use super::super::policy::{Host, host_of};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use reqwest::Url;
use sha2::{Digest, Sha256};

/// Hosts of Discord's own, whatever is set.
const HOSTS: [&str; 4] = ["discord.com:443", "discordapp.com:443", "canary.discord.com:443", "ptb.discord.com:443"];

/// How the token of an interaction begins: `interaction:` in Base64.
const INTERACTION: &str = "aW50ZXJhY3Rpb246";

/// How long an interaction can be answered, in milliseconds.
const LASTS_MS: u64 = 15 * 60 * 1_000;

/// When Discord's ids begin, in milliseconds since the Unix epoch.
const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// The budget of calls that name no bot: what Discord counts by address.
const NO_BOT: &str = "no-bot";

/// Where Discord's API is.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    own: Option<(Host, String)>,
}

/// A call to Discord, as far as its limits go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Whose budget it is.
    pub(crate) bot: String,
    /// What tells the bot's token from others; none without one.
    pub(crate) token: Option<u64>,
    /// Method and path without what differs from call to call.
    pub(crate) template: String,
    /// What splits a bucket: the bot, and the channel, guild or webhook.
    pub(crate) major: String,
    /// What it answers, when it answers an interaction: such a call is in no bot's budget.
    pub(crate) interaction: Option<Interaction>,
    /// Whether it writes a message, so that it may have a nonce.
    pub(crate) message: bool,
}

/// An interaction that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interaction {
    /// When it began, in milliseconds since the Unix epoch, where its address says so.
    began_ms: Option<u64>,
}

impl Interaction {
    /// Returns when it cannot be answered any more. `created_ms`: when the call was written, for one that does not say when it began.
    pub(crate) fn over_ms(self, created_ms: u64) -> u64 {
        self.began_ms.unwrap_or(created_ms).saturating_add(LASTS_MS)
    }
}

impl Api {
    /// Makes it from the setting.
    pub(crate) fn new(base: &str) -> Self {
        let own = Url::parse(base).ok().and_then(|url| {
            let path = url.path().trim_end_matches('/');
            let prefix = path.rsplit_once('/').filter(|(_, last)| is_version(last)).map_or(path, |(prefix, _)| prefix);
            Some((host_of(&url)?, prefix.to_owned()))
        });
        Self { own }
    }

    /// Returns what a call is to Discord; none when it goes elsewhere.
    pub(crate) fn route(&self, method: &str, url: &str, authorization: Option<&str>) -> Option<Route> {
        let url = Url::parse(url).ok()?;
        let (host, path) = (host_of(&url)?, url.path());
        let own =
            self.own.as_ref().filter(|(own, _)| *own == host).and_then(|(_, prefix)| path.strip_prefix(&**prefix));
        let path = own.or_else(|| path.strip_prefix("/api").filter(|_| HOSTS.contains(&&*host)))?;
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.first().is_some_and(|first| is_version(first)) {
            parts.remove(0);
        }
        let bot = bot_of(authorization);
        let major = match &parts[..] {
            ["channels" | "guilds", id, ..] => (*id).to_owned(),
            ["webhooks" | "interactions", id, token, ..] => format!("{id}/{token}"),
            ["webhooks", id] => (*id).to_owned(),
            _ => String::new(),
        };
        let method = method.to_ascii_uppercase();
        let message = method == "POST" && matches!(&parts[..], ["channels", _, "messages"]);
        Some(Route {
            token: authorization.filter(|text| text.trim().starts_with("Bot ")).map(fingerprint),
            template: template(&method, &parts),
            major: format!("{bot}/{major}"),
            interaction: interaction(&parts),
            message,
            bot,
        })
    }
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns method and path with `:` for every id, token and name in it.
fn template(method: &str, parts: &[&str]) -> String {
    let mut text = method.to_owned();
    for (at, part) in parts.iter().enumerate() {
        let word = part.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'@')) && part.len() <= 32;
        let token = at == 2 && matches!(parts[0], "webhooks" | "interactions");
        text.push('/');
        text.push_str(if word && !token { part } else { ":" });
        // One emoji is as good as another.
        if *part == "reactions" {
            text.push_str("/:");
            break;
        }
    }
    text
}

fn interaction(parts: &[&str]) -> Option<Interaction> {
    match parts {
        ["interactions", id, _, "callback"] => Some(Interaction { began_ms: id.parse().ok().map(time_of) }),
        ["webhooks", _, token, rest @ ..] => {
            let began_ms = begin_of(token);
            let original = matches!(rest, ["messages", "@original" | "%40original"]);
            (original || token.starts_with(INTERACTION)).then_some(Interaction { began_ms })
        }
        _ => None,
    }
}

/// Returns when an interaction began, as its token says: `interaction:ID:…` in Base64.
fn begin_of(token: &str) -> Option<u64> {
    let rest = token.strip_prefix(INTERACTION)?;
    let whole: String = rest
        .chars()
        .take(28)
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let whole = &whole[..whole.len() / 4 * 4];
    let bytes = STANDARD_NO_PAD.decode(whole).ok()?;
    let id = bytes.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(id).ok()?.parse().ok().map(time_of)
}

fn time_of(id: u64) -> u64 {
    (id >> 22) + DISCORD_EPOCH_MS
}

/// Returns whose a token is: a bot's begins with its id. All that are no bot's are one.
pub(crate) fn bot_of(authorization: Option<&str>) -> String {
    let Some(token) = authorization.and_then(|text| text.trim().strip_prefix("Bot ")) else { return NO_BOT.to_owned() };
    let first = token.trim().split('.').next().unwrap_or_default();
    let id = STANDARD_NO_PAD.decode(first.trim_end_matches('=')).ok();
    let id = id.and_then(|id| String::from_utf8(id).ok());
    id.filter(|id| (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or_else(|| format!("token-{:016x}", fingerprint(token)))
}

/// Tokens are not kept, only what tells them apart.
fn fingerprint(token: &str) -> u64 {
    let hash = Sha256::digest(token.trim().as_bytes());
    hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
