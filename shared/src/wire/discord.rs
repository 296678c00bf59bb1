//! What Discord's gateway takes of the control plane: permits to identify, the budget they come from, and sessions kept for
//! programs that hold their connections themselves. Sessions have the names that `@discordjs/ws` gives their fields.

use crate::PodId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// The most shards a bot may have here.
pub const MAX_SHARDS: u32 = 16_384;

/// Most sessions in one [`KeepSessions`].
pub const MAX_SESSIONS: usize = 1_000;

/// A shard of a bot, written `3-16`: the fourth of sixteen. Ordered by number of shards, then by its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// How many there are.
    pub count: u32,
    /// Which one it is, from 0.
    pub id: u32,
}

/// There is no such shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shard has a number below how many there are, and there are 1 to {MAX_SHARDS}; it is written 3-16")]
pub struct NoShard;

impl Shard {
    /// Makes shard `id` of `count`.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(id: u32, count: u32) -> Result<Self, NoShard> {
        if id < count && count <= MAX_SHARDS { Ok(Self { count, id }) } else { Err(NoShard) }
    }

    /// Returns the bucket in which it identifies: one IDENTIFY every five seconds in each.
    pub fn bucket(self, max_concurrency: u32) -> u32 {
        self.id % max_concurrency.max(1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.count)
    }
}

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let (id, count) = text.split_once('-').ok_or(NoShard)?;
        let number = |text: &str| text.parse().map_err(|_| NoShard);
        Self::new(number(id)?, number(count)?)
    }
}

/// `POST /v1/discord/permits`: a shard wants to identify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermitAsk {
    /// Which shard, from 0.
    #[schemars(range(max = 16_383))]
    pub shard: u32,
    /// How many there are.
    #[schemars(range(min = 1, max = 16_384))]
    pub shards: u32,
    /// The id of a session that Discord has refused to resume, if there is one: only recovery may use the budget's reserve.
    /// Each session counts once; who asks again with the same one has never been ready since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub refused_session: Option<String>,
    /// How long to wait for the permit to be due, in milliseconds; bounded by `--identify-wait`. Without it, as long as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// A permit: the shard may send one IDENTIFY, now. It counts as spent whether or not that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Permit {
    /// Which shard.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// `shard % max_concurrency`.
    pub bucket: u32,
    /// How many IDENTIFYs are left until the budget is reset.
    pub remaining: u32,
}

/// `GET /v1/discord/budget`: what is known of the bot's IDENTIFY budget, and who uses it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetStatus {
    /// The bot's id, as its token says it; none without a token.
    pub bot: Option<String>,
    /// `ok`, `old` (Discord does not answer; what it said last counts on), `unknown` (it has never answered), `refused` (it
    /// refuses the token) or `no-token`.
    pub state: String,
    /// What is wrong and what to do, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The budget; none as long as it is unknown.
    pub budget: Option<Budget>,
    /// How many wait for a permit.
    pub waiting: u32,
    /// Shards that identified several times in a row and have to wait, the longest wait first.
    pub braked: Vec<BrakedShard>,
}

/// A bot's IDENTIFY budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// How many shards Discord recommends.
    pub shards: u32,
    /// How many IDENTIFYs there are in a day.
    pub total: u32,
    /// How many are left.
    pub remaining: u32,
    /// How many of those are kept for recovery.
    pub reserve: u32,
    /// How many shards may identify at once.
    pub max_concurrency: u32,
    /// When the budget is whole again, in milliseconds since the Unix epoch.
    pub resets_ms: u64,
    /// When Discord said all that, in milliseconds since the Unix epoch.
    pub told_ms: u64,
    /// How many permits were handed out since Berth knows the bot.
    pub permits: u64,
}

/// A shard that has to wait before it may identify again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrakedShard {
    /// Which shard.
    pub shard: u32,
    /// Of how many.
    pub shards: u32,
    /// How often it identified in a row.
    pub identified: u32,
    /// How long it has to wait, in milliseconds.
    pub wait_ms: u64,
}

/// The session of a shard, as `@discordjs/ws` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Which shard.
    #[serde(rename = "shardId")]
    #[schemars(range(max = 16_383))]
    pub shard_id: u32,
    /// Of how many.
    #[serde(rename = "shardCount")]
    #[schemars(range(min = 1, max = 16_384))]
    pub shard_count: u32,
    /// Discord's id of the session.
    #[serde(rename = "sessionId")]
    #[schemars(length(min = 1, max = 200))]
    pub session_id: String,
    /// Where it is resumed.
    #[serde(rename = "resumeURL")]
    #[schemars(length(min = 1, max = 500))]
    pub resume_url: String,
    /// The last event that was taken.
    pub sequence: u64,
}

/// `POST /v1/discord/sessions`: keep sessions, in place of those that were kept for the same shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepSessions {
    /// The sessions, 1000 at most.
    #[schemars(length(max = 1000))]
    pub sessions: Vec<Session>,
}

/// The answer to [`KeepSessions`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsKept {
    /// How many were kept.
    pub kept: u64,
}

/// The answer to `DELETE /v1/discord/sessions/{shard}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsDropped {
    /// How many there were.
    pub dropped: u64,
}

/// How a shard's connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShardState {
    /// It is being opened, or waits for a permit to identify.
    Connecting,
    /// Its session runs.
    Ready,
    /// It was lost, and is opened again after a wait.
    Waiting,
    /// Discord does not let it in; an operator has to change something.
    Refused,
    /// It is closed, since its target is moving to another pod.
    Held,
}

impl ShardState {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Held => "held",
        }
    }
}

/// How a shard stands, as the pod that holds it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardStatus {
    /// Which shard, written `3-16`.
    pub shard: String,
    /// How its connection stands.
    pub state: ShardState,
    /// Discord's id of its session.
    pub session: Option<String>,
    /// Up to which number everything that the session has brought is committed.
    pub seq: Option<u64>,
    /// What is wrong and what to do, when something is.
    pub why: Option<String>,
    /// What the connection is for; more than one thing only while the number of shards changes.
    #[serde(default)]
    pub role: ShardRole,
    /// When its session began, in milliseconds since the Unix epoch; none when that was before the pod held it.
    #[serde(default)]
    pub since_ms: Option<u64>,
    /// Whether the pod remembers enough of what the session brought lately to hand over to other shards.
    #[serde(default)]
    pub covered: bool,
}

/// What a shard's connection is for (docs/adr/0033).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShardRole {
    /// What it brings is delivered.
    #[default]
    Live,
    /// It runs beside those that it will replace: what it brings is remembered for some seconds.
    Beside,
    /// The same, and nothing is forgotten any more: its turn comes at once.
    Holding,
    /// It has been replaced: all that it brought is committed, and it is closed.
    Closed,
    /// It is none of the shards that the bot has, or not yet.
    Unused,
}

impl ShardRole {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Beside => "beside",
            Self::Holding => "holding",
            Self::Closed => "closed",
            Self::Unused => "unused",
        }
    }
}

/// What a shard that was replaced brought last: by guild, a hash of each event, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardTail {
    /// Which shard, written `3-16`.
    pub shard: String,
    /// The hashes, by the target that the events were for; those of the shard itself stand under the empty name.
    pub events: BTreeMap<String, Vec<u64>>,
}

/// `POST /v1/discord/shards`: a gateway says how the shards stand that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardReport {
    /// Who says it.
    pub pod: PodId,
    /// Its shards.
    pub shards: Vec<ShardStatus>,
    /// What those of them brought last that are closed.
    pub tails: Vec<ShardTail>,
}

/// How far a change of the number of shards is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReshardPhase {
    /// The new shards log in beside the old ones.
    #[default]
    Beside,
    /// All have: from now on they forget nothing that comes.
    Holding,
    /// The old ones commit what they have and close; the new ones go on from there.
    Closing,
}

/// The answer to [`ShardReport`]: which shards the bot has, and which it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardPlan {
    /// How many shards the bot has; none as long as that is not known.
    pub shards: Option<u32>,
    /// How many it is to have, while they come up beside those.
    pub coming: Option<u32>,
    /// How far that is.
    pub phase: ReshardPhase,
    /// What the old shards brought last, once all of them are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tails: Option<Vec<ShardTail>>,
}

/// `GET /v1/discord/shards`: the shards of the bot, and how they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShardsStatus {
    /// How many shards the bot has; none as long as that is not known.
    pub shards: Option<u32>,
    /// How many it is to have, while they come up beside those.
    pub coming: Option<u32>,
    /// How far that is.
    pub phase: ReshardPhase,
    /// What is waited for, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The shards, as their holders said within the last seconds.
    pub held: Vec<HeldShard>,
}

/// A shard, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldShard {
    /// The pod.
    pub pod: PodId,
    /// How the shard stands there.
    #[serde(flatten)]
    pub status: ShardStatus,
}

/// The answer to a gateway's `GET /v1/local/discord/shards`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shards {
    /// The shards that the pod holds, in order.
    pub shards: Vec<ShardStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_as_it_is_written_and_there_is_none_beyond_the_last() {
        let shard = Shard::new(3, 16).expect("there is one");
        assert_eq!((shard.to_string().as_str(), "3-16".parse()), ("3-16", Ok(shard)));
        assert_eq!((shard.bucket(1), shard.bucket(2), shard.bucket(0)), (0, 1, 0));
        for none in ["16-16", "0-0", "1", "-1-4", "a-b", "0-16385", ""] {
            assert_eq!(none.parse::<Shard>(), Err(NoShard), "{none}");
        }
    }

    #[test]
    fn a_session_has_the_names_of_the_library_it_is_for() {
        let text = r#"{"shardId":1,"shardCount":2,"sessionId":"a","resumeURL":"wss://x","sequence":7}"#;
        let session: Session = serde_json::from_str(text).expect("read");
        assert_eq!(serde_json::to_string(&session).expect("written"), text);
    }
}
