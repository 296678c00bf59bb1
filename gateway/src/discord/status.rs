//! How a shard stands: what the pod shows of it, and what of it is kept in the rows of its target, where a move and a restore
//! take it along (docs/adr/0030).

use super::connector::Session;
use serde::{Deserialize, Serialize};
use shared::wire::discord::{ShardPlan, ShardRole, ShardState, ShardStatus, ShardTail};
use std::sync::Arc;
use tokio::time::Instant;

/// The key under which the shard's target has it, in its own rows.
pub(super) const KEY: &str = "berth/discord-shard";

/// What is kept of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The session, as far as everything before is committed.
    #[serde(default)]
    pub(super) session: Option<Session>,
    /// Why Discord does not let it in.
    #[serde(default)]
    pub(super) refused: Option<Refusal>,
    /// Whether it runs beside the shards that it will replace: what came behind the session's number is not delivered yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) beside: bool,
    /// What it brought last, once it has been replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tail: Option<ShardTail>,
}

impl Kept {
    /// Reads what is kept. What is not understood is of another version: a session is lost, no event of this one is.
    pub(super) fn read(text: Option<String>) -> Self {
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

/// What config-service said last of the bot's shards.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// When it was asked; never, when it has not answered yet.
    pub(super) asked: Option<Instant>,
    /// What it said.
    pub(super) said: Arc<ShardPlan>,
}

/// Why Discord does not let a shard in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Its close code.
    pub(super) code: u16,
    /// What can be done.
    pub(super) remedy: String,
}

/// Returns how a shard stands that has not begun.
pub(super) fn begun(shard: shared::wire::discord::Shard) -> ShardStatus {
    ShardStatus {
        shard: shard.to_string(),
        state: ShardState::Connecting,
        session: None,
        seq: None,
        why: None,
        role: ShardRole::Unused,
        since_ms: None,
        covered: false,
    }
}
