//! What the double is told before it starts: the bot, and the bounds, each as Discord documents it unless a test cannot
//! wait that long.

use crate::intents;
use std::time::Duration;

/// So many in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub most: u32,
    /// In how long.
    pub period: Duration,
}

impl Rate {
    /// Makes a rate.
    pub const fn of(most: u32, period: Duration) -> Self {
        Self { most, period }
    }
}

/// What the double is told before it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bot's token, as IDENTIFY and `Authorization: Bot …` must have it.
    pub token: String,
    /// The id of the bot and of its application.
    pub application: u64,
    /// What the bot is called.
    pub name: String,
    /// The number of shards that `/gateway/bot` recommends.
    pub shards: u32,
    /// How often a client beats.
    pub heartbeat: Duration,
    /// After how many intervals without a beat a connection is closed with 4009.
    pub missed_beats: u32,
    /// `session_start_limit`: one IDENTIFY more, and the token is reset.
    pub starts: Rate,
    /// `max_concurrency`: shards with the same remainder share a bucket.
    pub concurrency: u32,
    /// How long after one IDENTIFY of a bucket the next one may come.
    pub pace: Duration,
    /// The privileged intents that the application is allowed, see [`intents::PRIVILEGED`].
    pub privileged: u64,
    /// A shard with more guilds must be split: 4011.
    pub guilds_per_shard: usize,
    /// What one connection may send: more is 4008.
    pub sends: Rate,
    /// The largest payload a client may send, in bytes: more is 4002.
    pub payload: usize,
    /// How many events a session keeps for its replay.
    pub replay: usize,
    /// How long a session without a connection can be resumed.
    pub session_life: Duration,
    /// REST requests of the bot.
    pub global: Rate,
    /// REST requests of one bucket.
    pub route: Rate,
    /// Invalid REST requests; then the address is banned until the period is over.
    pub invalid: Rate,
    /// How long an interaction waits for its first answer.
    pub callback: Duration,
    /// How long an interaction's token lives.
    pub followup: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            token: "double.token.of-no-value".to_owned(),
            application: 900_000_000_000_000_001,
            name: "double".to_owned(),
            shards: 1,
            heartbeat: Duration::from_millis(41_250),
            missed_beats: 2,
            starts: Rate::of(1000, seconds(24 * 3600)),
            concurrency: 1,
            pace: seconds(5),
            privileged: intents::PRIVILEGED,
            guilds_per_shard: 2500,
            sends: Rate::of(120, seconds(60)),
            payload: 4096,
            replay: 20_000,
            session_life: seconds(300),
            global: Rate::of(50, seconds(1)),
            route: Rate::of(5, seconds(5)),
            invalid: Rate::of(10_000, seconds(600)),
            callback: seconds(3),
            followup: seconds(15 * 60),
        }
    }
}
