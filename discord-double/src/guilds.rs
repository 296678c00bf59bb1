//! The guilds the bot is in, their channels, and who writes to it directly. Tells nobody of changes; its caller does.

use crate::{
    ids::shard_of,
    objects::{self, Place, User},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The guilds and channels.
#[derive(Debug)]
pub(crate) struct Guilds {
    bot: User,
    joined_ms: u64,
    guilds: BTreeMap<u64, Guild>,
    channels: BTreeMap<u64, Channel>,
}

#[derive(Debug)]
struct Guild {
    name: String,
    /// In the order in which they were made.
    channels: Vec<u64>,
    /// Discord cannot serve it for now.
    out: bool,
}

#[derive(Debug)]
enum Channel {
    Of { guild: u64, name: String, position: usize },
    With(User),
}

impl Guilds {
    pub(crate) fn new(bot: User, joined_ms: u64) -> Self {
        Self { bot, joined_ms, guilds: BTreeMap::new(), channels: BTreeMap::new() }
    }

    /// The bot itself.
    pub(crate) fn bot(&self) -> &User {
        &self.bot
    }

    /// When everybody joined everything.
    pub(crate) fn joined_ms(&self) -> u64 {
        self.joined_ms
    }

    pub(crate) fn add(&mut self, guild: u64, name: &str) {
        self.guilds.insert(guild, Guild { name: name.to_owned(), channels: Vec::new(), out: false });
    }

    /// Says whether the guild is there.
    pub(crate) fn add_channel(&mut self, channel: u64, guild: u64, name: &str) -> bool {
        let Some(found) = self.guilds.get_mut(&guild) else { return false };
        let position = found.channels.len();
        found.channels.push(channel);
        self.channels.insert(channel, Channel::Of { guild, name: name.to_owned(), position });
        true
    }

    /// The channel between the bot and a user, which there is from now on.
    pub(crate) fn direct(&mut self, user: &User, fresh: u64) -> u64 {
        let known =
            self.channels.iter().find(|(_, channel)| matches!(channel, Channel::With(with) if with.id == user.id));
        let id = known.map_or(fresh, |(id, _)| *id);
        self.channels.entry(id).or_insert_with(|| Channel::With(user.clone()));
        id
    }

    /// Removes a guild with its channels; says whether it was there.
    pub(crate) fn remove(&mut self, guild: u64) -> bool {
        let Some(found) = self.guilds.remove(&guild) else { return false };
        for channel in found.channels {
            self.channels.remove(&channel);
        }
        true
    }

    /// Begins or ends an outage; says whether the guild is there.
    pub(crate) fn set_out(&mut self, guild: u64, out: bool) -> bool {
        self.guilds.get_mut(&guild).map(|found| found.out = out).is_some()
    }

    /// Where a channel is.
    pub(crate) fn place(&self, channel: u64) -> Option<Place> {
        self.channels.get(&channel).map(|found| match found {
            Channel::Of { guild, .. } => Place { channel, guild: Some(*guild) },
            Channel::With(_) => Place { channel, guild: None },
        })
    }

    /// The first channel of each guild: guild, its name, channel.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (u64, &str, u64)> {
        self.guilds.iter().filter_map(|(id, guild)| Some((*id, guild.name.as_str(), *guild.channels.first()?)))
    }

    /// A channel's JSON.
    pub(crate) fn channel(&self, id: u64) -> Option<Value> {
        self.channels.get(&id).map(|found| match found {
            Channel::Of { guild, name, position } => objects::channel(id, *guild, name, *position),
            Channel::With(user) => objects::direct_channel(id, user),
        })
    }

    /// What GUILD_CREATE says; none during an outage.
    pub(crate) fn created(&self, guild: u64) -> Option<Value> {
        let found = self.guilds.get(&guild).filter(|found| !found.out)?;
        let channels: Vec<_> = found.channels.iter().filter_map(|id| self.channel(*id)).collect();
        Some(objects::guild(guild, &found.name, &channels, &self.bot, self.joined_ms))
    }

    /// The guilds of one shard, in the order of their ids.
    pub(crate) fn of_shard(&self, shard: (u32, u32)) -> impl Iterator<Item = u64> {
        self.guilds.keys().copied().filter(move |guild| shard_of(*guild, shard.1) == shard.0)
    }
}
