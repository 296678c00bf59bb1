//! Plays Telegram's Bot API: an update with a message. The body is not signed; a secret token in a header says who sends.

use super::{
    Common, Moment, Webhook,
    keyring::{self, Keyring},
};
use crate::{exit::Failure, secrets::DEMO};
use bytes::Bytes;
use serde_json::{Value, json};

/// Flags of `berth send telegram`.
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  berth send telegram --chat -1001234567890 --text /stats")]
pub(crate) struct Args {
    /// The chat: negative for groups
    #[arg(long, value_name = "ID", allow_negative_numbers = true, required_unless_present = "body")]
    chat: Option<i64>,
    /// What is said; a command begins with a slash
    #[arg(long, value_name = "TEXT", default_value = "hello")]
    text: String,
    /// Who speaks
    #[arg(long, default_value_t = 42, value_name = "ID")]
    user: i64,
    /// Which bot it is sent to
    #[arg(long, default_value = DEMO, value_name = "NAME")]
    bot: String,
    /// The secret token instead of the one `up` made
    #[arg(long, env = "BERTH_TELEGRAM_SECRETS", hide_env_values = true, value_name = "SECRET")]
    secret: Option<String>,
    /// What all platforms have.
    #[command(flatten)]
    pub(super) common: Common,
}

impl Args {
    /// Makes the signed request.
    pub(crate) fn webhook(&self, moment: &Moment, keys: &Keyring) -> Result<Webhook, Failure> {
        let said = keyring::named(self.secret.as_deref(), &self.bot, |said| !said.contains('='));
        let secret = keys.secret(said, "BERTH_TELEGRAM_SECRETS", "--secret", |made| &made.telegram_secret)?;
        let body = moment.body.clone().unwrap_or_else(|| {
            // Update ids are at most 2^31 in practice, and a number in JSON.
            let id = moment.id.clone().unwrap_or_else(|| (moment.fresh & 0x7fff_ffff).to_string());
            message(&id, self.chat.unwrap_or_default(), self.user, &self.text, moment.seconds()).to_string().into()
        });
        Ok(sign(&secret, &self.bot, body))
    }
}

/// Returns an update with a message. `update` is a number; what is none is sent as text, which a bot API never does.
pub fn message(update: &str, chat: i64, user: i64, text: &str, seconds: u64) -> Value {
    let kind = match chat {
        ..=-1_000_000_000_000 => "supergroup",
        -999_999_999_999..0 => "group",
        _ => "private",
    };
    let update_id = update.parse::<i64>().map_or_else(|_| json!(update), |id| json!(id));
    let message_id = update.parse::<i64>().map_or(1, |id| id.rem_euclid(1_000_000) + 1);
    let mut body = json!({"update_id": update_id, "message": {
        "message_id": message_id, "date": seconds, "text": text,
        "from": {"id": user, "is_bot": false, "first_name": format!("user-{user}"), "username": format!("user_{user}")},
        "chat": {"id": chat, "type": kind},
    }});
    let chat_name =
        if kind == "private" { ("first_name", format!("user-{user}")) } else { ("title", "a chat".to_owned()) };
    body["message"]["chat"][chat_name.0] = json!(chat_name.1);
    if text.starts_with('/') {
        // Telegram counts in UTF-16 units.
        let length = text.split_whitespace().next().unwrap_or_default().encode_utf16().count();
        body["message"]["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
    }
    body
}

/// Adds the bot's secret token.
pub fn sign(secret: &str, bot: &str, body: Bytes) -> Webhook {
    Webhook::new(format!("/webhooks/telegram/{bot}"), "application/json", body)
        .with("x-telegram-bot-api-secret-token", secret)
}
