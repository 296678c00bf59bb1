//! Ids, and the two clocks that the rules are given. Decides which shard a guild belongs to; knows nothing of guilds.

use shared::clock::Mono;
use std::time::{Duration, UNIX_EPOCH};

/// The wall time at which ids begin, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// Returns the shard, of `shards`, that the events of `guild` come through (PLATFORMS.md, Discord gateway).
///
/// # Panics
/// When `shards` is zero.
pub fn shard_of(guild: u64, shards: u32) -> u32 {
    u32::try_from((guild >> 22) % u64::from(shards)).unwrap_or_default()
}

/// The time at which something happens: for limits, and for what people read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) mono: Mono,
    pub(crate) wall_ms: u64,
}

/// Makes ids as Discord does: the time in the upper bits, each larger than those before.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    last: u64,
}

impl Ids {
    pub(crate) fn next(&mut self, now: Now) -> u64 {
        self.last = (self.last + 1).max(now.wall_ms.saturating_sub(EPOCH_MS) << 22);
        self.last
    }
}

/// Writes a time as Discord does: with microseconds and an offset.
pub(crate) fn timestamp(wall_ms: u64) -> String {
    let time = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_millis(wall_ms)).to_string();
    format!("{}+00:00", time.trim_end_matches('Z'))
}
