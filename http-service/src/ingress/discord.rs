//! Discord: interactions and webhook events. Ed25519 over timestamp and body, joined without a separator.

use super::json::{self, Id, Obj, Ref, id, ref_id};
use super::signature::{digest, header, timestamp};
use super::verdict::{Found, Ignored, Input, Reason, Verdict};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use serde_json::json;
use shared::event::{Answer, EventKind};
use shared::{Kind, Platform, TargetId};

/// The application's public keys.
#[derive(Debug, Clone)]
pub(super) struct Keys(Vec<VerifyingKey>);

impl Keys {
    /// Reads keys of 32 bytes in hex. Says in words what is wrong with one.
    pub(super) fn parse<'s>(keys: impl Iterator<Item = &'s str>) -> Result<Self, &'static str> {
        keys.map(|text| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes)
                .map_err(|_| "expected 64 hex digits, as the developer portal shows")?;
            let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "this is no Ed25519 public key")?;
            // A key of small order accepts signatures that nobody made.
            if key.is_weak() { Err("this Ed25519 key is weak; nobody can rely on it") } else { Ok(key) }
        })
        .collect::<Result<_, _>>()
        .map(Self)
    }

    fn verify(&self, input: Input<'_>) -> Result<(), Reason> {
        let signature = header(input.headers, "x-signature-ed25519")?;
        let stamp = header(input.headers, "x-signature-timestamp")?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).map_err(|_| Reason::MalformedSignature)?;
        // Exactly ten digits: since the two are joined without a separator, a shorter timestamp could take its last
        // digits from the body.
        if stamp.len() != 10 {
            return Err(Reason::MalformedTimestamp);
        }
        timestamp(stamp, input)?;
        let signature = Signature::from_bytes(&bytes);
        let signed = [stamp, input.body].concat();
        let fits = self.0.iter().any(|key| key.verify_strict(&signed, &signature).is_ok());
        if fits { Ok(()) } else { Err(Reason::WrongSignature) }
    }
}

#[derive(Deserialize)]
struct Interaction<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    guild_id: Option<Id<'a>>,
    #[serde(borrow)]
    channel_id: Option<Id<'a>>,
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    member: Option<Obj<Member<'a>>>,
    #[serde(borrow)]
    authorizing_integration_owners: Option<Obj<Owners<'a>>>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
}

/// By whom the app was installed: `0` is a guild, `1` a user.
#[derive(Deserialize)]
struct Owners<'a> {
    #[serde(borrow, rename = "0")]
    guild: Option<Id<'a>>,
}

/// Judges a request to the interactions endpoint.
pub(super) fn interaction(keys: &Keys, input: Input<'_>) -> Result<Verdict, Reason> {
    keys.verify(input)?;
    let sent: Interaction<'_> = json::object(json::text(input.body)?)?;
    let kind = match sent.kind {
        1 => return Ok(Verdict::Answer { ignored: Ignored::Ping, answer: Answer::json(200, &json!({"type": 1})) }),
        2 => EventKind::DiscordCommand,
        3 => EventKind::DiscordComponent,
        4 => EventKind::DiscordAutocomplete,
        5 => EventKind::DiscordModal,
        // There is no answer that Discord would take for a kind we do not know.
        _ => return Err(Reason::MalformedBody),
    };
    let event_id = id(&sent.id).ok_or(Reason::MissingId)?.to_owned();
    // A command of a user's own install carries the id of a guild that the bot is not in: never a guild target.
    let installed = sent.authorizing_integration_owners.as_ref().is_none_or(|owners| id(&owners.0.guild).is_some());
    let guild = id(&sent.guild_id).filter(|_| installed);
    let user = ref_id(&sent.user).or_else(|| sent.member.as_ref().and_then(|member| ref_id(&member.0.user)));
    match target(guild, id(&sent.channel_id), user) {
        Some(target) => Ok(Found { kind, target, id: event_id }.into_verdict("discord".to_owned(), input)),
        None => Ok(Ignored::NoTarget.settled(kind, input)),
    }
}

#[derive(Deserialize)]
struct Webhook<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow)]
    event: Option<Obj<WebhookEvent<'a>>>,
}

#[derive(Deserialize)]
struct WebhookEvent<'a> {
    #[serde(borrow, rename = "type")]
    name: Option<Id<'a>>,
    #[serde(borrow)]
    timestamp: Option<Id<'a>>,
    #[serde(borrow)]
    data: Option<Obj<WebhookData<'a>>>,
}

/// What the kinds of webhook events name their subject with: the guild and user of an authorization, the guild or user
/// of an entitlement, the channel and author of a message.
#[derive(Deserialize)]
struct WebhookData<'a> {
    #[serde(borrow)]
    id: Option<Id<'a>>,
    #[serde(borrow)]
    guild: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    guild_id: Option<Id<'a>>,
    #[serde(borrow)]
    channel_id: Option<Id<'a>>,
    #[serde(borrow)]
    user: Option<Obj<Ref<'a>>>,
    #[serde(borrow)]
    user_id: Option<Id<'a>>,
    #[serde(borrow)]
    author: Option<Obj<Ref<'a>>>,
}

/// Judges a request to the webhook events endpoint.
pub(super) fn webhook_event(keys: &Keys, input: Input<'_>) -> Result<Verdict, Reason> {
    keys.verify(input)?;
    let sent: Webhook<'_> = json::object(json::text(input.body)?)?;
    match sent.kind {
        0 => return Ok(Verdict::Answer { ignored: Ignored::Ping, answer: Answer::empty(204) }),
        1 => {}
        _ => return Ok(Ignored::UnknownKind.settled(EventKind::DiscordEvent, input)),
    }
    let event = sent.event.ok_or(Reason::MalformedBody)?.0;
    let name = id(&event.name).ok_or(Reason::MalformedBody)?;
    let stamp = id(&event.timestamp).ok_or(Reason::MissingId)?;
    let Some(Obj(data)) = &event.data else { return Ok(Ignored::NoTarget.settled(EventKind::DiscordEvent, input)) };
    let guild = ref_id(&data.guild).or_else(|| id(&data.guild_id));
    let user = ref_id(&data.user).or_else(|| id(&data.user_id)).or_else(|| ref_id(&data.author));
    let channel = id(&data.channel_id);
    let Some(target) = target(guild, channel, user) else {
        return Ok(Ignored::NoTarget.settled(EventKind::DiscordEvent, input));
    };
    let ids = [id(&data.id), guild, channel, user].map(|id| id.unwrap_or_default().as_bytes());
    let key = digest(&[name.as_bytes(), stamp.as_bytes(), ids[0], ids[1], ids[2], ids[3]]);
    let found = Found { kind: EventKind::DiscordEvent, target, id: key };
    Ok(found.into_verdict("discord-events".to_owned(), input))
}

fn target(guild: Option<&str>, channel: Option<&str>, user: Option<&str>) -> Option<TargetId> {
    let (kind, id) = guild
        .map(|id| (Kind::Guild, id))
        .or(channel.map(|id| (Kind::Channel, id)))
        .or(user.map(|id| (Kind::User, id)))?;
    TargetId::from_parts(Platform::Discord, kind, &[id]).ok()
}

#[cfg(test)]
mod tests;
