//! How a shard stands: what the pod shows of it, and what of it is kept in the rows of its target, where a move and a restore
//! take it along (docs/adr/0030).

use super::connector::Session;
use serde::{Deserialize, Serialize};
use shared::wire::discord::{ShardState, ShardStatus};

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
    ShardStatus { shard: shard.to_string(), state: ShardState::Connecting, session: None, seq: None, why: None }
}
