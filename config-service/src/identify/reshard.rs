//! How many shards the bot has, and how another number comes about (docs/adr/0033): the new shards log in beside the old ones, and
//! take over once all of them have. Pure: what is wanted and how the shards stand comes in, what to write down comes out.

use crate::options::ShardCount;
use serde::{Deserialize, Serialize};
use shared::wire::discord::{ReshardPhase, Shard, ShardRole, ShardState, ShardStatus};
use std::collections::BTreeMap;

/// What is kept of the bot's shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// How many it has.
    pub(super) shards: u32,
    /// How many it is to have.
    #[serde(default)]
    pub(super) coming: Option<u32>,
    /// How far that is.
    #[serde(default)]
    pub(super) phase: ReshardPhase,
}

impl Kept {
    /// Returns what there is when nothing is to change.
    pub(super) const fn settled(shards: u32) -> Self {
        Self { shards, coming: None, phase: ReshardPhase::Beside }
    }
}

/// How many shards are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// What the setting says.
    pub(super) setting: ShardCount,
    /// What Discord recommends, as far as that is known.
    pub(super) recommended: Option<u32>,
}

impl Wish {
    /// Returns the number that is wanted beside `standing`: by itself it never becomes less.
    fn of(self, standing: Option<u32>) -> Option<u32> {
        match self.setting {
            ShardCount::Exactly(count) => Some(count),
            ShardCount::Auto => self.recommended.max(standing),
        }
    }
}

/// How the shards stand, as their holders said lately; also whether it is known what those brought last that are closed.
pub(super) type Standing = BTreeMap<Shard, (ShardStatus, bool)>;

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing; this is waited for, if anything is.
    Stay(Option<String>),
    /// To write this down.
    Write(Kept),
}

/// Returns what is next. `given` are the shards that were given out before anything was kept.
pub(super) fn step(kept: Option<Kept>, wish: Wish, given: &[Shard], standing: &Standing) -> Step {
    let Some(kept) = kept else {
        let before = given.iter().map(|shard| shard.count).max();
        return match before.or_else(|| wish.of(None)) {
            Some(count) => Step::Write(Kept::settled(count)),
            None => Step::Stay(Some("Discord has not said yet how many there should be".to_owned())),
        };
    };
    let wanted = wish.of(Some(kept.shards)).unwrap_or(kept.shards);
    let Some(coming) = kept.coming else {
        return if wanted == kept.shards { Step::Stay(None) } else { begin(kept, wanted) };
    };
    // What closes is closed: then the new ones take over, whatever is wanted now.
    if wanted != coming && kept.phase != ReshardPhase::Closing {
        return if wanted == kept.shards { Step::Write(Kept::settled(wanted)) } else { begin(kept, wanted) };
    }
    let new = |is_so: &dyn Fn(&ShardStatus) -> bool| missing(coming, standing, |(status, _)| is_so(status));
    let is_ready = |status: &ShardStatus| status.state == ShardState::Ready;
    let (waits, what) = match kept.phase {
        ReshardPhase::Beside => {
            let is_beside = |role| matches!(role, ShardRole::Beside | ShardRole::Holding);
            (new(&|status| is_ready(status) && is_beside(status.role)), "are not ready yet")
        }
        ReshardPhase::Holding => {
            let waits = new(&|status| is_ready(status) && status.role == ShardRole::Holding);
            if waits.is_empty() {
                let hands_over = |(status, _): &(ShardStatus, bool)| {
                    is_ready(status) && status.role == ShardRole::Live && status.covered || is_out(status)
                };
                (missing(kept.shards, standing, hands_over), "are not ready to hand over yet")
            } else {
                (waits, "are not ready yet")
            }
        }
        ReshardPhase::Closing => {
            let waits = missing(kept.shards, standing, is_closed);
            if waits.is_empty() {
                (new(&|status| status.role == ShardRole::Live), "have not taken over yet")
            } else {
                (waits, "are not closed yet")
            }
        }
    };
    if let Some(first) = waits.first() {
        return Step::Stay(Some(format!("{} of them {what}, {first} for one", waits.len())));
    }
    Step::Write(match kept.phase {
        ReshardPhase::Beside => Kept { phase: ReshardPhase::Holding, ..kept },
        ReshardPhase::Holding => Kept { phase: ReshardPhase::Closing, ..kept },
        ReshardPhase::Closing => Kept::settled(coming),
    })
}

const fn begin(kept: Kept, wanted: u32) -> Step {
    Step::Write(Kept { shards: kept.shards, coming: Some(wanted), phase: ReshardPhase::Beside })
}

/// Returns which of `count` shards do not stand so.
fn missing(count: u32, standing: &Standing, stands: impl Fn(&(ShardStatus, bool)) -> bool) -> Vec<Shard> {
    let all = (0..count).filter_map(|id| Shard::new(id, count).ok());
    all.filter(|shard| !standing.get(shard).is_some_and(&stands)).collect()
}

/// Discord does not let it in: it brings nothing that could be missed.
fn is_out(status: &ShardStatus) -> bool {
    status.state == ShardState::Refused
}

/// Returns whether a shard that is replaced brings nothing more, and it is known what it brought last.
fn is_closed((status, told): &(ShardStatus, bool)) -> bool {
    status.role == ShardRole::Closed && *told || is_out(status)
}

/// Returns whether all of `count` shards are closed.
pub(super) fn all_closed(count: u32, standing: &Standing) -> bool {
    missing(count, standing, is_closed).is_empty()
}

#[cfg(test)]
mod tests;
