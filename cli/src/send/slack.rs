//! Plays Slack: slash commands and events of a workspace, signed with the signing secret.

use super::{
    Common, Moment, Webhook, hmac_sha256,
    keyring::{self, Keyring},
};
use crate::exit::Failure;
use bytes::Bytes;
use serde_json::{Value, json};

/// Flags of `berth send slack`.
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Examples:\n  berth send slack --team T1 --command stats\n  berth send slack --team T1 --event message --text hello"
)]
pub(crate) struct Args {
    /// The workspace
    #[arg(long, value_name = "ID", required_unless_present = "body")]
    team: Option<String>,
    /// The channel
    #[arg(long, default_value = "C1", value_name = "ID")]
    channel: String,
    /// Who speaks
    #[arg(long, default_value = "U1", value_name = "ID")]
    user: String,
    /// A slash command, without the slash
    #[arg(long, value_name = "NAME", conflicts_with = "event")]
    command: Option<String>,
    /// An event of the Events API, unless it is a command
    #[arg(long, default_value = "message", value_name = "TYPE")]
    event: String,
    /// What is said
    #[arg(long, default_value = "", value_name = "TEXT")]
    text: String,
    /// The signing secret instead of the one `up` made
    #[arg(long, env = "BERTH_SLACK_SIGNING_SECRET", hide_env_values = true, value_name = "SECRET")]
    secret: Option<String>,
    /// What all platforms have.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Makes the signed request.
    pub(crate) fn webhook(&self, moment: &Moment, keys: &Keyring) -> Result<Webhook, Failure> {
        let said = keyring::first(self.secret.as_deref());
        let secret = keys.secret(said, "BERTH_SLACK_SIGNING_SECRET", "--secret", |made| &made.slack_signing_secret)?;
        let team = self.team.as_deref().unwrap_or_default();
        let (id, seconds) = (moment.id(), moment.seconds());
        let said = Said { team, channel: &self.channel, user: &self.user, text: &self.text };
        let (kind, body) = match (&moment.body, &self.command) {
            (Some(body), _) => (content_type(body), body.clone()),
            (None, Some(command)) => (FORM, command_form(&id, command.trim_start_matches('/'), &said).into()),
            (None, None) => (JSON, event(&event_id(&id), &self.event, &said, seconds).to_string().into()),
        };
        Ok(sign(&secret, kind, seconds, body))
    }
}

/// The content type of events.
pub const JSON: &str = "application/json";
/// The content type of slash commands and interactivity.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Who says what, where.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The workspace.
    pub team: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// Who speaks.
    pub user: &'a str,
    /// What is said.
    pub text: &'a str,
}

/// Returns a slash command as a form; `id` is its trigger id.
pub fn command_form(id: &str, command: &str, said: &Said<'_>) -> String {
    let fields = [
        ("team_id", said.team),
        ("team_domain", "played"),
        ("channel_id", said.channel),
        ("channel_name", "general"),
        ("user_id", said.user),
        ("user_name", said.user),
        ("command", &format!("/{command}")),
        ("text", said.text),
        ("api_app_id", "A1"),
        ("is_enterprise_install", "false"),
        ("trigger_id", id),
        ("response_url", &format!("https://hooks.slack.com/commands/{}/1/played", said.team)),
    ];
    form(&fields)
}

/// Returns fields as a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect::<Vec<_>>().join("&")
}

/// Returns an `event_callback`. `id` is its event id.
pub fn event(id: &str, kind: &str, said: &Said<'_>, seconds: u64) -> Value {
    json!({
        "type": "event_callback", "event_id": id, "event_time": seconds, "api_app_id": "A1", "team_id": said.team,
        "context_team_id": said.team, "is_ext_shared_channel": false,
        "authorizations": [{
            "enterprise_id": null, "team_id": said.team, "user_id": "UBOT", "is_bot": true,
            "is_enterprise_install": false,
        }],
        "event": {
            "type": kind, "team": said.team, "channel": said.channel, "channel_type": "channel", "user": said.user,
            "text": said.text, "ts": format!("{seconds}.000100"), "event_ts": format!("{seconds}.000100"),
        },
    })
}

/// Signs as Slack does: `v0=` and the HMAC of `v0:timestamp:body`.
pub fn sign(secret: &str, content_type: &str, seconds: u64, body: Bytes) -> Webhook {
    let timestamp = seconds.to_string();
    let signature = hmac_sha256(secret.as_bytes(), &[b"v0:", timestamp.as_bytes(), b":", &body]);
    Webhook::new("/webhooks/slack", content_type, body)
        .with("x-slack-request-timestamp", timestamp)
        .with("x-slack-signature", format!("v0={}", hex::encode(signature)))
}

fn event_id(id: &str) -> String {
    if id.starts_with("Ev") { id.to_owned() } else { format!("Ev{id}") }
}

fn content_type(body: &[u8]) -> &'static str {
    if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') { JSON } else { FORM }
}

fn form_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(b)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
        out
    })
}
