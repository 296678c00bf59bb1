//! Plays Discord: interactions (slash commands) and webhook events, signed with Ed25519.

use super::{Common, Moment, Webhook, keyring::Keyring};
use crate::exit::{Code, Failure};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

/// The application all played events belong to.
const APPLICATION: &str = "1000000000000000001";

/// Flags of `berth send discord`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  berth send discord --guild 123 --command warn --option user=42 --option reason=spam"
)]
pub(crate) struct Args {
    /// The guild; a direct message when it is left out
    #[arg(long, value_name = "ID")]
    guild: Option<String>,
    /// The channel
    #[arg(long, default_value = "1000000000000000002", value_name = "ID")]
    channel: String,
    /// Who speaks
    #[arg(long, default_value = "1000000000000000003", value_name = "ID")]
    user: String,
    /// The slash command, without the slash
    #[arg(long, value_name = "NAME", required_unless_present = "body")]
    command: Option<String>,
    /// An option of the command, several times if need be. Numbers are sent as integers, ids (15 digits and more, or any
    /// number for an option called `user` or `member`) as users, `true` and `false` as booleans
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// Sign with this Ed25519 seed (hex) instead of the one `up` made
    #[arg(long, env = "BERTH_DISCORD_PRIVATE_KEY", hide_env_values = true, value_name = "HEX")]
    private_key: Option<String>,
    /// What all platforms have.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Makes the signed request.
    pub(crate) fn webhook(&self, moment: &Moment, keys: &Keyring) -> Result<Webhook, Failure> {
        let key = key(self.private_key.as_deref(), keys)?;
        let body = match &moment.body {
            Some(body) => body.clone(),
            None => {
                let said = Said {
                    guild: self.guild.as_deref(),
                    channel: &self.channel,
                    user: &self.user,
                    command: self.command.as_deref().unwrap_or_default().trim_start_matches('/'),
                    options: self.options.iter().map(|option| option_of(option)).collect::<Result<_, _>>()?,
                };
                interaction(&moment.id(), &said).to_string().into()
            }
        };
        Ok(sign(&key, "/webhooks/discord", moment.seconds(), body))
    }
}

/// Returns the key that plays Discord.
pub(crate) fn key(said: Option<&str>, keys: &Keyring) -> Result<SigningKey, Failure> {
    // The private key of a real application is Discord's own, so a cluster with one can be played only by Discord.
    let flag = "--private-key, or start berth up without it to have a pair made";
    let said = said.map(|said| said.trim().to_owned());
    let text = keys.secret(said, "BERTH_DISCORD_PUBLIC_KEY", flag, |made| &made.discord_private_key)?;
    let seed: Option<[u8; 32]> = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let seed = seed.ok_or_else(|| Failure::new(Code::Usage, "--private-key takes an Ed25519 seed: 64 hex digits"))?;
    Ok(SigningKey::from_bytes(&seed))
}

/// What a slash command says.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// The guild; none for a direct message.
    pub guild: Option<&'a str>,
    /// The channel.
    pub channel: &'a str,
    /// Who speaks.
    pub user: &'a str,
    /// The command, without the slash.
    pub command: &'a str,
    /// Its options, as Discord writes them.
    pub options: Vec<Value>,
}

/// Returns an application command interaction.
pub fn interaction(id: &str, said: &Said<'_>) -> Value {
    let user = json!({"id": said.user, "username": format!("user-{}", said.user), "discriminator": "0"});
    let direct = said.guild.is_none();
    let mut body = json!({
        "version": 1, "type": 2, "id": id, "application_id": APPLICATION, "token": format!("played-{id}"),
        "channel_id": said.channel, "channel": {"id": said.channel, "type": if direct { 1 } else { 0 }},
        "context": if direct { 1 } else { 0 }, "locale": "en-US", "entitlements": [],
        "authorizing_integration_owners": {"0": said.guild.unwrap_or("0")},
        "data": {"id": "1000000000000000004", "type": 1, "name": said.command, "options": said.options},
    });
    match said.guild {
        Some(guild) => {
            body["guild_id"] = json!(guild);
            body["guild"] = json!({"id": guild, "locale": "en-US", "features": []});
            body["member"] =
                json!({"user": user, "roles": [], "permissions": "0", "joined_at": "2020-01-01T00:00:00+00:00"});
        }
        None => body["user"] = user,
    }
    let users: serde_json::Map<_, _> = said
        .options
        .iter()
        .filter(|option| option["type"] == 6)
        .filter_map(|option| {
            let id = option["value"].as_str()?;
            Some((id.to_owned(), json!({"id": id, "username": format!("user-{id}"), "discriminator": "0"})))
        })
        .collect();
    if !users.is_empty() {
        body["data"]["resolved"] = json!({"users": users});
    }
    body
}

/// Returns a webhook event: the application was added to a guild.
pub fn authorized(guild: &str, user: &str, timestamp: &str) -> Value {
    json!({
        "version": 1, "type": 1, "application_id": APPLICATION,
        "event": {"type": "APPLICATION_AUTHORIZED", "timestamp": timestamp, "data": {
            "integration_type": 0, "scopes": ["applications.commands"],
            "user": {"id": user, "username": format!("user-{user}"), "discriminator": "0"},
            "guild": {"id": guild, "name": "a guild"},
        }},
    })
}

/// Signs as Discord does: Ed25519 over the timestamp in seconds and the body, with nothing between them.
pub fn sign(key: &SigningKey, path: &str, seconds: u64, body: Bytes) -> Webhook {
    let mut signed = seconds.to_string().into_bytes();
    signed.extend_from_slice(&body);
    let signature = hex::encode(key.sign(&signed).to_bytes());
    Webhook::new(path, "application/json", body)
        .with("x-signature-ed25519", signature)
        .with("x-signature-timestamp", seconds.to_string())
}

fn option_of(text: &str) -> Result<Value, Failure> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Failure::new(Code::Usage, "--option takes NAME=VALUE"))?;
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let person = digits && (value.len() >= 15 || matches!(name, "user" | "member"));
    let option = |kind: u8, value: Value| json!({"type": kind, "name": name, "value": value});
    Ok(match (value, value.parse::<i64>()) {
        _ if person => option(6, json!(value)),
        (_, Ok(number)) => option(4, json!(number)),
        ("true", _) => option(5, json!(true)),
        ("false", _) => option(5, json!(false)),
        _ => option(3, json!(value)),
    })
}
