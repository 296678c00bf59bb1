//! Telegram: updates of the Bot API. The body is not signed; a secret token per bot comes in a header.

use super::json::{self, Id, Obj, Ref, id, ref_id};
use super::signature::header;
use super::verdict::{Found, Ignored, Input, Reason, Verdict};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use shared::event::EventKind;
use shared::settings::Secret;
use shared::{Kind, Platform, TargetId};
use std::{borrow::Cow, fmt};

/// How a kind of update names its target.
#[derive(Clone, Copy)]
enum Rule {
    /// Its chat, else who sent it.
    Chat,
    /// The chat of the message under the button; an inline message has none, then who pressed it.
    Callback,
    /// Who sent it: these have no chat.
    User,
    /// The poll itself.
    Poll,
    /// The poll that was answered, so that a poll's answers and its state meet; else who answered.
    PollAnswer,
}

const fn rule(kind: &str) -> Option<Rule> {
    Some(match kind.as_bytes() {
        b"message"
        | b"edited_message"
        | b"channel_post"
        | b"edited_channel_post"
        | b"business_message"
        | b"edited_business_message"
        | b"deleted_business_messages"
        | b"message_reaction"
        | b"message_reaction_count"
        | b"my_chat_member"
        | b"chat_member"
        | b"chat_join_request"
        | b"chat_boost"
        | b"removed_chat_boost" => Rule::Chat,
        b"callback_query" => Rule::Callback,
        b"business_connection"
        | b"inline_query"
        | b"chosen_inline_result"
        | b"shipping_query"
        | b"pre_checkout_query"
        | b"purchased_paid_media" => Rule::User,
        b"poll" => Rule::Poll,
        b"poll_answer" => Rule::PollAnswer,
        _ => return None,
    })
}

/// What the kinds of updates name their target with.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    poll_id: Option<Id<'a>>,
    #[serde(borrow)]
    chat: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    from: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    message: Option<Obj<Message<'a>>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    chat: Option<Obj<Ref<'a>>>,
}

impl Part<'_> {
    fn target(&self, rule: Rule) -> Option<TargetId> {
        let user = || ref_id(&self.from).or_else(|| ref_id(&self.user)).map(|id| (Kind::User, [id].to_vec()));
        let chat = |chat| ref_id(chat).map(|id| (Kind::Channel, [id].to_vec()));
        let poll = |poll| id(poll).map(|id| (Kind::Key, ["poll", id].to_vec()));
        let (kind, parts) = match rule {
            Rule::Chat => chat(&self.chat).or_else(user),
            Rule::Callback => self.message.as_ref().and_then(|message| chat(&message.0.chat)).or_else(user),
            Rule::User => user(),
            Rule::Poll => poll(&self.id),
            Rule::PollAnswer => poll(&self.poll_id).or_else(user),
        }?;
        TargetId::from_parts(Platform::Telegram, kind, &parts).ok()
    }
}

/// An update: its number, and at most one part of a kind we know.
#[derive(Default)]
struct Update<'a> {
    id: Option<i64>,
    part: Option<(Rule, Part<'a>)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Update<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Update<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an update")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Update<'de>, A::Error> {
                let mut update = Update::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "update_id" {
                        if update.id.replace(map.next_value()?).is_some() {
                            return Err(de::Error::duplicate_field("update_id"));
                        }
                    } else if let Some(rule) = rule(&key) {
                        let part = map.next_value::<Option<Obj<Part<'de>>>>()?;
                        // The Bot API sends one kind an update; of two, a handler might read the other one.
                        if part.is_some_and(|part| update.part.replace((rule, part.0)).is_some()) {
                            return Err(de::Error::custom("an update of two kinds"));
                        }
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(update)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Judges an update for one bot.
pub(super) fn update(bot: &str, secrets: &[Secret], input: Input<'_>) -> Result<Verdict, Reason> {
    let given = header(input.headers, "x-telegram-bot-api-secret-token")?;
    if !secrets.iter().fold(false, |found, secret| secret.matches(given) | found) {
        return Err(Reason::WrongSignature);
    }
    let sent: Update<'_> = json::object(json::text(input.body)?)?;
    let id = sent.id.ok_or(Reason::MissingId)?.to_string();
    let kind = EventKind::TelegramUpdate;
    let Some((rule, part)) = sent.part else { return Ok(Ignored::UnknownKind.settled(kind, input)) };
    match part.target(rule) {
        Some(target) => Ok(Found { kind, target, id }.into_verdict(format!("telegram/{bot}"), input)),
        None => Ok(Ignored::NoTarget.settled(kind, input)),
    }
}

#[cfg(test)]
mod tests;
