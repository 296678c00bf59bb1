//! What a handler answers, and what that becomes on each platform. Pure; knows no transport.

use super::HandlerError;
use serde_json::Value;
use shared::event::{Answer, Event, EventKind};
use shared::platform;

/// A handler's answer to whoever sent the event.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    None,
    Text { text: String, private: bool },
    Raw(Answer),
}

impl Reply {
    /// Says nothing: the event is acknowledged as its platform wants it.
    pub const fn none() -> Self {
        Self(Form::None)
    }

    /// Says something that everybody in the channel can read, where the platform shows text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Form::Text { text: text.into(), private: false })
    }

    /// Says something only to whoever sent the event, where the platform can do that; elsewhere like [`Reply::text`].
    pub fn private(text: impl Into<String>) -> Self {
        Self(Form::Text { text: text.into(), private: true })
    }

    /// Answers with JSON, as the platform documents it.
    pub fn json(status: u16, value: &Value) -> Self {
        Self(Form::Raw(Answer::json(status, value)))
    }

    /// Answers with exactly this.
    pub const fn raw(answer: Answer) -> Self {
        Self(Form::Raw(answer))
    }

    /// Returns the HTTP answer that says it on the event's platform.
    pub(crate) fn render(self, event: &Event) -> Answer {
        match self.0 {
            Form::None => platform::acknowledged(event.kind),
            Form::Raw(answer) => answer,
            Form::Text { text, .. } if event.kind == EventKind::TelegramUpdate => telegram(event, &text),
            Form::Text { text, private } => platform::message(event.kind, &text, private),
        }
    }
}

/// What a header takes on its way beside its name and its value, in bytes.
const HEADER_OVERHEAD: usize = 16;

/// Lets an answer through that has at most `most` bytes, headers included.
///
/// # Errors
/// [`HandlerError::Refused`]: a larger one would be larger the next time too.
pub(crate) fn bounded(answer: Answer, most: usize) -> Result<Answer, HandlerError> {
    let headers = answer.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD);
    let size = answer.body.len() + headers.sum::<usize>();
    if size <= most {
        return Ok(answer);
    }
    Err(HandlerError::Refused(format!("the reply has {size} bytes, --max-reply (BERTH_MAX_REPLY) allows {most}")))
}

/// Telegram executes the body of an answer, and needs to be told the chat: the one the update came from.
fn telegram(event: &Event, text: &str) -> Answer {
    let update: Value = serde_json::from_slice(&event.body).unwrap_or(Value::Null);
    let message = ["message", "edited_message", "channel_post", "edited_channel_post"]
        .iter()
        .find_map(|kind| update.get(kind))
        .or_else(|| update.pointer("/callback_query/message"));
    let chat = message.and_then(|message| message.pointer("/chat/id")).and_then(Value::as_i64);
    let reply_to = message.and_then(|message| message.get("message_id")).and_then(Value::as_i64);
    match chat {
        Some(chat) => platform::telegram_message(&chat.to_string(), text, reply_to),
        None => platform::acknowledged(event.kind),
    }
}

#[cfg(test)]
mod tests;
