//! Messages of the bot: written, edited, deleted; a nonce that is enforced makes one message of two requests.

use super::Reply;
use crate::{
    ids::{Now, timestamp},
    world::{Change, World},
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a nonce is remembered.
const NONCE: Duration = Duration::from_secs(300);
/// The longest message, in characters.
const LONGEST: usize = 2000;

pub(super) fn unknown_channel() -> Reply {
    Reply::error(404, 10003, "Unknown Channel")
}

pub(super) fn unknown_message() -> Reply {
    Reply::error(404, 10008, "Unknown Message")
}

/// What is wrong with what a message says.
pub(super) fn unsayable(said: &Value) -> Option<Reply> {
    let content = said["content"].as_str().unwrap_or_default();
    let more = ["embeds", "components", "sticker_ids", "attachments"];
    let more = more.iter().any(|field| said[*field].as_array().is_some_and(|list| !list.is_empty()));
    if content.chars().count() > LONGEST {
        Some(Reply::error(400, 50035, "Invalid Form Body"))
    } else if content.is_empty() && !more {
        Some(Reply::error(400, 50006, "Cannot send an empty message"))
    } else {
        None
    }
}

impl World {
    fn own(&self, message: &Value) -> bool {
        message["author"]["id"] == json!(self.settings.application.to_string())
    }

    pub(super) fn create(&mut self, channel: u64, said: &Value, now: Now) -> Reply {
        let Some(place) = self.guilds.place(channel) else { return unknown_channel() };
        if self.rest.forbidden.contains(&channel) {
            return Reply::error(403, 50013, "Missing Permissions");
        }
        if let Some(refusal) = unsayable(said) {
            return refusal;
        }
        // A number or a text; both are kept as they came.
        let nonce = Some(&said["nonce"]).filter(|nonce| !nonce.is_null()).map(Value::to_string);
        let key = nonce.filter(|_| said["enforce_nonce"] == json!(true)).map(|nonce| (channel, nonce));
        if let Some(key) = &key
            && let Some((id, at)) = self.rest.nonces.get(key)
            && now.mono.since(*at) < NONCE
            && let Some((_, message)) = self.rest.messages.get(id)
        {
            return Reply::ok(message.clone());
        }
        let author = self.guilds.bot().json(true);
        let id = self.write(place, author, said, now);
        if let Some(key) = key {
            self.rest.nonces.insert(key, (id, now.mono));
        }
        self.read(channel, id)
    }

    pub(super) fn read(&self, channel: u64, id: u64) -> Reply {
        let found = self.rest.messages.get(&id).filter(|(place, _)| place.channel == channel);
        found.map_or_else(unknown_message, |(_, message)| Reply::ok(message.clone()))
    }

    pub(super) fn edit(&mut self, channel: u64, id: u64, said: &Value, now: Now) -> Reply {
        let found = self.rest.messages.get(&id).filter(|(place, _)| place.channel == channel);
        let Some((_, message)) = found else { return unknown_message() };
        if !self.own(message) {
            return Reply::error(403, 50005, "Cannot edit a message authored by another user");
        }
        self.rewrite(id, said, now)
    }

    /// Changes what a message says, whoever may.
    pub(super) fn rewrite(&mut self, id: u64, said: &Value, now: Now) -> Reply {
        let Some((place, message)) = self.rest.messages.get_mut(&id) else { return unknown_message() };
        let mut changed = message.clone();
        for field in ["content", "embeds", "components"] {
            if let Some(given) = said.get(field) {
                changed[field] = given.clone();
            }
        }
        if let Some(refusal) = unsayable(&changed) {
            return refusal;
        }
        changed["edited_timestamp"] = json!(timestamp(now.wall_ms));
        message.clone_from(&changed);
        let place = *place;
        self.announce(Change::Updated, place, &changed);
        Reply::ok(changed)
    }

    pub(super) fn delete(&mut self, channel: u64, id: u64) -> Reply {
        let Some((place, _)) = self.rest.messages.get(&id) else { return unknown_message() };
        if place.channel != channel {
            return unknown_message();
        }
        self.erase(id)
    }

    /// Removes a message, whoever may.
    pub(super) fn erase(&mut self, id: u64) -> Reply {
        let Some((place, message)) = self.rest.messages.remove(&id) else { return unknown_message() };
        self.announce(Change::Deleted, place, &message);
        Reply::nothing()
    }
}
