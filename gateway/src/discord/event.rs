//! What Discord's gateway tells as an event of a target: whose it is, and under which id it counts once (docs/adr/0030). Pure.

use super::connector::Dispatch;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::event::{Event, EventKind};
use shared::{Kind, Platform, TargetId};

/// Who sent it, for the inbox.
pub(super) const SOURCE: &str = "discord-gateway";

/// Things that come into being, or go, once, and carry the id that they have for ever: under it they count, in whichever
/// session they are told. Whatever else happens has no id but its number in the session.
const ONCE: [&str; 8] = [
    "MESSAGE_CREATE",
    "MESSAGE_DELETE",
    "INTERACTION_CREATE",
    "CHANNEL_CREATE",
    "CHANNEL_DELETE",
    "ENTITLEMENT_CREATE",
    "GUILD_SCHEDULED_EVENT_CREATE",
    "STAGE_INSTANCE_CREATE",
];

/// Of everything that happens only this is read here.
#[derive(Default, Deserialize)]
struct Ids {
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default)]
    guild_id: Option<serde_json::Value>,
    #[serde(default)]
    channel_id: Option<serde_json::Value>,
}

/// The data of a dispatch is no object: there is nothing that could be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data is no JSON object")]
pub(super) struct Malformed;

fn id(value: Option<&serde_json::Value>) -> Option<String> {
    let text = value?.as_str().filter(|text| (1..=20).contains(&text.len()))?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.to_owned())
}

/// Makes an event of a dispatch in a session of the shard whose own target is `own`, heard at `now_ms`. It is its guild's; that
/// of a conversation with the bot alone is its channel's; the rest is the shard's own.
///
/// # Errors
/// [`Malformed`].
pub(super) fn event(own: &TargetId, session: &str, dispatch: &Dispatch, now_ms: u64) -> Result<Event, Malformed> {
    let Dispatch { seq, name, data } = dispatch;
    let raw: &RawValue = serde_json::from_str(data).map_err(|_| Malformed)?;
    let ids: Ids = serde_json::from_str(raw.get()).map_err(|_| Malformed)?;
    let entity = id(ids.id.as_ref());
    // What a guild itself goes through carries its id as its own.
    let of_guilds = matches!(name.as_str(), "GUILD_CREATE" | "GUILD_UPDATE" | "GUILD_DELETE");
    let guild = id(ids.guild_id.as_ref()).or_else(|| entity.clone().filter(|_| of_guilds));
    let target = guild
        .map(|id| (Kind::Guild, id))
        .or_else(|| id(ids.channel_id.as_ref()).map(|id| (Kind::Channel, id)))
        .and_then(|(kind, id)| TargetId::from_parts(Platform::Discord, kind, &[&id]).ok())
        .unwrap_or_else(|| own.clone());
    let id = match entity.filter(|_| ONCE.contains(&name.as_str())) {
        Some(entity) => format!("{name}:{entity}"),
        None => format!("{session}:{seq}"),
    };
    let name = serde_json::Value::from(name.as_str());
    // Without its number: told again in another session, it is the same to the letter.
    let body = Bytes::from(format!("{{\"t\":{name},\"d\":{}}}", raw.get()));
    Ok(Event {
        target,
        parent: None,
        platform: Platform::Discord,
        kind: EventKind::DiscordDispatch,
        source: SOURCE.to_owned(),
        id,
        received_at: now_ms,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body,
    })
}

#[cfg(test)]
mod tests;
