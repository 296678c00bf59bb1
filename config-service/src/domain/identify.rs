//! What is kept of a bot's IDENTIFY budget: enough for another leader to go on with it and to hand nothing out twice.

use serde::{Deserialize, Serialize};
use shared::wire::discord::Shard;

/// A bot's budget as it was last told and used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRecord {
    /// How many shards Discord recommends.
    pub shards: u32,
    /// How many IDENTIFYs there are until a reset.
    pub total: u32,
    /// How many are left.
    pub remaining: u32,
    /// How many shards may identify at once.
    pub max_concurrency: u32,
    /// When the budget is reset, in milliseconds since the Unix epoch.
    pub resets_ms: u64,
    /// When Discord told it, in milliseconds since the Unix epoch.
    pub told_ms: u64,
    /// How many permits were handed out.
    pub permits: u64,
}

/// How a shard has identified lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRecord {
    /// The shard.
    pub shard: Shard,
    /// How often in a row.
    pub streak: u32,
    /// When it was last permitted to, in milliseconds since the Unix epoch.
    pub last_ms: u64,
    /// The fingerprint of the session it recovered from last.
    pub recovered: Option<String>,
}

/// All that is kept of a budget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetKept {
    /// The budget.
    pub budget: BudgetRecord,
    /// Its shards that have identified lately, in order.
    pub shards: Vec<ShardRecord>,
}

/// What a change of a budget writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetChange {
    /// The budget as it is now.
    pub budget: BudgetRecord,
    /// Shards that have a permit.
    pub shards: Vec<ShardRecord>,
    /// Shards that have been calm for so long that nothing is to be kept of them.
    pub calm: Vec<Shard>,
}
