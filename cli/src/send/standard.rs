//! Plays any sender that follows Standard Webhooks, with a symmetric secret (`v1`).

use super::{
    Common, Moment, Webhook, hmac_sha256,
    keyring::{self, Keyring},
};
use crate::{
    exit::{Code, Failure},
    secrets::DEMO,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

/// Flags of `berth send standard`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth send standard --target orders --command stats")]
pub(crate) struct Args {
    /// The source, as http-service knows it
    #[arg(long, default_value = DEMO, value_name = "NAME")]
    source: String,
    /// What the source keys on; without it the target is the source itself
    #[arg(long, value_name = "VALUE")]
    target: Option<String>,
    /// A command
    #[arg(long, value_name = "NAME")]
    command: Option<String>,
    /// What is said, or the command's arguments
    #[arg(long, default_value = "", value_name = "TEXT")]
    text: String,
    /// Who speaks
    #[arg(long, default_value = "user-1", value_name = "ID")]
    user: String,
    /// The secret (`whsec_…`) instead of the one `up` made
    #[arg(long, env = "BERTH_STANDARD_SECRETS", hide_env_values = true, value_name = "SECRET")]
    secret: Option<String>,
    /// What all platforms have.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Makes the signed request.
    pub(crate) fn webhook(&self, moment: &Moment, keys: &Keyring) -> Result<Webhook, Failure> {
        let said = keyring::named(self.secret.as_deref(), &self.source, |said| said.starts_with("whsec_"));
        let secret = keys.secret(said, "BERTH_STANDARD_SECRETS", "--secret", |made| &made.standard_secret)?;
        let body = moment.body.clone().unwrap_or_else(|| {
            let command = self.command.as_deref().map(|command| command.trim_start_matches('/'));
            message(self.target.as_deref(), command, &self.user, &self.text).to_string().into()
        });
        let id = moment.id.clone().unwrap_or_else(|| format!("msg_{}", moment.fresh));
        sign(&secret, &self.source, &id, moment.seconds(), body)
            .ok_or_else(|| Failure::new(Code::Usage, "the secret of a Standard Webhooks source is whsec_ and base64"))
    }
}

/// Returns a body that names its target at `/target`.
pub fn message(target: Option<&str>, command: Option<&str>, user: &str, text: &str) -> Value {
    let mut body = json!({"type": if command.is_some() { "command" } else { "message" }, "user": user});
    if let Some(target) = target {
        body["target"] = json!(target);
    }
    match command {
        Some(command) => {
            body["command"] = json!(command);
            body["args"] = json!(text);
        }
        None => body["message"] = json!(text),
    }
    body
}

/// Signs as Standard Webhooks has it: `v1,` and the base64 HMAC of `id.timestamp.body`. `None` when `secret` is not
/// `whsec_…`.
pub fn sign(secret: &str, source: &str, id: &str, seconds: u64, body: Bytes) -> Option<Webhook> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    let timestamp = seconds.to_string();
    let signature = hmac_sha256(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", &body]);
    Some(
        Webhook::new(format!("/webhooks/standard/{source}"), "application/json", body)
            .with("webhook-id", id)
            .with("webhook-timestamp", timestamp)
            .with("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    )
}
