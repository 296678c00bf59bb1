//! One Discord: the gateway, the guilds and REST put together, and what happens in it without the bot. Pure, like its
//! parts: the time comes in, [`Effect`]s go out.

use crate::{
    gateway::{Effect, Event, Gateway},
    guilds::Guilds,
    ids::{Ids, Now},
    intents,
    objects::{self, Done, Place, User},
    rest::{Interaction, Rest},
    settings::Settings,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) gateway: Gateway,
    pub(crate) guilds: Guilds,
    pub(crate) rest: Rest,
    ids: Ids,
    pub(crate) url: String,
    /// Nobody answers behind the resume URL.
    pub(crate) stale_resume_url: bool,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Created,
    Updated,
    Deleted,
}

impl World {
    pub(crate) fn new(settings: Settings, url: String, now: Now) -> Self {
        let bot = User::new(settings.application, &settings.name);
        Self {
            gateway: Gateway::new(settings.clone(), url.clone()),
            guilds: Guilds::new(bot, now.wall_ms),
            rest: Rest::default(),
            ids: Ids::default(),
            settings,
            url,
            stale_resume_url: false,
        }
    }

    /// Takes what is to be sent.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.gateway.effects)
    }

    pub(crate) fn next_id(&mut self, now: Now) -> u64 {
        self.ids.next(now)
    }

    /// The bot is invited to a guild with one channel, whose id is returned.
    pub(crate) fn add_guild(&mut self, guild: u64, name: &str, now: Now) -> u64 {
        let channel = self.next_id(now);
        self.guilds.add(guild, name);
        self.guilds.add_channel(channel, guild, "general");
        self.tell_of(guild);
        channel
    }

    /// A guild, if there is such a one, gets another channel.
    pub(crate) fn add_channel(&mut self, guild: u64, name: &str, now: Now) -> Option<u64> {
        let channel = self.next_id(now);
        if !self.guilds.add_channel(channel, guild, name) {
            return None;
        }
        if let Some(data) = self.guilds.channel(channel) {
            self.tell("CHANNEL_CREATE", guild, &data);
        }
        Some(channel)
    }

    /// The bot is thrown out of a guild.
    pub(crate) fn remove_guild(&mut self, guild: u64) {
        if self.guilds.remove(guild) {
            self.tell("GUILD_DELETE", guild, &json!({"id": guild.to_string()}));
        }
    }

    /// Discord cannot serve a guild for now, or again.
    pub(crate) fn outage(&mut self, guild: u64, out: bool) {
        if !self.guilds.set_out(guild, out) {
        } else if out {
            self.tell("GUILD_DELETE", guild, &json!({"id": guild.to_string(), "unavailable": true}));
        } else {
            self.tell_of(guild);
        }
    }

    fn tell_of(&mut self, guild: u64) {
        if let Some(data) = self.guilds.created(guild) {
            self.tell("GUILD_CREATE", guild, &data);
        }
    }

    fn tell(&mut self, name: &'static str, guild: u64, data: &Value) {
        let data = data.to_string().into();
        self.gateway.dispatch(&Event { name, guild: Some(guild), intent: intents::GUILDS, data, bare: None });
    }

    /// A user writes something; returns the message's id, or nothing when there is no such channel.
    pub(crate) fn say(&mut self, channel: u64, user: &User, text: &str, now: Now) -> Option<u64> {
        let place = self.guilds.place(channel)?;
        Some(self.write(place, user.json(false), &json!({"content": text}), now))
    }

    /// Something is pinned in a guild's channel, if there is such a one.
    pub(crate) fn pin(&mut self, channel: u64, at: &str) -> bool {
        let Some(Place { guild: Some(guild), .. }) = self.guilds.place(channel) else { return false };
        let data = json!({"guild_id": guild.to_string(), "channel_id": channel.to_string(), "last_pin_timestamp": at});
        self.tell("CHANNEL_PINS_UPDATE", guild, &data);
        true
    }

    /// The channel between the bot and a user.
    pub(crate) fn direct(&mut self, user: &User, now: Now) -> u64 {
        let fresh = self.next_id(now);
        self.guilds.direct(user, fresh)
    }

    /// Keeps a message and tells of it.
    pub(crate) fn write(&mut self, place: Place, author: Value, said: &Value, now: Now) -> u64 {
        let id = self.next_id(now);
        let message = objects::message(id, place, author, said, now.wall_ms);
        self.announce(Change::Created, place, &message);
        self.rest.messages.insert(id, (place, message));
        id
    }

    /// Tells of a message, unless only one user may see it.
    pub(crate) fn announce(&mut self, change: Change, place: Place, message: &Value) {
        const EPHEMERAL: u64 = 1 << 6;
        if message["flags"].as_u64().unwrap_or(0) & EPHEMERAL != 0 {
            return;
        }
        let intent = if place.guild.is_some() { intents::GUILD_MESSAGES } else { intents::DIRECT_MESSAGES };
        let told = objects::told(message, place, self.guilds.joined_ms());
        // Its own words a bot may always read.
        let own = message["author"]["id"] == json!(self.settings.application.to_string());
        let (name, told, bare) = match change {
            Change::Deleted => {
                let mut gone = json!({"id": message["id"], "channel_id": message["channel_id"]});
                if place.guild.is_some() {
                    gone["guild_id"] = told["guild_id"].clone();
                }
                ("MESSAGE_DELETE", gone, None)
            }
            Change::Created | Change::Updated => {
                let name = if matches!(change, Change::Created) { "MESSAGE_CREATE" } else { "MESSAGE_UPDATE" };
                let bare = (!own).then(|| objects::without_content(&told).to_string().into());
                (name, told, bare)
            }
        };
        let data = told.to_string().into();
        self.gateway.dispatch(&Event { name, guild: place.guild, intent, data, bare });
    }

    /// A user does something that the bot must answer; returns the interaction, or nothing when there is no such place.
    pub(crate) fn interact(&mut self, what: &Deed<'_>, user: &User, now: Now) -> Option<Interaction> {
        let (channel, message) = match what {
            Deed::Press(id, _) => {
                let (place, message) = self.rest.messages.get(id)?;
                (place.channel, Some((*id, message.clone())))
            }
            Deed::Command(channel, ..) | Deed::Complete(channel, ..) => (*channel, None),
        };
        let place = self.guilds.place(channel)?;
        let shown = self.guilds.channel(channel)?;
        let id = self.next_id(now);
        // Discord's own look like this, too.
        let token = URL_SAFE_NO_PAD.encode(format!("interaction:{id}:of-no-value"));
        let application = self.settings.application;
        let (kind, data) = what.said();
        let message_of = message.as_ref().map(|(_, message)| message);
        let done = Done { id, token: &token, application, place, user, kind, data: &data, message: message_of };
        let payload = objects::interaction(&done, &shown, self.guilds.joined_ms());
        let data = payload.to_string().into();
        self.gateway.dispatch(&Event { name: "INTERACTION_CREATE", guild: place.guild, intent: 0, data, bare: None });
        let source = message.map(|(id, _)| id);
        let interaction = Interaction::new(id, token, place, payload, source, now.mono);
        self.rest.interactions.insert(interaction.token.clone(), interaction.clone());
        Some(interaction)
    }
}

/// What a user does.
#[derive(Debug)]
pub(crate) enum Deed<'a> {
    /// Calls a slash command: where, its name, its options.
    Command(u64, &'a str, &'a Value),
    /// Types at one, and wants it completed.
    Complete(u64, &'a str, &'a Value),
    /// Presses a button: under which message, and its id.
    Press(u64, &'a str),
}

impl Deed<'_> {
    /// The interaction's type and data.
    fn said(&self) -> (u8, Value) {
        match self {
            Self::Command(_, name, options) => (2, json!({"id": "1", "name": name, "type": 1, "options": options})),
            Self::Complete(_, name, options) => (4, json!({"id": "1", "name": name, "type": 1, "options": options})),
            Self::Press(_, id) => (3, json!({"id": 1, "custom_id": id, "component_type": 2})),
        }
    }
}

#[cfg(test)]
mod tests;
