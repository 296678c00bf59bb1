//! The flags of `berth config-service` for a bot on Discord: how its IDENTIFY budget is learned and given out, and how many requests its pods may
//! make.

use clap::Args;
use shared::{settings::duration, wire::discord::MAX_SHARDS};
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// How many shards the bot has whose connections the gateways hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardCount {
    /// As many as Discord recommends, and never less than there are.
    Auto,
    /// So many.
    Exactly(u32),
}

/// That is no number of shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no number of shards; it is auto, or 1 to {MAX_SHARDS}")]
pub struct NoShardCount(String);

impl FromStr for ShardCount {
    type Err = NoShardCount;

    fn from_str(text: &str) -> Result<Self, NoShardCount> {
        match text {
            "auto" => Ok(Self::Auto),
            number => match number.parse() {
                Ok(count) if (1..=MAX_SHARDS).contains(&count) => Ok(Self::Exactly(count)),
                _ => Err(NoShardCount(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(count) => count.fmt(f),
        }
    }
}

/// Flags of the IDENTIFY budget.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Discord")]
pub struct DiscordOptions {
    /// The bot's token: with it the leader asks Discord for the IDENTIFY budget and gives permits out
    #[arg(long, env = "BERTH_DISCORD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub discord_token: Option<String>,
    /// File with the bot's token
    #[arg(long, env = "BERTH_DISCORD_TOKEN_FILE", value_name = "PATH")]
    pub discord_token_file: Option<PathBuf>,
    /// How many shards' connections the gateways hold: a number, or auto for what Discord recommends; none when it is not set.
    /// It takes a token here, and the same on every gateway. Another number comes about beside the one before, without a gap;
    /// auto never makes it less
    #[arg(long, env = "BERTH_DISCORD_SHARDS", value_name = "auto|N")]
    pub discord_shards: Option<ShardCount>,
    /// Discord's API, or a proxy before it
    #[arg(long, env = "BERTH_DISCORD_API", default_value = "https://discord.com/api/v10", value_name = "URL")]
    pub discord_api: String,
    /// How often Discord is asked for the budget
    #[arg(long, env = "BERTH_DISCORD_REFRESH", default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub discord_refresh: Duration,
    /// How long Discord may take to answer that
    #[arg(long, env = "BERTH_DISCORD_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub discord_timeout: Duration,
    /// The time between two permits of one bucket: Discord's five seconds, and what networks delay
    #[arg(long, env = "BERTH_IDENTIFY_EVERY", default_value = "5250ms", value_parser = duration, value_name = "TIME")]
    pub identify_every: Duration,
    /// The share of the budget below which only sessions that Discord refused to resume identify, 0 to 1
    #[arg(long, env = "BERTH_IDENTIFY_RESERVE", default_value_t = 0.2, value_name = "SHARE")]
    pub identify_reserve: f64,
    /// How often in a row a shard identifies before it has to wait
    #[arg(long, env = "BERTH_IDENTIFY_FREE", default_value_t = 3, value_name = "N")]
    pub identify_free: u32,
    /// How long it waits then; doubles each time
    #[arg(long, env = "BERTH_IDENTIFY_BRAKE", default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub identify_brake: Duration,
    /// How long it waits at most
    #[arg(long, env = "BERTH_IDENTIFY_BRAKE_MOST", default_value = "1h", value_parser = duration, value_name = "TIME")]
    pub identify_brake_most: Duration,
    /// For how long a shard that may identify does not, before it counts as calm again
    #[arg(long, env = "BERTH_IDENTIFY_CALM", default_value = "10m", value_parser = duration, value_name = "TIME")]
    pub identify_calm: Duration,
    /// How long a request waits for its permit at most
    #[arg(long, env = "BERTH_IDENTIFY_WAIT", default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub identify_wait: Duration,
    /// Most requests that wait for a permit
    #[arg(long, env = "BERTH_IDENTIFY_WAITING", default_value_t = 4_096, value_name = "N")]
    pub identify_waiting: usize,
    /// Requests a second that Discord lets a bot make, of which all pods have slices; one of them is config-service's own
    #[arg(long, env = "BERTH_DISCORD_REST_LIMIT", default_value_t = 50, value_name = "N")]
    pub discord_rest_limit: u32,
    /// For how long a pod may use its slice without an answer; then it keeps its part of half of all
    #[arg(long, env = "BERTH_DISCORD_REST_TERM", default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub discord_rest_term: Duration,
    /// Most requests that Discord refuses (401, 403, 429) in ten minutes over all pods, each of which stops at its even part: at 10,000
    /// Discord bans the address
    #[arg(long, env = "BERTH_DISCORD_REST_INVALID", default_value_t = 5_000, value_name = "N")]
    pub discord_rest_invalid: u32,
}
