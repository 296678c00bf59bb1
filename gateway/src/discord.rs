//! Discord's gateway: a pod that owns the target of a shard, `discord:shard:3-16`, holds that shard's connection, and takes what
//! comes over it to the owners of the guilds (PLATFORMS.md, Discord gateway; docs/adr/0030). Decides which connections there are:
//! those of the shards that this pod may act for, no others.
//!
//! ```text
//! ownership ─▸ shards ─▸ line, one per shard ─┬─▸ connector ─▸ twilight ─▸ Discord
//!              ▲   ▲                          ├─▸ event ─▸ lanes, in order per guild ─▸ ways ─▸ this pod's door, or a link
//!  moves: hold ┘   └ stop                     ├─▸ homes: config-service places what a session lists, many at a time
//!                                            └─▸ engine: the session in the shard's own rows
//! ```
//! Before a shard moves its next holder is told of its session, and has a connection `ahead`.

mod after;
mod ahead;
mod connector;
mod event;
mod homes;
mod lanes;
mod line;
mod meters;
mod overlap;
mod permits;
mod progress;
mod report;
mod shards;
mod start;
mod status;
mod twilight;
mod ways;

pub(crate) use ahead::Coming;
pub(crate) use shards::Shards;
pub(crate) use start::{Around, start};
