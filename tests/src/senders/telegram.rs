//! Telegram: a secret token per bot in a header; the body is not signed (Bot API, setWebhook).

use super::{Delivery, Keys};
use serde_json::{Value, json};

/// The bot all stories use.
pub const BOT: &str = "berthbot";

/// Makes a delivery of any body.
pub fn signed(keys: &Keys, body: &[u8]) -> Delivery {
    let headers =
        [("content-type", "application/json".to_owned()), ("x-telegram-bot-api-secret-token", keys.telegram.clone())];
    Delivery::new(format!("/webhooks/telegram/{BOT}"), body, &headers)
}

/// Makes a message in a chat.
pub fn message(chat: i64, update: u64, text: &str) -> Value {
    json!({
        "update_id": update,
        "message": {
            "message_id": update, "date": 1_700_000_000, "text": text,
            "chat": {"id": chat, "type": "supergroup", "title": "a chat"},
            "from": {"id": 200, "is_bot": false, "first_name": "Mara"},
        },
    })
}
