//! The JSON of users, guilds, messages and interactions, with every field that clients insist on. Knows no rules.

use crate::ids::timestamp;
use serde_json::{Value, json};

/// Somebody who types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: u64,
    /// The name.
    pub name: String,
}

impl User {
    /// Makes a user.
    pub fn new(id: u64, name: &str) -> Self {
        Self { id, name: name.to_owned() }
    }

    pub(crate) fn json(&self, bot: bool) -> Value {
        json!({
            "id": self.id.to_string(), "username": self.name, "discriminator": "0", "global_name": self.name,
            "avatar": null, "banner": null, "accent_color": null, "avatar_decoration_data": null,
            "bot": bot, "public_flags": 0, "flags": 0,
        })
    }
}

/// The bot as READY and `/users/@me` show it.
pub(crate) fn current_user(bot: &User) -> Value {
    let mut user = bot.json(true);
    user["mfa_enabled"] = json!(false);
    user["verified"] = json!(true);
    user["email"] = Value::Null;
    user
}

/// What a message says of its author beside who that is.
fn membership(joined_ms: u64) -> Value {
    json!({
        "roles": [], "joined_at": timestamp(joined_ms), "deaf": false, "mute": false, "nick": null, "flags": 0,
        "pending": false, "communication_disabled_until": null, "premium_since": null, "avatar": null, "banner": null,
    })
}

pub(crate) fn channel(id: u64, guild: u64, name: &str, position: usize) -> Value {
    json!({
        "id": id.to_string(), "guild_id": guild.to_string(), "type": 0, "name": name, "position": position,
        "permission_overwrites": [], "topic": null, "nsfw": false, "last_message_id": null, "parent_id": null,
        "rate_limit_per_user": 0, "flags": 0,
    })
}

/// A channel between the bot and one user.
pub(crate) fn direct_channel(id: u64, user: &User) -> Value {
    json!({"id": id.to_string(), "type": 1, "recipients": [user.json(false)], "last_message_id": null, "flags": 0})
}

/// What a guild has, and this one has none of.
const EMPTY_LISTS: [&str; 9] = [
    "threads",
    "presences",
    "voice_states",
    "emojis",
    "stickers",
    "features",
    "stage_instances",
    "guild_scheduled_events",
    "soundboard_sounds",
];

/// What a guild can name, and this one does not.
const UNSET: [&str; 13] = [
    "afk_channel_id",
    "application_id",
    "banner",
    "description",
    "discovery_splash",
    "icon",
    "splash",
    "vanity_url_code",
    "rules_channel_id",
    "public_updates_channel_id",
    "safety_alerts_channel_id",
    "system_channel_id",
    "widget_channel_id",
];

/// What a guild sets to a number, and this one leaves as it is made.
const ZERO: [&str; 8] = [
    "system_channel_flags",
    "default_message_notifications",
    "explicit_content_filter",
    "mfa_level",
    "nsfw_level",
    "premium_subscription_count",
    "premium_tier",
    "verification_level",
];

/// What GUILD_CREATE says of a guild.
pub(crate) fn guild(id: u64, name: &str, channels: &[Value], bot: &User, joined_ms: u64) -> Value {
    let everyone = json!({
        "id": id.to_string(), "name": "@everyone", "color": 0, "hoist": false, "managed": false, "mentionable": false,
        "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
        "permissions": "2248473465835073", "position": 0, "flags": 0, "icon": null, "unicode_emoji": null,
    });
    let mut member = membership(joined_ms);
    member["user"] = bot.json(true);
    let mut guild = json!({
        "id": id.to_string(), "name": name, "unavailable": false, "owner_id": "1", "joined_at": timestamp(joined_ms),
        "large": false, "member_count": 2, "channels": channels, "members": [member], "roles": [everyone],
    });
    for field in EMPTY_LISTS {
        guild[field] = json!([]);
    }
    for field in UNSET {
        guild[field] = Value::Null;
    }
    for field in ZERO {
        guild[field] = json!(0);
    }
    for (field, value) in [
        ("afk_timeout", json!(300)),
        ("nsfw", json!(false)),
        ("preferred_locale", json!("en-US")),
        ("premium_progress_bar_enabled", json!(false)),
        ("widget_enabled", json!(false)),
        ("max_members", json!(500_000)),
        ("max_video_channel_users", json!(25)),
        ("max_stage_video_channel_users", json!(50)),
    ] {
        guild[field] = value;
    }
    guild
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) channel: u64,
    pub(crate) guild: Option<u64>,
}

/// A message; `said` are the fields that its author gave.
pub(crate) fn message(id: u64, place: Place, author: Value, said: &Value, at_ms: u64) -> Value {
    let given = |field: &str, other: Value| said.get(field).filter(|value| !value.is_null()).cloned().unwrap_or(other);
    let mut message = json!({
        "id": id.to_string(), "channel_id": place.channel.to_string(), "author": author, "type": 0,
        "content": given("content", json!("")), "embeds": given("embeds", json!([])),
        "components": given("components", json!([])), "flags": given("flags", json!(0)),
        "tts": given("tts", json!(false)), "timestamp": timestamp(at_ms), "edited_timestamp": null,
        "attachments": [], "mentions": [], "mention_roles": [], "mention_everyone": false, "pinned": false,
    });
    if let Some(nonce) = said.get("nonce") {
        message["nonce"] = nonce.clone();
    }
    if let Some(reference) = said.get("message_reference") {
        message["message_reference"] = reference.clone();
    }
    message
}

/// A message as the gateway tells of it: with the guild and, in one, with who the author is there.
pub(crate) fn told(message: &Value, place: Place, joined_ms: u64) -> Value {
    let mut told = message.clone();
    if let Some(guild) = place.guild {
        told["guild_id"] = json!(guild.to_string());
        told["member"] = membership(joined_ms);
    }
    told
}

/// The same without what it says, for sessions that may not read it.
pub(crate) fn without_content(told: &Value) -> Value {
    let mut bare = told.clone();
    for field in ["embeds", "components", "attachments"] {
        bare[field] = json!([]);
    }
    bare["content"] = json!("");
    bare
}

/// What a user did that the bot must answer.
pub(crate) struct Done<'a> {
    pub(crate) id: u64,
    pub(crate) token: &'a str,
    pub(crate) application: u64,
    pub(crate) place: Place,
    pub(crate) user: &'a User,
    /// The interaction's type.
    pub(crate) kind: u8,
    pub(crate) data: &'a Value,
    /// The message it was done to.
    pub(crate) message: Option<&'a Value>,
}

/// What INTERACTION_CREATE says of it; a webhook would get the same.
pub(crate) fn interaction(done: &Done<'_>, channel: &Value, joined_ms: u64) -> Value {
    let Place { channel: channel_id, guild } = done.place;
    let owner = guild.map_or_else(|| json!({"1": done.user.id.to_string()}), |id| json!({"0": id.to_string()}));
    let mut interaction = json!({
        "id": done.id.to_string(), "application_id": done.application.to_string(), "type": done.kind,
        "token": done.token, "version": 1, "channel_id": channel_id.to_string(), "channel": channel,
        "data": done.data,
        "locale": "en-US", "app_permissions": "2248473465835073", "entitlements": [],
        "authorizing_integration_owners": owner, "context": u8::from(guild.is_none()),
        "attachment_size_limit": 10_485_760,
    });
    if let Some(message) = done.message {
        interaction["message"] = message.clone();
    }
    if let Some(id) = guild {
        let mut member = membership(joined_ms);
        member["user"] = done.user.json(false);
        member["permissions"] = json!("2248473465835073");
        interaction["member"] = member;
        interaction["guild_id"] = json!(id.to_string());
        interaction["guild_locale"] = json!("en-US");
        interaction["guild"] = json!({"id": id.to_string(), "locale": "en-US", "features": []});
    } else {
        interaction["user"] = done.user.json(false);
    }
    interaction
}
