//! Plays GitHub: a delivery of one of its events, signed with the webhook's secret.

use super::{
    Common, Moment, Webhook, hmac_sha256,
    keyring::{self, Keyring},
};
use crate::exit::Failure;
use bytes::Bytes;
use serde_json::{Value, json};

/// Flags of `berth send github`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth send github --event push --repository 1")]
pub(crate) struct Args {
    /// The event, for example `push` or `issues`
    #[arg(long, default_value = "push", value_name = "NAME")]
    event: String,
    /// What happened, for events that say it: `opened`, `closed`, …
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// The repository
    #[arg(long, value_name = "ID", required_unless_present_any = ["installation", "body"])]
    repository: Option<u64>,
    /// The installation of the app
    #[arg(long, value_name = "ID")]
    installation: Option<u64>,
    /// A comment, for events that carry one: `--event issue_comment --action created --comment /stats`
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Who did it
    #[arg(long, default_value = "user-1", value_name = "LOGIN")]
    user: String,
    /// The webhook's secret instead of the one `up` made
    #[arg(long, env = "BERTH_GITHUB_SECRET", hide_env_values = true, value_name = "SECRET")]
    secret: Option<String>,
    /// What all platforms have.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Makes the signed request.
    pub(crate) fn webhook(&self, moment: &Moment, keys: &Keyring) -> Result<Webhook, Failure> {
        let said = keyring::first(self.secret.as_deref());
        let secret = keys.secret(said, "BERTH_GITHUB_SECRET", "--secret", |made| &made.github_secret)?;
        let body = moment.body.clone().unwrap_or_else(|| {
            let said = Said {
                repository: self.repository,
                installation: self.installation,
                action: self.action.as_deref(),
                comment: self.comment.as_deref(),
                user: &self.user,
            };
            delivery(&said).to_string().into()
        });
        Ok(sign(&secret, &self.event, &moment.id(), body))
    }
}

/// What a delivery says.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The repository.
    pub repository: Option<u64>,
    /// The installation of the app.
    pub installation: Option<u64>,
    /// What happened.
    pub action: Option<&'a str>,
    /// A comment.
    pub comment: Option<&'a str>,
    /// Who did it.
    pub user: &'a str,
}

/// Returns the body of a delivery.
pub fn delivery(said: &Said<'_>) -> Value {
    let user = said.user;
    let mut body = json!({"sender": {"id": 1, "login": user, "type": "User"}});
    if let Some(id) = said.repository {
        let name = format!("repository-{id}");
        body["repository"] = json!({"id": id, "name": name, "full_name": format!("{user}/{name}")});
    }
    if let Some(id) = said.installation {
        body["installation"] = json!({"id": id});
    }
    match said.action {
        Some(action) => body["action"] = json!(action),
        None => body["ref"] = json!("refs/heads/main"),
    }
    if let Some(comment) = said.comment {
        body["comment"] = json!({"id": 1, "body": comment, "user": {"id": 1, "login": user}});
    }
    body
}

/// Signs as GitHub does: `sha256=` and the HMAC of the body. `id` is the delivery.
pub fn sign(secret: &str, event: &str, id: &str, body: Bytes) -> Webhook {
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), &[&body]));
    Webhook::new("/webhooks/github", "application/json", body)
        .with("x-github-event", event)
        .with("x-github-delivery", id)
        .with("x-hub-signature-256", format!("sha256={signature}"))
}
