//! Which pod a guild on Discord would best be on: the one that holds its shard. That is worth no move. Where a guild has to move,
//! and several would do as well, those go that come to their shard by it, and those last that would leave it.

use super::{Snapshot, snapshot::NONE};
use shared::{TargetId, wire::discord::Shard};

/// Where the names of all shards begin.
const SHARDS: &str = "discord:shard:";
/// Where the names of all guilds begin.
const GUILDS: &str = "discord:guild:";

/// How much better it is that a unit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearer {
    /// It would leave its shard.
    Away,
    /// It is not with its shard, and does not come there.
    Neither,
    /// It comes to its shard.
    There,
}

/// The pods that hold the shards of the bot.
#[derive(Debug)]
pub(super) struct Shards(Vec<u32>);

impl Shards {
    /// Finds them. While there are two sets of shards, the larger one is what stays.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let targets = snapshot.targets();
        let first = targets.partition_point(|view| view.target.as_str() < SHARDS);
        let shards = || {
            let named = targets[first..].iter().take_while(|view| view.target.as_str().starts_with(SHARDS));
            named.filter_map(|view| Some((view.target.id().parse::<Shard>().ok()?, view.owner)))
        };
        let count = shards().map(|(shard, _)| shard.count).max().unwrap_or(0);
        let mut holders = vec![NONE; count as usize];
        for (shard, owner) in shards().filter(|(shard, _)| shard.count == count) {
            holders[shard.id as usize] = owner;
        }
        Self(holders)
    }

    /// Returns whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the pod that holds a guild's shard; [`NONE`] for all else.
    pub(super) fn holder(&self, target: &TargetId) -> u32 {
        let id = target.as_str().strip_prefix(GUILDS).and_then(|id| id.parse::<u64>().ok());
        let shard = id.and_then(|id| (id >> 22).checked_rem(self.0.len() as u64));
        shard.map_or(NONE, |shard| self.0[shard as usize])
    }
}
