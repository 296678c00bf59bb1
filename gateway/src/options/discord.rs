//! Flags about the connections to Discord's gateway: whose they are, what is asked of Discord, and their bounds.

use clap::Args;
use shared::settings::duration;
use std::{path::PathBuf, str::FromStr, time::Duration};

/// The intents by name, with their bits.
const INTENTS: [(&str, u32); 21] = [
    ("guilds", 0),
    ("guild-members", 1),
    ("guild-moderation", 2),
    ("guild-expressions", 3),
    ("guild-integrations", 4),
    ("guild-webhooks", 5),
    ("guild-invites", 6),
    ("guild-voice-states", 7),
    ("guild-presences", 8),
    ("guild-messages", 9),
    ("guild-message-reactions", 10),
    ("guild-message-typing", 11),
    ("direct-messages", 12),
    ("direct-message-reactions", 13),
    ("direct-message-typing", 14),
    ("message-content", 15),
    ("guild-scheduled-events", 16),
    ("auto-moderation-configuration", 20),
    ("auto-moderation-execution", 21),
    ("guild-message-polls", 24),
    ("direct-message-polls", 25),
];

/// What a bot wants to be told of, as Discord's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntentList(pub u64);

/// There is no such intent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no intent; it is a number, or names as in guilds,guild-messages,message-content")]
pub struct NoIntent(String);

impl FromStr for IntentList {
    type Err = NoIntent;

    fn from_str(text: &str) -> Result<Self, NoIntent> {
        if let Ok(bits) = text.trim().parse() {
            return Ok(Self(bits));
        }
        let bit = |name: &str| {
            let found = INTENTS.iter().find(|(known, _)| *known == name.replace('_', "-").to_ascii_lowercase());
            found.map(|(_, bit)| 1_u64 << bit).ok_or_else(|| NoIntent(name.to_owned()))
        };
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(bit).sum::<Result<u64, _>>().map(Self)
    }
}

/// Flags about Discord's gateway.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Discord's gateway")]
pub struct DiscordArgs {
    /// The bot's token: with it the pod opens the connections of the shards that are assigned to it. Which shards there are says
    /// config-service (--discord-shards)
    #[arg(long, env = "BERTH_DISCORD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub discord_token: Option<String>,
    /// File with the bot's token
    #[arg(long, env = "BERTH_DISCORD_TOKEN_FILE", value_name = "PATH")]
    pub discord_token_file: Option<PathBuf>,
    /// What Discord is asked to tell: names of intents with commas between them, or their sum as a number
    #[arg(
        long,
        env = "BERTH_DISCORD_INTENTS",
        default_value = "guilds,guild-messages,direct-messages",
        value_name = "INTENTS"
    )]
    pub discord_intents: IntentList,
    /// Discord's gateway, or a proxy before it
    #[arg(long, env = "BERTH_DISCORD_GATEWAY", default_value = "wss://gateway.discord.gg", value_name = "URL")]
    pub discord_gateway: String,
    /// Most events of a shard on their way to their owners at once
    #[arg(long, env = "BERTH_DISCORD_AT_ONCE", default_value_t = 1_024, value_name = "N")]
    pub discord_at_once: usize,
    /// Most events of one guild on their way at once, each behind the one before. With 2 uploads a second to the replica a
    /// guild gets twice as many a second at most
    #[arg(long, env = "BERTH_DISCORD_IN_A_ROW", default_value_t = 256, value_name = "N")]
    pub discord_in_a_row: usize,
    /// Most events of a shard that are not committed yet; with more the connection is closed until half of them are, and
    /// Discord keeps the rest
    #[arg(long, env = "BERTH_DISCORD_OPEN", default_value_t = 20_000, value_name = "N")]
    pub discord_open: usize,
    /// The same in bytes
    #[arg(long, env = "BERTH_DISCORD_OPEN_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    pub discord_open_bytes: usize,
    /// How long Discord may take to greet a connection
    #[arg(long, env = "BERTH_DISCORD_HELLO", default_value = "20s", value_parser = duration, value_name = "TIME")]
    pub discord_hello: Duration,
    /// The longest wait before a connection is opened again
    #[arg(long, env = "BERTH_DISCORD_RETRY", default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub discord_retry: Duration,
    /// How long a shard pauses that Discord does not let in (a refused token, forbidden intents), unless it moves or its pod
    /// starts anew before
    #[arg(long, env = "BERTH_DISCORD_PAUSE", default_value = "1h", value_parser = duration, value_name = "TIME")]
    pub discord_pause: Duration,
    /// How often it is written down at most how far a session is committed; what came after is told again after a crash, and
    /// known by its id
    #[arg(long, env = "BERTH_DISCORD_KEEP", default_value = "250ms", value_parser = duration, value_name = "TIME")]
    pub discord_keep: Duration,
    /// Most guilds for whose homes config-service is asked at once. They are asked for as they become known, many at a time
    #[arg(long, env = "BERTH_DISCORD_PLACE", default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub discord_place: u16,
    /// The least time between two such requests of a pod
    #[arg(long, env = "BERTH_DISCORD_PLACE_EVERY", default_value = "100ms", value_parser = duration, value_name = "TIME")]
    pub discord_place_every: Duration,
    /// How much is kept of what Discord tells of a guild (GUILD_CREATE), in bytes of JSON, for whoever begins to serve it; at
    /// most 1 MiB. The largest fields are left out of one that is larger. 0: nothing is kept
    #[arg(long, env = "BERTH_DISCORD_SNAPSHOT", default_value_t = 256 << 10, value_name = "BYTES")]
    pub discord_snapshot: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intents_are_names_or_their_sum() {
        assert_eq!("guilds, guild_messages,message-content".parse(), Ok(IntentList(1 | 1 << 9 | 1 << 15)));
        assert_eq!("513".parse(), Ok(IntentList(513)));
        assert_eq!("".parse(), Ok(IntentList(0)));
        assert_eq!("guilds,frogs".parse::<IntentList>(), Err(NoIntent("frogs".to_owned())));
    }
}
